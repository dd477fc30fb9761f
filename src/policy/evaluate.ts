import { type Address, addressBytes, addressFamily, type Prefix, prefixHolds } from '../model/address.ts';
import type { Destination, Transport } from '../model/destination.ts';
import { attributeOwner, type Name } from '../model/name.ts';
import { reversedAddress } from '../model/reverse-name.ts';
import type { Answer, RuleReference, Verdict } from '../model/verdict.ts';
import type { CompiledPolicy } from './compile.ts';
import { pieces } from './pieces.ts';
import {
  type Identities,
  type Located,
  type Ruling,
  type Selection,
  settleUnspecified,
  winners,
} from './tier.ts';

/** What was decided, by which rule, and on which path of services. */
export interface Decision {
  readonly verdict: Verdict;
  /** What the rules say, whatever the mode. */
  readonly answer: Answer;
  readonly rule: RuleReference;
  /** The service the destination belongs to, named by a rule or not. */
  readonly service: string | null;
  /** Services from the deployment back to itself; null when the rule is not about a cycle. */
  readonly cycle: readonly string[] | null;
}

/** The rules' word at one port, before the mode is applied. */
export type Judgement = Pick<Ruling, 'answer' | 'rule' | 'cycle'>;

const LOOPBACK_V4: Prefix = { family: 4, text: '127.0.0.0/8', bytes: addressBytes('127.0.0.0'), length: 104 };

/** Judges one destination: the definition (design §3), which the kernel's tables are flattened from. */
export function evaluate(policy: CompiledPolicy, destination: Destination): Decision {
  const { address, names, port, protocol } = destination;
  const identities = { address: address === null ? null : locate(address), names };
  return settle(policy, judge(policy, select(policy, identities), identities, protocol, port), identities);
}

/** What each tier has to say of the identities, highest first. */
export function select(policy: CompiledPolicy, identities: Identities): readonly Selection[] {
  return policy.tiers.map((tier) => tier.select(identities));
}

/** The first tier with an answer at this port, or the default. */
export function judge(
  policy: CompiledPolicy,
  tiers: readonly Selection[],
  { address }: Identities,
  protocol: Transport,
  port: number,
): Judgement {
  for (const selection of tiers) {
    const winner = strongest(winners(selection, protocol, port));
    if (winner) return winner;
  }
  return fallback(policy, exemption(policy, address));
}

/** The default, which does not deny what is exempt from it. */
export function fallback(policy: CompiledPolicy, exempt: string | null): Judgement {
  const { answer, rule } = policy.fallback;
  if (answer !== 'deny' || exempt === null) return { answer, rule, cycle: null };
  return { answer: 'allow', rule: { ...rule, source: null, reason: exempt }, cycle: null };
}

/**
 * Judges a lookup, the name asked for first and its aliases after it. It is denied if no protocol and port of the
 * names could be allowed, whatever address they lead to: so that under `default: deny` a name no rule allows never
 * leaves the host. An attribute (`_mysql._tcp.db.internal`) is judged with the name it belongs to. Where no rule
 * speaks of a reverse name, it is allowed if any port of its address could be.
 *
 * @param chainsAt What is known to have led to an address.
 */
export function evaluateLookup(
  policy: CompiledPolicy,
  names: readonly Name[],
  chainsAt: (address: Address) => readonly (readonly Name[])[] = () => [],
): Decision {
  const byName: Identities = { address: null, names: names.flatMap((name) => [name, ...ownerOf(name)]) };
  const found = mostOpen(policy, byName);
  const reversed = reversedAddress(names[0] ?? '');
  if (isOpen(found) || found.rule.kind !== 'default' || reversed === null)
    return settle(policy, found, byName);
  for (const names of [[], ...chainsAt(reversed)]) {
    const byAddress: Identities = { address: locate(reversed), names };
    const ofAddress = mostOpen(policy, byAddress);
    if (isOpen(ofAddress)) return settle(policy, ofAddress, byAddress);
  }
  return settle(policy, found, byName);
}

/** What is said where it is most likely to be allowed: at 443/tcp, or else at the first port that is open. */
function mostOpen(policy: CompiledPolicy, identities: Identities): Judgement {
  const tiers = select(policy, identities);
  const likely = judge(policy, tiers, identities, 'tcp', 443);
  if (isOpen(likely)) return likely;
  const elsewhere = pieces(tiers)
    .map(({ protocol, from }) => judge(policy, tiers, identities, protocol, from))
    .find(isOpen);
  return elsewhere ?? likely;
}

function isOpen({ answer }: Judgement): boolean {
  return answer !== 'deny';
}

function ownerOf(name: Name): Name[] {
  const owner = attributeOwner(name);
  return owner === null ? [] : [owner];
}

/**
 * An address as tiers look for it; the unspecified addresses are loopback, as the kernel has it. `bytes`: its own, where
 * they are at hand.
 */
export function locate(address: Address, bytes: Uint8Array | null = null): Located {
  const lone = settleUnspecified(address);
  const own = lone === address && bytes ? bytes : addressBytes(lone);
  return { family: addressFamily(lone), bytes: own, longest: 128, lone };
}

/** If any identity's winner denies, so it is; otherwise one allow is enough; otherwise it is for audit. */
export function strongest<Winner extends Judgement>(winners: readonly Winner[]): Winner | null {
  const by = (answer: Answer) => winners.find((winner) => winner.answer === answer);
  return by('deny') ?? by('allow') ?? by('audit') ?? null;
}

/** A judgement under the policy's mode, with the service of whoever was judged. */
export function settle(
  policy: CompiledPolicy,
  { answer, rule, cycle }: Judgement,
  identities: Identities,
): Decision {
  const wouldDeny = answer === 'audit' || (answer === 'deny' && policy.mode === 'audit');
  const verdict = wouldDeny ? 'would-deny' : answer;
  return { verdict, answer, rule, service: rule.service ?? serviceOf(policy, identities), cycle };
}

/** Why the default does not deny this address; null when it does. */
export function exemption(policy: CompiledPolicy, address: Located | null): string | null {
  if (!address) return null;
  if (isLoopback(address)) return 'loopback';
  return address.lone !== null && policy.ownAddresses.has(address.lone) ? "this host's own address" : null;
}

function isLoopback({ bytes, longest, lone }: Located): boolean {
  return lone === '::1' || (longest >= LOOPBACK_V4.length && prefixHolds(LOOPBACK_V4, bytes));
}

/** The service of the most specific pattern that holds an identity, names before the address. */
function serviceOf(policy: CompiledPolicy, identities: Identities): string | null {
  return policy.services.select(identities)[0]?.[0]?.[0]?.rule.service ?? null;
}
