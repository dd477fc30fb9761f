import { prefixHolds } from '../model/address.ts';
import type { Answer, RuleReference } from '../model/verdict.ts';
import type { CompiledPolicy } from './compile.ts';
import { exemption, type Judgement, judge, select } from './evaluate.ts';
import { type HostPattern, hostHolds } from './pattern.ts';
import { type Piece, pieces } from './pieces.ts';
import { portsKey, shapesBy } from './shape.ts';
import { NOWHERE, StandIns, WHOLE } from './stand-in.ts';
import type { Identities, Selection } from './tier.ts';

/** Destinations of which two policies say different things. */
export interface CallChange {
  /** A host pattern, a prefix, or `host at prefix`; what a closer pattern holds is not in it. */
  readonly about: string;
  readonly ports: readonly Piece[];
  /** What each policy says; of ten thousand changes a few are shown. */
  readonly judged: () => readonly [before: Judgement, after: Judgement];
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
  const shapeOf = shapesBy(({ answer, ports, rule, cycle }) => {
    return `${answer} ${portsKey(ports)} ${mattering(rule)} ${cycle && JSON.stringify(cycle)}`;
  });
  const meaningOf = meanings();
  const spansOf = new Map<string, readonly Span[]>();
  const changes: CallChange[] = [];
  for (const [about, identities] of classesOf(before, after)) {
    const judges = {
      before,
      after,
      identities,
      was: select(before, identities),
      is: select(after, identities),
    };
    const [was, is] = [shapeOf(judges.was), shapeOf(judges.is)];
    // What neither names follows the default, which is told by itself.
    if (was === is) continue;
    const exempt = [before, after].map((policy) => exemption(policy, identities.address));
    const key = [was, is, ...exempt].join(' ');
    const spans = spansOf.get(key) ?? compare(judges, meaningOf);
    spansOf.set(key, spans);
    for (const { ports, effect } of spans)
      changes.push({ about, ports, judged: () => judgeAt(judges, ports[0]), effect });
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
    const address = standIns.placeFor(prefix);
    if (address) yield [prefix.text, { address, names: [] }];
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
        const address = seen.has(about) ? null : standIns.placeFor(part);
        seen.add(about);
        if (seen.size > MOST_PAIRS) return;
        if (address) yield [about, { address, names: [standIns.nameFor(name)] }];
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
}

/** Ports at which the same becomes of destinations. */
interface Span extends Pick<CallChange, 'effect'> {
  readonly ports: readonly [Piece, ...Piece[]];
}

/** What differs between selections, which is the same for all of the same shapes that are exempt alike. */
function compare(judges: Judges, meaningOf: (judgement: Judgement) => string): Span[] {
  const spans = new Map<string, { ports: [Piece, ...Piece[]]; effect: CallChange['effect'] }>();
  for (const piece of pieces([...judges.was, ...judges.is])) {
    const { protocol, from, to } = piece;
    const [first, second] = judgeAt(judges, piece);
    if (first.rule.kind === 'default' && second.rule.kind === 'default') continue;
    const [one, other] = [meaningOf(first), meaningOf(second)];
    if (one === other) continue;
    const key = `${one} ${other}`;
    const same = spans.get(key);
    const last = same?.ports.at(-1);
    if (last?.protocol === protocol && last.to + 1 === from) same?.ports.splice(-1, 1, { ...last, to });
    else if (same) same.ports.push(piece);
    else spans.set(key, { ports: [piece], effect: first.answer === second.answer ? 'rule' : second.answer });
  }
  return [...spans.values()];
}

function judgeAt(
  { before, was, after, is, identities }: Judges,
  { protocol, from }: Piece,
): [Judgement, Judgement] {
  return [judge(before, was, identities, protocol, from), judge(after, is, identities, protocol, from)];
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
function mattering({ kind, id, service, reason, owner, instead }: RuleReference): string {
  const told = [id, service, reason, owner, instead];
  return told.every((text) => text === null) ? kind : JSON.stringify([kind, ...told]);
}
