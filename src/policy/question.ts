import { parseAddress } from '../model/address.ts';
import type { Destination, Transport } from '../model/destination.ts';
import type { AuditEvent, EventKind } from '../model/event.ts';
import type { Name } from '../model/name.ts';
import type { Answer, RuleKind, Verdict } from '../model/verdict.ts';
import type { CompiledPolicy } from './compile.ts';
import { type Decision, evaluate, evaluateLookup } from './evaluate.ts';

const DNS_PORT = 53;

/** What a recorded event asked of the policy. */
export type Question =
  | {
      readonly kind: 'call';
      readonly destination: Destination;
      /** It sent nothing by itself, and may be no call at all. */
      readonly probe: boolean;
    }
  /** The name asked for first, then its aliases. */
  | { readonly kind: 'lookup'; readonly names: readonly Name[] };

/**
 * The question an event was; null for what no rule decides: an escape, a change of policy, a call the guard could
 * not judge, a look at the route to an address, and a call to port 53, which goes to the DNS proxy wherever a
 * policy is enforced.
 */
export function questionOf(event: AuditEvent): Question | null {
  const { kind, verdict, destination, rule } = event;
  if (verdict === null || destination === null) return null;
  const { names, port, protocol } = destination;
  // A default that denies is written somewhere; a denial without a place is one of the guard, for its own cause.
  if (verdict === 'deny' && rule?.kind === 'default' && rule.source === null) return null;
  if (kind === 'dns') return names.length > 0 ? { kind: 'lookup', names } : null;
  if (kind !== 'connect' && kind !== 'send') return null;
  const address = parseAddress(destination.address ?? '');
  if (address === null) return null;
  const transport = transportOf(protocol);
  if (port === DNS_PORT && transport !== 'other') return null;
  const probe = isProbe(event);
  if (probe && port === 0) return null;
  return { kind: 'call', destination: { address, names, port: port ?? 0, protocol: transport }, probe };
}

/**
 * connect() of UDP, which getaddrinfo(3) does on each address of a name with the port that TCP will go to, only to
 * sort them by route: where TCP may go there, the guard passes it over (bpf/call.bpf.h, probes_route).
 */
export function isProbe({ kind, destination }: AuditEvent): boolean {
  return kind === 'connect' && destination?.protocol === 'udp';
}

function transportOf(protocol: string | null): Transport {
  return protocol === 'tcp' || protocol === 'udp' ? protocol : 'other';
}

/** The policy's word on a question, by the engine that guards. */
export function judgeQuestion(policy: CompiledPolicy, question: Question): Decision {
  if (question.kind === 'lookup') return evaluateLookup(policy, question.names);
  const { destination, probe } = question;
  const decision = evaluate(policy, destination);
  if (!probe || decision.answer !== 'deny') return decision;
  const asTcp = evaluate(policy, { ...destination, protocol: 'tcp' });
  return asTcp.answer === 'deny' ? decision : asTcp;
}

/**
 * Whether the call was found exempt from the default when it was made (loopback, the host's own address), so that
 * it is under any policy whose rules do not speak of it. A host's addresses are not known elsewhere, or later.
 */
export function isExempt({ verdict, rule }: AuditEvent): boolean {
  return verdict === 'allow' && rule?.kind === 'default' && rule.reason !== null;
}

/**
 * What the rules said, whatever the mode, of what was recorded with this verdict by a rule of this kind. Work handed on
 * is not denied by default.
 */
export function answerOf(verdict: Verdict, rule: RuleKind | null, kind: EventKind): Answer {
  if (verdict !== 'would-deny') return verdict;
  return rule === 'audit' || (rule === 'default' && kind === 'exec-outside') ? 'audit' : 'deny';
}
