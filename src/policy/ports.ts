import type { Transport } from '../model/destination.ts';
import { nearest } from './nearest.ts';
import { type Fault, fault } from './problem.ts';

/** A port or a range, both ends included. A null protocol is both `tcp` and `udp`. */
export interface PortSpec {
  readonly protocol: 'tcp' | 'udp' | null;
  readonly from: number;
  readonly to: number;
}

export const HIGHEST_PORT = 65535;

const knownPorts: Readonly<Record<string, number>> = { ssh: 22, dns: 53, http: 80, https: 443, mysql: 3306 };

/** Whether the ports hold this port. Null is every port of every protocol; `other` has no ports. */
export function portsHold(ports: readonly PortSpec[] | null, protocol: Transport, port: number): boolean {
  if (!ports) return true;
  return ports.some((spec) => specHolds(spec, protocol, port));
}

function specHolds(spec: PortSpec, protocol: Transport, port: number): boolean {
  if (protocol === 'other') return false;
  return (spec.protocol === null || spec.protocol === protocol) && spec.from <= port && port <= spec.to;
}

/** The ports in both lists; empty when they have none in common, null when neither narrows. */
export function intersectPorts(
  a: readonly PortSpec[] | null,
  b: readonly PortSpec[] | null,
): readonly PortSpec[] | null {
  if (!a || !b) return a ?? b;
  return a.flatMap((x) => b.flatMap((y) => intersectSpecs(x, y)));
}

function intersectSpecs(a: PortSpec, b: PortSpec): PortSpec[] {
  if (a.protocol && b.protocol && a.protocol !== b.protocol) return [];
  const [from, to] = [Math.max(a.from, b.from), Math.min(a.to, b.to)];
  return from <= to ? [{ protocol: a.protocol ?? b.protocol, from, to }] : [];
}

/** Reads `443`, `443/tcp` or `8000-8100/udp`; a YAML number is a port. */
export function readPorts(value: string | number): PortSpec | Fault {
  const text = String(value);
  const [range = '', protocol, ...more] = text.split('/');
  if (more.length > 0) return fault('bad-port', `\`${text}\` is not a port`);
  const folded = protocol?.toLowerCase();
  if (folded !== undefined && folded !== 'tcp' && folded !== 'udp') {
    const meant = nearest(folded, ['tcp', 'udp']);
    return fault(
      'bad-port',
      `the protocol of a port is tcp or udp, not \`${protocol}\``,
      meant && `${range}/${meant}`,
    );
  }
  const known = knownPorts[range.toLowerCase()];
  if (known !== undefined) {
    return fault(
      'bad-port',
      `\`${text}\` is not a port: ports are numbers`,
      text.replace(range, String(known)),
    );
  }
  const ends = /^(\d+)(?:-(\d+))?$/.exec(range);
  if (!ends)
    return fault('bad-port', `\`${text}\` is not a port: write \`443\`, \`443/tcp\` or \`8000-8100/udp\``);
  const from = Number(ends[1]);
  const to = Number(ends[2] ?? ends[1]);
  const outside = [from, to].find((port) => port > HIGHEST_PORT);
  if (outside !== undefined)
    return fault('bad-port', `port ${outside} does not exist: the highest is ${HIGHEST_PORT}`);
  const suffix = folded ? `/${folded}` : '';
  if (from > to) return fault('bad-port', `the range \`${text}\` is reversed`, `${to}-${from}${suffix}`);
  return { protocol: folded ?? null, from, to };
}

/** The spec as `readPorts` reads it. */
export function formatPorts(spec: PortSpec): string {
  const range = spec.from === spec.to ? `${spec.from}` : `${spec.from}-${spec.to}`;
  return spec.protocol ? `${range}/${spec.protocol}` : range;
}

/** The fewest specs that hold what these hold, by port; without a protocol where both are meant. */
export function fewestPorts(ports: readonly PortSpec[]): PortSpec[] {
  const [tcp, udp] = (['tcp', 'udp'] as const).map((protocol) =>
    merge(ports.filter((spec) => spec.protocol === null || spec.protocol === protocol)),
  );
  const both = (tcp ?? []).filter(({ from, to }) =>
    udp?.some((other) => other.from === from && other.to === to),
  );
  const isBoth = ({ from, to }: Range) => both.some((range) => range.from === from && range.to === to);
  const specs: PortSpec[] = [
    ...both.map((range) => ({ ...range, protocol: null })),
    ...(tcp ?? []).filter((range) => !isBoth(range)).map((range) => ({ ...range, protocol: 'tcp' as const })),
    ...(udp ?? []).filter((range) => !isBoth(range)).map((range) => ({ ...range, protocol: 'udp' as const })),
  ];
  return specs.sort((a, b) => a.from - b.from || a.to - b.to);
}

type Range = Pick<PortSpec, 'from' | 'to'>;

function merge(ports: readonly Range[]): Range[] {
  const merged: Range[] = [];
  for (const { from, to } of [...ports].sort((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last && from <= last.to + 1)
      merged[merged.length - 1] = { from: last.from, to: Math.max(last.to, to) };
    else merged.push({ from, to });
  }
  return merged;
}
