import { addressBytes, addressFamily, type Prefix, prefixHolds } from '../model/address.ts';
import type { Destination, Transport } from '../model/destination.ts';
import type { Name } from '../model/name.ts';
import type { Answer, RuleReference, Verdict } from '../model/verdict.ts';
import type { CompiledPolicy } from './compile.ts';
import { pieces } from './pieces.ts';
import type { Clause, Identities, Located } from './tier.ts';

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

const LOOPBACK_V4: Prefix = { family: 4, text: '127.0.0.0/8', bytes: addressBytes('127.0.0.0'), length: 104 };
const LOOPBACK_V6 = addressBytes('::1');

/** Judges one destination: the definition (design §3), which the kernel's tables are flattened from. */
export function evaluate(policy: CompiledPolicy, destination: Destination): Decision {
  const { address, names, port, protocol } = destination;
  const identities = { address: address === null ? null : locate(address), names };
  return decide(policy, identities, protocol, port);
}

/** The same for identities as tiers take them; a prefix can stand for an address. */
export function decide(
  policy: CompiledPolicy,
  identities: Identities,
  protocol: Transport,
  port: number,
): Decision {
  for (const tier of policy.tiers) {
    const winner = strongest(tier.winners(identities, protocol, port));
    if (!winner) continue;
    const { answer, rule, cycle } = winner;
    return { ...settle(policy, answer, rule, identities), cycle };
  }
  const { answer, rule } = policy.fallback;
  const exempt = answer === 'deny' ? exemption(policy, identities.address) : null;
  if (exempt === null) return settle(policy, answer, rule, identities);
  return settle(policy, 'allow', { ...rule, source: null, reason: exempt }, identities);
}

/**
 * Judges a lookup. It is denied if no protocol and port of the names could be allowed, whatever address they
 * lead to: so that under `default: deny` a name no rule allows never leaves the host.
 */
export function evaluateLookup(policy: CompiledPolicy, names: readonly Name[]): Decision {
  const identities: Identities = { address: null, names };
  const likely = decide(policy, identities, 'tcp', 443);
  if (likely.answer !== 'deny') return likely;
  for (const { protocol, from } of pieces(policy, identities)) {
    const decision = decide(policy, identities, protocol, from);
    if (decision.answer !== 'deny') return decision;
  }
  return likely;
}

/** An address as tiers look for it; the unspecified addresses are loopback, as the kernel has it. */
export function locate(address: string): Located {
  const settled = address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;
  return { family: addressFamily(settled), bytes: addressBytes(settled), longest: 128 };
}

/** If any identity's winner denies, so it is; otherwise one allow is enough; otherwise it is for audit. */
function strongest(winners: readonly Clause[]): Clause | null {
  const by = (answer: Answer) => winners.find((winner) => winner.answer === answer);
  return by('deny') ?? by('allow') ?? by('audit') ?? null;
}

function settle(
  policy: CompiledPolicy,
  answer: Answer,
  rule: RuleReference,
  identities: Identities,
): Decision {
  const wouldDeny = answer === 'audit' || (answer === 'deny' && policy.mode === 'audit');
  const verdict = wouldDeny ? 'would-deny' : answer;
  return { verdict, answer, rule, service: serviceOf(policy, identities), cycle: null };
}

/** Why the default does not deny this address; null when it does. */
function exemption(policy: CompiledPolicy, address: Located | null): string | null {
  if (!address) return null;
  if (isLoopback(address)) return 'loopback';
  return isOwn(policy, address) ? "this host's own address" : null;
}

export function isLoopback({ bytes, longest }: Located): boolean {
  if (prefixHolds(LOOPBACK_V4, bytes)) return longest >= LOOPBACK_V4.length;
  return longest === 128 && bytes.every((byte, i) => byte === LOOPBACK_V6[i]);
}

function isOwn(policy: CompiledPolicy, { bytes, longest }: Located): boolean {
  if (longest < 128) return false;
  for (const own of policy.ownAddresses) {
    const ownBytes = addressBytes(own);
    if (ownBytes.every((byte, i) => byte === bytes[i])) return true;
  }
  return false;
}

/** The service of the most specific pattern that holds an identity, names before the address. */
function serviceOf(policy: CompiledPolicy, identities: Identities): string | null {
  return policy.services.winners(identities, 'other', 0)[0]?.rule.service ?? null;
}
