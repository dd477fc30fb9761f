import type { Address } from '../model/address.ts';
import type { Name } from '../model/name.ts';
import type { CompiledPolicy } from './compile.ts';
import { locate, select } from './evaluate.ts';
import type { Clause, Identities } from './tier.ts';

/**
 * All that a policy can tell a chain of names apart by at an address, as text. Chains of one kind are judged
 * alike there, whatever other chains stand beside them: so one of each kind stands for all of them in
 * `segmentsOf`, and what ten thousand names of an address cost does not grow with their number.
 */
export function kindOf(policy: CompiledPolicy, address: Address, chain: readonly Name[]): string {
  const identities: Identities = { address: locate(address), names: chain };
  const tiers = [
    ...select(policy, identities),
    policy.proxies.select(identities),
    policy.sniffers.select(identities),
  ];
  const texts = tiers.map((selection) =>
    selection.map((groups) => groups.map((group) => distinct(group.map(clauseText))).join('>')).join(' '),
  );
  return texts.join('|');
}

/**
 * Clauses of one answer and the same ports do the same for whatever they hold. No port at all is not every
 * port.
 */
function clauseText({ answer, ports }: Clause): string {
  // What says nothing hides what is less specific, and so tells chains apart.
  const says = answer ?? 'none';
  if (ports === null) return says;
  const spans = ports.map(({ protocol, from, to }) => `${protocol ?? ''}${from}-${to}`);
  return `${says}/${distinct(spans)}`;
}

function distinct(texts: readonly string[]): string {
  const [first] = texts;
  return first !== undefined && texts.length === 1 ? first : [...new Set(texts)].sort().join(',');
}
