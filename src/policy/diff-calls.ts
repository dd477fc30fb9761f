import { prefixHolds } from '../model/address.ts';
import type { Answer, RuleReference } from '../model/verdict.ts';
import type { CompiledPolicy } from './compile.ts';
import { type Judgement, judge, locate, select } from './evaluate.ts';
import { type HostPattern, hostHolds } from './pattern.ts';
import { type Piece, pieces } from './pieces.ts';
import { shapesBy } from './shape.ts';
import { NOWHERE, StandIns, WHOLE } from './stand-in.ts';
import type { Identities, Selection } from './tier.ts';

/** Destinations of which two policies say different things. */
export interface CallChange {
  /** A host pattern, a prefix, or `host at prefix`; what a closer pattern holds is not in it. */
  readonly about: string;
  readonly ports: readonly Piece[];
  readonly before: Judgement;
  readonly after: Judgement;
  /** What becomes of the destinations; `rule`: the answer stays, by another rule, owner or path. */
  readonly effect: Answer | 'rule';
}

/** Pairs of a host and a prefix that are looked at; past that a policy of pairs is compared in part. */
const MOST_PAIRS = 100_000;

/**
 * Every difference between what two policies say of destinations. Names and addresses fall into classes that
 * no pattern of either policy tells apart, so one of each class speaks for all; and since each identity of a
 * destination has its own winner, classes of one identity, and of pairs, are all there is.
 */
export function diffCalls(before: CompiledPolicy, after: CompiledPolicy): CallChange[] {
  const shapeOf = shapesBy(({ answer, ports, rule, cycle }) => [answer, ports, mattering(rule), cycle]);
  const meaningOf = meanings();
  const changes: CallChange[] = [];
  for (const [about, identities] of classesOf(before, after)) {
    const [was, is] = [select(before, identities), select(after, identities)];
    // What neither names follows the default, which is told by itself.
    if (shapeOf(was) !== shapeOf(is)) {
      const judges = { before, was, after, is, identities, meaningOf };
      for (const change of compare(about, judges)) changes.push(change);
    }
  }
  return changes;
}

function* classesOf(before: CompiledPolicy, after: CompiledPolicy): Generator<[string, Identities]> {
  const clauses = [...before.tiers, ...after.tiers].flatMap((tier) => tier.clauses);
  const standIns = new StandIns(clauses);
  const any: HostPattern = { kind: 'any', name: '', text: '*' };
  const hosts = [...standIns.hosts.filter(({ kind }) => kind !== 'any'), any];
  for (const host of hosts) yield [host.text, { address: NOWHERE, names: [standIns.nameFor(host)] }];
  const prefixes = [...standIns.prefixes, WHOLE[4], WHOLE[6]];
  for (const prefix of new Map(prefixes.map((each) => [each.text, each])).values()) {
    const address = standIns.addressFor(prefix);
    if (address !== null) yield [prefix.text, { address: locate(address), names: [] }];
  }
  const seen = new Set<string>();
  for (const { host, address: prefix } of clauses) {
    if (!host || !prefix) continue;
    const names = hosts.filter((other) => other.text === host.text || isBelow(other, host));
    const inside = standIns.prefixes.filter(
      ({ family, length, bytes }) =>
        family === prefix.family && length >= prefix.length && prefixHolds(prefix, bytes),
    );
    for (const name of names)
      for (const part of inside) {
        const about = `${name.text} at ${part.text}`;
        const address = seen.has(about) ? null : standIns.addressFor(part);
        seen.add(about);
        if (seen.size > MOST_PAIRS) return;
        if (address !== null) yield [about, { address: locate(address), names: [standIns.nameFor(name)] }];
      }
  }
}

function isBelow(other: HostPattern, host: HostPattern): boolean {
  if (host.kind === 'exact' || other.kind === 'any') return false;
  return host.kind === 'any' || hostHolds(host, other.name);
}

interface Judges {
  readonly before: CompiledPolicy;
  readonly was: readonly Selection[];
  readonly after: CompiledPolicy;
  readonly is: readonly Selection[];
  readonly identities: Identities;
  readonly meaningOf: (judgement: Judgement) => string;
}

function compare(
  about: string,
  { before, was, after, is, identities, meaningOf }: Judges,
): Iterable<CallChange> {
  const changes = new Map<string, CallChange & { ports: Piece[] }>();
  for (const piece of pieces([...was, ...is])) {
    const { protocol, from } = piece;
    const first = judge(before, was, identities, protocol, from);
    const second = judge(after, is, identities, protocol, from);
    if (first.rule.kind === 'default' && second.rule.kind === 'default') continue;
    const [one, other] = [meaningOf(first), meaningOf(second)];
    if (one === other) continue;
    const key = `${one} ${other}`;
    const same = changes.get(key);
    const last = same?.ports.at(-1);
    if (last?.protocol === protocol && last.to + 1 === from)
      same?.ports.splice(-1, 1, { ...last, to: piece.to });
    else if (same) same.ports.push(piece);
    else {
      const effect = first.answer === second.answer ? 'rule' : second.answer;
      changes.set(key, { about, ports: [piece], before: first, after: second, effect });
    }
  }
  return changes.values();
}

/** Gives all that matters of a judgement, as text. */
function meanings(): (judgement: Judgement) => string {
  const known = new WeakMap<Judgement, string>();
  return (judgement) => {
    const meaning =
      known.get(judgement) ?? JSON.stringify([judgement.answer, mattering(judgement.rule), judgement.cycle]);
    known.set(judgement, meaning);
    return meaning;
  };
}

/** Not where a rule is written. */
function mattering({ kind, id, service, reason, owner, instead }: RuleReference): unknown {
  return [kind, id, service, reason, owner, instead];
}
