import type { Address } from '../model/address.ts';
import type { Transport } from '../model/destination.ts';
import type { Name } from '../model/name.ts';
import type { Opening } from '../model/opening.ts';
import type { RuleReference } from '../model/verdict.ts';
import type { CompiledPolicy } from './compile.ts';
import {
  type Decision,
  exemption,
  fallback,
  type Judgement,
  judge,
  locate,
  select,
  settle,
  strongest,
} from './evaluate.ts';
import { type PortSpec, portsHold } from './ports.ts';
import { type Identities, type Located, type Selection, winners } from './tier.ts';

/** Names that led to an address: each chain is one that was asked for, and then its aliases in order. */
export type Chains = readonly (readonly Name[])[];

/** A call, with what is known of its address. */
export interface Call {
  readonly address: Address;
  /** 0 to 65535; 0 where the protocol has no ports. */
  readonly port: number;
  readonly protocol: Transport;
  readonly chains: Chains;
}

/**
 * What becomes of a TCP connection's first bytes in enforce mode. `read`: they are judged before they leave, and
 * where they name nothing the address's verdict stands. `wait`: the names of its address disagree, so that they
 * decide, and must name one. `proxy`: they must say where a proxy is to go.
 */
export type OpeningUse = 'none' | 'read' | 'wait' | 'proxy';

export interface CallJudgement extends Judgement {
  readonly opening: OpeningUse;
  /** Denied because its names disagree, and nothing would tell them apart. */
  readonly ambiguous: boolean;
}

export type CallDecision = Decision & Pick<CallJudgement, 'opening' | 'ambiguous'>;

/** An address and what is known of it, with what every tier says: all of them together, and each chain alone. */
export interface Situation {
  readonly known: Told;
  readonly bare: Told;
  readonly claims: readonly Told[];
  readonly proxies: Selection;
  readonly sniffers: Selection;
}

/** What every tier has to say of some identities. */
interface Told {
  readonly identities: Identities;
  readonly tiers: readonly Selection[];
}

/** Where an HTTP client or server is most likely: a connection there waits for its bytes. */
export const WEB_SPECS: readonly PortSpec[] = [80, 443].map((port) => ({
  protocol: 'tcp',
  from: port,
  to: port,
}));

export function situate(policy: CompiledPolicy, address: Located, chains: Chains): Situation {
  const told = (names: readonly Name[]): Told => {
    const identities = { address, names };
    return { identities, tiers: select(policy, identities) };
  };
  const known = told([...new Set(chains.flat())]);
  return {
    known,
    bare: known.identities.names.length === 0 ? known : told([]),
    claims: chains.length > 1 ? chains.map(told) : [known],
    proxies: policy.proxies.select(known.identities),
    sniffers: policy.sniffers.select(known.identities),
  };
}

/** Judges a call at one port: the definition for the connect and send hooks. */
export function judgeCall(
  policy: CompiledPolicy,
  { known, bare, claims, proxies, sniffers }: Situation,
  protocol: Transport,
  port: number,
): CallJudgement {
  const at = ({ tiers, identities }: Told) => judge(policy, tiers, identities, protocol, port);
  const holds = (selection: Selection) => winners(selection, protocol, port).length > 0;
  const judgement = at(known);
  if (judgement.answer === 'deny') {
    const disagree = claims.length > 1 && claims.some((claim) => at(claim).answer !== 'deny');
    const waits = disagree && protocol === 'tcp' && (portsHold(WEB_SPECS, protocol, port) || holds(sniffers));
    return { ...judgement, opening: waits ? 'wait' : 'none', ambiguous: disagree && !waits };
  }
  if (protocol !== 'tcp') return { ...judgement, opening: 'none', ambiguous: false };
  const opening = holds(proxies)
    ? ('proxy' as const)
    : policy.deniesNames || (policy.denies && exempt(policy, bare)) || at(bare).answer === 'deny'
      ? ('read' as const)
      : ('none' as const);
  return { ...judgement, opening, ambiguous: false };
}

/** `judgeCall` for one call. */
export function evaluateCall(policy: CompiledPolicy, call: Call): CallDecision {
  const { known, ...others } = situate(policy, locate(call.address), call.chains);
  const judgement = judgeCall(policy, { known, ...others }, call.protocol, call.port);
  const { opening, ambiguous } = judgement;
  return { ...settle(policy, judgement, known.identities), opening, ambiguous };
}

/**
 * Judges a TCP connection by its first bytes: the definition for the message hook. What they name takes the place
 * of the names that led to the address, its own aliases with it; what is said to a proxy is a destination beside
 * the proxy's own, or, to a `proxy: true` service, instead of it.
 *
 * @param chainsAt What is known of another address.
 */
export function evaluateOpening(
  policy: CompiledPolicy,
  call: Omit<Call, 'protocol'>,
  opening: Opening,
  chainsAt: (address: Address) => Chains,
): CallDecision {
  const located = locate(call.address);
  const situation = situate(policy, located, call.chains);
  const first = judgeCall(policy, situation, 'tcp', call.port);
  const denied = first.answer === 'deny' && first.opening !== 'wait';
  const judged = denied ? first : judgeOpening({ policy, call, located, first, opening, chainsAt });
  const names = opening.name === null ? situation.known.identities.names : [opening.name];
  const { ambiguous } = judged;
  return { ...settle(policy, judged, { address: located, names }), opening: 'none', ambiguous };
}

interface Hearing {
  readonly policy: CompiledPolicy;
  readonly call: Omit<Call, 'protocol'>;
  readonly located: Located;
  readonly first: CallJudgement;
  readonly opening: Opening;
  readonly chainsAt: (address: Address) => Chains;
}

type Outcome = Judgement & { readonly ambiguous: boolean };

function judgeOpening(hearing: Hearing): Outcome {
  const { policy, call, located, first, opening } = hearing;
  const waits = first.opening === 'wait';
  if (!opening.readable) return unclear(first, 'its first bytes cannot be read for certain');
  if (first.opening === 'proxy') return judgeInner(hearing);
  if (opening.proxied) return judgeProxied(hearing);
  if (opening.name !== null) {
    if (waits && opening.encrypted) return unclear(first, 'what its address is to serve is encrypted');
    const identities = { address: located, names: withAliases(opening.name, call.chains) };
    return clear(judge(policy, select(policy, identities), identities, 'tcp', call.port));
  }
  if (waits) return unclear(first, 'its first bytes do not say which of the names of its address it is for');
  const other = opening.address === null ? null : locate(opening.address);
  if (other === null || other.lone === located.lone) return clear(first);
  const winner = heaviest([tiersAt(policy, located, call.port), tiersAt(policy, other, call.port)]);
  return clear(winner?.answer === 'deny' ? winner : first);
}

/** What a `proxy: true` service is told to reach is the destination. */
function judgeInner({ policy, call, first, opening, chainsAt }: Hearing): Outcome {
  const port = opening.port ?? call.port;
  if (opening.proxied && opening.name !== null) {
    const unplaced = unplacedName(policy, opening.name);
    return clear(heaviest([tiersOf(unplaced, port)]) ?? fallback(policy, unplaced.exemption));
  }
  if (opening.proxied && opening.address !== null) {
    const inner = situate(policy, locate(opening.address), chainsAt(opening.address));
    return clear(judgeCall(policy, inner, 'tcp', port));
  }
  return unclear(first, 'its first bytes do not say where the proxy is to go');
}

/** What some other process is asked to reach: it is judged where that process is, and for itself. */
function judgeProxied({ policy, call, located, first, opening }: Hearing): Outcome {
  const port = opening.port ?? call.port;
  const proxy = tiersAt(policy, located, call.port);
  if (opening.name !== null) {
    const unplaced = unplacedName(policy, opening.name);
    return clear(heaviest([proxy, tiersOf(unplaced, port)]) ?? fallback(policy, unplaced.exemption));
  }
  const other = opening.address === null ? null : locate(opening.address);
  if (other === null || exemption(policy, other) !== null)
    return first.opening === 'wait'
      ? unclear(first, 'its first bytes do not say which of the names of its address it is for')
      : clear(first);
  return clear(heaviest([proxy, tiersAt(policy, other, port)]) ?? fallback(policy, null));
}

/** A name at an address nobody here knows. */
export interface Unplaced {
  readonly tiers: readonly Selection[];
  readonly exemption: string | null;
}

/** `localhost` and what is below it are this host wherever they are resolved (RFC 6761 §6.3). */
export function unplacedName(policy: CompiledPolicy, name: Name): Unplaced {
  const local = name === 'localhost' || name.endsWith('.localhost');
  const identities: Identities = { address: null, names: [name], unplaced: 'deny' };
  return { tiers: select(policy, identities), exemption: local ? 'loopback' : null };
}

type TierWinners = readonly (Judgement | null)[];

function tiersOf({ tiers }: Pick<Told, 'tiers'>, port: number): TierWinners {
  return tiers.map((selection) => strongest(winners(selection, 'tcp', port)));
}

function tiersAt(policy: CompiledPolicy, address: Located, port: number): TierWinners {
  return tiersOf({ tiers: select(policy, { address, names: [] }) }, port);
}

/** The first tier that says anything of any of them decides; in it the strongest does. */
function heaviest(all: readonly TierWinners[]): Judgement | null {
  const [first = []] = all;
  for (const i of first.keys()) {
    const winner = strongest(all.flatMap((tiers) => tiers[i] ?? []));
    if (winner) return winner;
  }
  return null;
}

/** The name, and what it is an alias of in any chain. */
export function withAliases(name: Name, chains: Chains): readonly Name[] {
  const tails = chains.map((chain) => {
    const at = chain.indexOf(name);
    return at < 0 ? [] : chain.slice(at);
  });
  return [...new Set([name, ...tails.flat()])];
}

function exempt(policy: CompiledPolicy, { identities }: Told): boolean {
  return exemption(policy, identities.address) !== null;
}

function clear({ answer, rule, cycle }: Judgement): Outcome {
  return { answer, rule, cycle, ambiguous: false };
}

/** Denied since it cannot be told; by the rule that would deny one of its names, if there is one. */
function unclear(first: CallJudgement, reason: string): Outcome {
  const none = {
    kind: 'default',
    source: null,
    id: null,
    service: null,
    owner: null,
    instead: null,
  } as const;
  const rule: RuleReference = first.answer === 'deny' ? { ...first.rule, reason } : { ...none, reason };
  return { answer: 'deny', rule, cycle: first.answer === 'deny' ? first.cycle : null, ambiguous: true };
}
