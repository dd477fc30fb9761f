import { type Address, type Prefix, prefixHolds } from '../model/address.ts';
import type { Name } from '../model/name.ts';
import type { CompiledPolicy } from './compile.ts';
import type { DestPattern } from './dest.ts';
import { locate, select } from './evaluate.ts';
import { type Explanation, explain } from './explain.ts';
import { type HostPattern, hostHolds } from './pattern.ts';
import { type Piece, pieces } from './pieces.ts';
import type { Service } from './policy.ts';
import { type PortSpec, portsHold } from './ports.ts';
import { StandIns, WHOLE } from './stand-in.ts';

/** What the policy says of the destinations a DEST may mean: one part for each that is judged by itself. */
export interface ExplainedPart {
  /** A host pattern, an address or a prefix. */
  readonly about: string;
  /** Stands for every address, or every address of a family, that no rule names; null where one was given. */
  readonly anyAddress: Address | null;
  /** Stands for every name below a wildcard that no rule names closer; null where a name was given. */
  readonly anyName: Name | null;
  /** Null where no name is asked for. */
  readonly lookup: Explanation | null;
  /** Calls, by ports between which the decision or its rule differs. */
  readonly calls: readonly ExplainedCall[];
  /** What the policy names within it, and is judged by itself. */
  readonly closer: readonly string[];
}

export interface ExplainedCall {
  readonly ports: readonly Piece[];
  readonly explanation: Explanation;
}

/** What the caller knows of the destination besides the DEST. */
export interface Known {
  /** Where a host is; null: at any address nobody names. */
  readonly address: Address | null;
  /** Names that led there too: aliases on the way. */
  readonly names: readonly Name[];
}

/** Explains a DEST; a service is its hosts and addresses one by one. */
export function explainDest(
  policy: CompiledPolicy,
  dest: DestPattern,
  services: ReadonlyMap<string, Service>,
  known: Known,
): ExplainedPart[] {
  const standIns = new StandIns(policy.tiers.flatMap(({ clauses }) => clauses));
  const desk: Desk = { policy, standIns, ports: dest.ports, known };
  if (dest.kind === 'host') return explainHost(desk, dest.host);
  if (dest.kind === 'address') return explainPrefix(desk, dest.address);
  const service = services.get(dest.service);
  return [
    ...(service?.hosts ?? []).flatMap((host) => explainHost(desk, host)),
    ...(service?.addresses ?? []).flatMap((prefix) => explainPrefix(desk, prefix)),
  ];
}

interface Desk {
  readonly policy: CompiledPolicy;
  readonly standIns: StandIns;
  readonly ports: PortSpec | null;
  readonly known: Known;
}

function explainHost(desk: Desk, host: HostPattern): ExplainedPart[] {
  const { policy, standIns, known } = desk;
  const name = standIns.nameFor(host);
  const names = [name, ...known.names];
  const lookup = explain(policy, { address: null, names, protocol: 'tcp', port: 443 });
  const part = (address: Address, given: boolean): ExplainedPart => ({
    about: host.text,
    anyAddress: given ? null : address,
    anyName: host.kind === 'exact' ? null : name,
    lookup,
    calls: explainCalls(desk, address, names),
    closer: standIns.hosts.filter((other) => isCloser(other, host)).map(({ text }) => text),
  });
  if (known.address !== null) return [part(known.address, true)];
  const parts = [WHOLE[4], WHOLE[6]]
    .map((family) => standIns.addressFor(family))
    .filter((address) => address !== null)
    .map((address) => part(address, false));
  const [first, second] = parts;
  return first && second && outcome(first) === outcome(second) ? [first] : parts;
}

function explainPrefix(desk: Desk, prefix: Prefix): ExplainedPart[] {
  const { standIns, known } = desk;
  const whole = prefix.length < 128;
  const address = whole ? standIns.addressFor(prefix) : prefix.text;
  const closer = standIns.prefixes.filter(
    ({ length, bytes, family }) =>
      family === prefix.family && length > prefix.length && prefixHolds(prefix, bytes),
  );
  return [
    {
      about: prefix.text,
      anyAddress: whole ? address : null,
      anyName: null,
      lookup: null,
      calls: address === null ? [] : explainCalls(desk, address, known.names),
      closer: closer.map(({ text }) => text),
    },
  ];
}

/** A call at each span of ports, those with the same decision by the same rule as one. */
function explainCalls(desk: Desk, address: Address, names: readonly Name[]): ExplainedCall[] {
  const { policy, ports } = desk;
  const tiers = select(policy, { address: locate(address), names });
  const calls = new Map<string, { ports: Piece[]; explanation: Explanation }>();
  for (const piece of pieces(tiers).flatMap((whole) => within(whole, ports))) {
    const { protocol, from: port } = piece;
    const explanation = explain(policy, { address, names, protocol, port });
    const { answer, rule } = explanation.decision;
    const key = JSON.stringify([answer, rule]);
    const same = calls.get(key);
    const last = same?.ports.at(-1);
    if (last?.protocol === piece.protocol && last.to + 1 === piece.from)
      same?.ports.splice(-1, 1, { ...last, to: piece.to });
    else if (same) same.ports.push(piece);
    else calls.set(key, { ports: [piece], explanation });
  }
  return [...calls.values()];
}

/** The part of a span that the asked ports hold. */
function within(piece: Piece, ports: PortSpec | null): Piece[] {
  if (!ports) return [piece];
  const [from, to] = [Math.max(piece.from, ports.from), Math.min(piece.to, ports.to)];
  return from <= to && portsHold([ports], piece.protocol, from) ? [{ ...piece, from, to }] : [];
}

function outcome({ calls }: ExplainedPart): string {
  return JSON.stringify(
    calls.map(({ ports, explanation: { decision } }) => [ports, decision.answer, decision.rule]),
  );
}

function isCloser(other: HostPattern, host: HostPattern): boolean {
  if (host.kind === 'exact' || other.text === host.text || other.kind === 'any') return false;
  return host.kind === 'any' || hostHolds(host, other.name);
}
