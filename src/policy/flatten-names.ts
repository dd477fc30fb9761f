import { type Address, type Prefix, prefixHolds } from '../model/address.ts';
import type { Name } from '../model/name.ts';
import type { CompiledPolicy } from './compile.ts';
import { locate, select } from './evaluate.ts';
import { fixedPrefix, merge, sharing, standIn, type TierAnswers, tierAnswers } from './flatten.ts';
import { type Chains, unplacedName, withAliases } from './opening.ts';
import { type HostPattern, hostHolds } from './pattern.ts';
import { type Piece, pieces } from './pieces.ts';
import type { Identities, Selection } from './tier.ts';

/** What each tier says of a name over TCP, for a span of ports. A list of them covers all ports. */
export interface NameSegment extends Piece {
  readonly protocol: 'tcp';
  readonly answer: null;
  readonly opening: 'none';
  readonly tiers: TierAnswers;
  /** Of name and address together; else of the name alone, to be joined with what is said of the address. */
  readonly joint: boolean;
  /** The default does not deny the name. */
  readonly exempt: boolean;
}

/** What the policy says of the names that a pattern holds and no more specific pattern does. */
export interface NameEntry {
  readonly pattern: HostPattern;
  /** By address: the longest prefix speaks. Only the roots, unless rules give host and address together. */
  readonly places: readonly { readonly prefix: Prefix; readonly answers: readonly NameSegment[] }[];
  /** Of the name at an address nobody here knows. */
  readonly unplaced: readonly NameSegment[];
}

const ANY: HostPattern = { kind: 'any', name: '', text: '*' };
const LOCALHOST: readonly HostPattern[] = [
  { kind: 'exact', name: 'localhost', text: 'localhost' },
  { kind: 'below', name: 'localhost', text: '*.localhost' },
];
const ROOTS = ['0.0.0.0/0', '::/0'].map(fixedPrefix);

/** An entry for every pattern a rule names, `*` and localhost: the longest match alone tells of a name. */
export function* nameTable(policy: CompiledPolicy): Generator<NameEntry> {
  const named = policy.tiers.flatMap((tier) => tier.hosts);
  const byText = new Map([...named, ANY, ...LOCALHOST].map((pattern) => [pattern.text, pattern]));
  const prefixes = policy.tiers.flatMap((tier) => tier.prefixes);
  const pairs = policy.tiers.flatMap((tier) => tier.pairs);
  const share = sharing<NameSegment>();
  const answers = (tiers: readonly Selection[], { joint = false, exempt = false } = {}) =>
    share(tiers, `${joint} ${exempt}`, () => nameSegments(tiers, { joint, exempt }));
  for (const pattern of byText.values()) {
    const name = someName(pattern);
    const { tiers, exemption } = unplacedName(policy, name);
    const alone = answers(select(policy, { address: null, names: [name], unplaced: 'none' }));
    const held = pairs.filter(({ host }) => holds(host, pattern)).map(({ address }) => address);
    const within =
      held.length === 0 ? [] : prefixes.filter((prefix) => held.some((outer) => contains(outer, prefix)));
    const special = new Map([...held, ...within].map((prefix) => [prefix.text, prefix]));
    yield {
      pattern,
      places: [
        ...ROOTS.filter(({ text }) => !special.has(text)).map((prefix) => ({ prefix, answers: alone })),
        ...[...special.values()].map((prefix) => {
          const together: Identities = { address: standIn(prefix), names: [name] };
          return { prefix, answers: answers(select(policy, together), { joint: true }) };
        }),
      ],
      unplaced: answers(tiers, { exempt: exemption !== null }),
    };
  }
}

/** What is said at an address of a name that led there, with all it is an alias of. */
export function chainSegments(
  policy: CompiledPolicy,
  address: Address,
  name: Name,
  chains: Chains,
): readonly NameSegment[] {
  const together: Identities = { address: locate(address), names: withAliases(name, chains) };
  return nameSegments(select(policy, together), { joint: true });
}

/** Whether any rule speaks of the name, so that it may not be left out where it is an alias. */
export function isRuled(policy: CompiledPolicy, name: Name): boolean {
  return policy.tiers.some(
    (tier) =>
      tier.select({ address: null, names: [name], unplaced: 'none' }).length > 0 ||
      tier.pairs.some(({ host }) => hostHolds(host, name)),
  );
}

function nameSegments(
  tiers: readonly Selection[],
  { joint = false, exempt = false }: { joint?: boolean; exempt?: boolean } = {},
): NameSegment[] {
  const tcp = pieces(tiers).filter((piece) => piece.protocol === 'tcp');
  return merge(
    tcp.map((piece) => ({
      ...piece,
      protocol: 'tcp' as const,
      answer: null,
      opening: 'none' as const,
      tiers: tierAnswers(tiers, piece.from),
      joint,
      exempt,
    })),
  );
}

/** A name the pattern holds and no other pattern can but those that hold all its names: `?` is in none. */
function someName({ kind, name }: HostPattern): Name {
  return kind === 'exact' ? name : kind === 'below' ? `?.${name}` : '?';
}

/** Whether a pattern holds all names that are another's own. */
function holds(outer: HostPattern, inner: HostPattern): boolean {
  const name = someName(inner);
  if (outer.kind === 'any') return true;
  return outer.kind === 'exact' ? name === outer.name : name.endsWith(`.${outer.name}`);
}

function contains(outer: Prefix, inner: Prefix): boolean {
  return outer.length <= inner.length && outer.family === inner.family && prefixHolds(outer, inner.bytes);
}
