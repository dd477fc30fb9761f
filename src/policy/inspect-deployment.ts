import type { CompiledPolicy } from './compile.ts';
import { evaluate } from './evaluate.ts';
import type { Deployment } from './policy.ts';
import { fault, type Problem } from './problem.ts';
import { type Inspected, warningAt } from './whereabouts.ts';

const DAY_MS = 24 * 3_600_000;
/** A waiver with no more left is about to lapse. */
export const LAPSES_SOON_MS = 14 * DAY_MS;
const DNS_PORT = 53;

/** Waivers that have ended or soon will, and servers that are circular. */
export function inspectDeployment(
  inspected: Inspected,
  deployment: Deployment,
  compiled: CompiledPolicy,
): Problem[] {
  return [...waivers(inspected, deployment), ...servers(inspected, deployment, compiled)];
}

function waivers({ whereabouts, now }: Inspected, { name, waivers: all }: Deployment): Problem[] {
  return all.flatMap(({ service, until }, i) => {
    const at = whereabouts.deployment(name, 'waivers', i, 'until');
    const left = until.end - now.getTime();
    if (!at || left > LAPSES_SOON_MS) return [];
    if (left <= 0) {
      const message = `the waiver of \`${service}\` has lapsed: calls to it are denied since the end of ${until.text} (UTC)`;
      return [warningAt(at, fault('lapsed-waiver', message))];
    }
    const days = Math.floor(left / DAY_MS);
    const when = days === 0 ? 'today' : `in ${days} day${days === 1 ? '' : 's'}`;
    const message = `the waiver of \`${service}\` lapses ${when}: from the end of ${until.text} (UTC) calls to it are denied`;
    return [warningAt(at, fault('lapsing-waiver', message))];
  });
}

/** Servers given by address may be those of a circular service as well. */
function servers({ whereabouts }: Inspected, { name, dns }: Deployment, compiled: CompiledPolicy): Problem[] {
  return (dns.servers ?? []).flatMap((address, i) => {
    const { rule, cycle } = evaluate(compiled, { address, names: [], port: DNS_PORT, protocol: 'udp' });
    const at = whereabouts.deployment(name, 'dns', 'servers', i);
    if (rule.kind !== 'circular' || !cycle || !at) return [];
    const message = `the DNS server is of \`${rule.service}\`, which is circular: ${cycle.join(' → ')}`;
    return [warningAt(at, fault('circular-resolver', message))];
  });
}
