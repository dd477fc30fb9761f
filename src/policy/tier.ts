import { type Address, bytesText, maskBytes, type Prefix, prefixHolds } from '../model/address.ts';
import type { Transport } from '../model/destination.ts';
import type { Name } from '../model/name.ts';
import type { Answer, RuleReference } from '../model/verdict.ts';
import { type HostPattern, hostHolds, hostRank } from './pattern.ts';
import { type PortSpec, portsHold } from './ports.ts';

/** One pattern of a rule, with the rule's answer: a service rule has one for each of its hosts and addresses. */
export interface Clause {
  /** Null: it says nothing, and keeps those it is more specific than from speaking of what it holds. */
  readonly answer: Answer | null;
  /** At least one of host and address. */
  readonly host: HostPattern | null;
  readonly address: Prefix | null;
  readonly ports: readonly PortSpec[] | null;
  readonly rule: RuleReference;
  /** Services from the deployment back to itself, for a rule about a cycle. */
  readonly cycle: readonly string[] | null;
}

/** An address as a tier looks for it: 16 bytes, and the longest prefix that may hold it. */
export interface Located {
  readonly family: 4 | 6;
  readonly bytes: Uint8Array;
  /** 128 but for a prefix standing for the addresses no longer prefix holds. */
  readonly longest: number;
  /** The address in canonical text; null for a prefix. */
  readonly lone: Address | null;
}

/** The identities a tier is asked about. */
export interface Identities {
  /** Null: not known. */
  readonly address: Located | null;
  readonly names: readonly Name[];
  /**
   * What a rule of host and address does where the address is not known. `open` (the default): it is to be learned
   * yet, so such a rule may open and does not deny. `deny`: it may be any, so the rule denies and does not open.
   * `none`: the rule is asked with the address.
   */
  readonly unplaced?: Unplaced;
}

/** What a tier has to say of some identities: for each, its groups of clauses, the most specific first. */
export type Selection = readonly (readonly (readonly Clause[])[])[];

type Unplaced = 'open' | 'deny' | 'none';

const NOTHING: Selection = [];

/** A clause that says something. */
export type Ruling = Clause & { readonly answer: Answer };

const STRENGTH: Record<Answer, number> = { allow: 0, audit: 1, deny: 2 };

/** Of one pattern, whatever says something stands above what does not. */
function strengthOf({ answer }: Clause): number {
  return answer === null ? -1 : STRENGTH[answer];
}

/** A tier: its clauses, indexed by what they hold. */
export class Tier {
  readonly #exact = new Map<string, Clause[]>();
  readonly #below = new Map<string, Clause[]>();
  readonly #any: Clause[] = [];
  readonly #prefixes = new Map<string, Clause[]>();
  readonly #lengths: Record<4 | 6, number[]>;
  readonly #pairs: Clause[] = [];
  /** Of the clauses about addresses alone. */
  readonly prefixes: readonly Prefix[];
  /** Of all clauses. */
  readonly hosts: readonly HostPattern[];
  /** Of the clauses of host and address together. */
  readonly pairs: readonly { readonly host: HostPattern; readonly address: Prefix }[];
  /** As given, in the order of the policy. */
  readonly clauses: readonly Clause[];

  constructor(clauses: readonly Clause[]) {
    this.clauses = clauses;
    const lengths = { 4: new Set<number>(), 6: new Set<number>() };
    for (const clause of clauses) {
      const { host, address } = clause;
      if (host && address) this.#pairs.push(clause);
      else if (address) {
        push(this.#prefixes, prefixKey(address.family, address.bytes, address.length), clause);
        lengths[address.family].add(address.length);
      } else if (host?.kind === 'exact') push(this.#exact, host.name, clause);
      else if (host?.kind === 'below') push(this.#below, host.name, clause);
      else this.#any.push(clause);
    }
    const descending = (set: Set<number>) => [...set].sort((a, b) => b - a);
    this.#lengths = { 4: descending(lengths[4]), 6: descending(lengths[6]) };
    this.#pairs.sort((a, b) => pairRank(b) - pairRank(a));
    this.hosts = clauses.flatMap(({ host }) => host ?? []);
    this.pairs = clauses.flatMap(({ host, address }) => (host && address ? [{ host, address }] : []));
    this.prefixes = clauses.flatMap(({ host, address }) => (address && !host ? [address] : []));
  }

  /** What is said of each identity, names first; an identity no clause holds is not in it. */
  select(identities: Identities): Selection {
    if (this.clauses.length === 0) return NOTHING;
    const { address, names } = identities;
    const selection = names.map((name) => this.forName(name, address ?? identities.unplaced ?? 'open'));
    if (address) selection.push(this.forAddress(address, names));
    return selection.filter((groups) => groups.length > 0);
  }

  /** Groups of clauses that hold the name, the most specific first. */
  forName(name: Name, address: Located | Unplaced): (readonly Clause[])[] {
    const groups = this.#pairsFor(address, [name]);
    const exact = this.#exact.get(name);
    if (exact) groups.push(exact);
    for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
      const below = this.#below.get(name.slice(dot + 1));
      if (below) groups.push(below);
    }
    if (this.#any.length > 0) groups.push(this.#any);
    return groups;
  }

  /** Groups of clauses that hold the address, the most specific first. */
  forAddress(address: Located, names: readonly Name[]): (readonly Clause[])[] {
    const groups = this.#pairsFor(address, names);
    for (const length of this.#lengths[address.family]) {
      if (length > address.longest) continue;
      const key = prefixKey(address.family, maskBytes(address.bytes, length), length);
      const here = this.#prefixes.get(key);
      if (here) groups.push(here);
    }
    return groups;
  }

  /** Rules of host and address together, most specific first; without an address only those that may count. */
  #pairsFor(address: Located | Unplaced, names: readonly Name[]): (readonly Clause[])[] {
    const groups: (readonly Clause[])[] = [];
    for (const clause of this.#pairs) {
      const { host, address: prefix } = clause;
      if (!host || !prefix || !names.some((name) => hostHolds(host, name))) continue;
      const here =
        typeof address === 'string'
          ? address !== 'none' && (clause.answer === 'deny') === (address === 'deny')
          : prefix.length <= address.longest && prefixHolds(prefix, address.bytes);
      if (here) groups.push([clause]);
    }
    return groups;
  }
}

/** The winning clause of each identity at a port, where it says something. */
export function winners(selection: Selection, protocol: Transport, port: number): Ruling[] {
  return selection.flatMap((groups) => {
    const winner = win(groups, protocol, port);
    return winner && isRuling(winner) ? winner : [];
  });
}

export function isRuling(clause: Clause): clause is Ruling {
  return clause.answer !== null;
}

/** The first group with a clause that holds the port decides; in it ports beat none, then the stronger answer. */
function win(groups: Selection[number], protocol: Transport, port: number): Clause | null {
  for (const group of groups) {
    let best: Clause | null = null;
    for (const clause of group)
      if (portsHold(clause.ports, protocol, port) && (!best || beats(clause, best))) best = clause;
    if (best) return best;
  }
  return null;
}

function beats(a: Clause, b: Clause): boolean {
  const narrower = Number(a.ports !== null) - Number(b.ports !== null);
  return narrower !== 0 ? narrower > 0 : strengthOf(a) > strengthOf(b);
}

/** The order of pairs: the host's rank, then the prefix's length, then ports over none, then the answer. */
function pairRank(clause: Clause): number {
  const { host, address, ports } = clause;
  const specific = (host ? hostRank(host) : 0) * 1000 + (address?.length ?? 0);
  return specific * 10 + (ports ? 5 : 0) + strengthOf(clause);
}

function push(map: Map<string, Clause[]>, key: string, clause: Clause): void {
  const list = map.get(key);
  if (list) list.push(clause);
  else map.set(key, [clause]);
}

/** What an unspecified destination is to the kernel: loopback. Any other address is itself. */
export function settleUnspecified(address: Address): Address {
  if (address === '0.0.0.0') return '127.0.0.1';
  return address === '::' ? '::1' : address;
}

function prefixKey(family: 4 | 6, bytes: Uint8Array, length: number): string {
  return `${family}/${length}/${bytesText(bytes)}`;
}
