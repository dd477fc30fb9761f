import type { Destination, Transport } from '../model/destination.ts';
import type { Name } from '../model/name.ts';
import type { Answer } from '../model/verdict.ts';
import type { CompiledPolicy } from './compile.ts';
import { type Decision, evaluate, evaluateLookup, judge, locate, select } from './evaluate.ts';
import { pieces } from './pieces.ts';
import { portsHold } from './ports.ts';
import { type Clause, type Identities, type Tier, winners } from './tier.ts';
import { namedTiers, type TierName } from './tier-names.ts';

/** What the guard decides of one destination, and every rule that was considered. */
export interface Explanation {
  /** The guard's own word: `evaluate`, or `evaluateLookup` where there is no address. */
  readonly decision: Decision;
  readonly tiers: readonly ExplainedTier[];
}

export interface ExplainedTier {
  readonly name: TierName;
  /** What it says of the destination; null: nothing. */
  readonly answer: Answer | null;
  /** It is the first that says something, so its answer is the decision. */
  readonly decides: boolean;
  /** Those of which it holds a rule, whatever the rule's ports. */
  readonly identities: readonly ExplainedIdentity[];
}

export interface ExplainedIdentity {
  /** A name, or the address. */
  readonly identity: string;
  readonly winner: Clause | null;
  /** Closest first. */
  readonly candidates: readonly Candidate[];
}

export interface Candidate {
  readonly clause: Clause;
  readonly fate: Fate;
}

/**
 * What became of a rule: it won; its ports do not hold the port; a closer pattern won; a rule with ports won
 * over it, which has none; a stronger answer won (deny over audit over allow); or an equal rule stands before it.
 */
export type Fate = 'won' | 'other-ports' | 'less-close' | 'without-ports' | 'weaker' | 'after-equal';

/** Explains a call to a destination with an address, or a lookup of names where the address is null. */
export function explain(policy: CompiledPolicy, destination: Destination): Explanation {
  const { address, names, protocol, port } = destination;
  if (address === null) return explainLookup(policy, names);
  const identities = { address: locate(address), names };
  return explanation(policy, evaluate(policy, destination), identities, protocol, port);
}

/** A lookup is decided at the port that opens it, if there is one. */
function explainLookup(policy: CompiledPolicy, names: readonly Name[]): Explanation {
  const decision = evaluateLookup(policy, names);
  const identities: Identities = { address: null, names };
  const tiers = select(policy, identities);
  const likely = { protocol: 'tcp' as Transport, from: 443 };
  const at = [likely, ...pieces(tiers)].find(({ protocol, from }) => {
    const { answer, rule } = judge(policy, tiers, identities, protocol, from);
    return answer === decision.answer && rule === decision.rule;
  });
  return explanation(policy, decision, identities, (at ?? likely).protocol, (at ?? likely).from);
}

function explanation(
  policy: CompiledPolicy,
  decision: Decision,
  identities: Identities,
  protocol: Transport,
  port: number,
): Explanation {
  let decided = false;
  const tiers = namedTiers(policy).map(({ name, tier }): ExplainedTier => {
    const selection = tier.select(identities);
    const says = winners(selection, protocol, port).length > 0;
    const answer = says ? judge(policy, [selection], identities, protocol, port).answer : null;
    const decides = says && !decided;
    decided ||= decides;
    return { name, answer, decides, identities: identitiesOf(tier, identities, protocol, port) };
  });
  return { decision, tiers };
}

function identitiesOf(
  tier: Tier,
  { address, names }: Identities,
  protocol: Transport,
  port: number,
): ExplainedIdentity[] {
  const groups: [string, (readonly Clause[])[]][] = names.map((name) => [
    name,
    tier.forName(name, address ?? 'open'),
  ]);
  if (address) groups.push([address.lone ?? '', tier.forAddress(address, names)]);
  return groups
    .filter(([, found]) => found.length > 0)
    .map(([identity, found]) => {
      const winner = winners([found], protocol, port)[0] ?? null;
      return { identity, winner, candidates: candidatesOf(found, winner, protocol, port) };
    });
}

function candidatesOf(
  groups: readonly (readonly Clause[])[],
  winner: Clause | null,
  protocol: Transport,
  port: number,
): Candidate[] {
  const winning = groups.findIndex((group) => winner !== null && group.includes(winner));
  return groups.flatMap((group, i) =>
    group.map((clause): Candidate => {
      if (clause === winner) return { clause, fate: 'won' };
      if (!portsHold(clause.ports, protocol, port)) return { clause, fate: 'other-ports' };
      if (!winner || i !== winning) return { clause, fate: 'less-close' };
      if (winner.ports !== null && clause.ports === null) return { clause, fate: 'without-ports' };
      return { clause, fate: winner.answer === clause.answer ? 'after-equal' : 'weaker' };
    }),
  );
}
