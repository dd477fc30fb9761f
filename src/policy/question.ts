import { parseAddress } from '../model/address.ts';
import type { Destination, Transport } from '../model/destination.ts';
import type { AuditEvent } from '../model/event.ts';
import type { Name } from '../model/name.ts';
import type { Answer, RuleKind, Verdict } from '../model/verdict.ts';
import type { CompiledPolicy } from './compile.ts';
import { type Decision, evaluate, evaluateLookup } from './evaluate.ts';

/** What a recorded event asked of the policy. */
export type Question =
  | { readonly kind: 'call'; readonly destination: Destination }
  /** The name asked for first, then its aliases. */
  | { readonly kind: 'lookup'; readonly names: readonly Name[] };

/** The question an event was; null for what no rule decides (an escape, a change of policy). */
export function questionOf({ kind, verdict, destination }: AuditEvent): Question | null {
  if (verdict === null || destination === null) return null;
  const { names, port, protocol } = destination;
  if (kind === 'dns') return names.length > 0 ? { kind: 'lookup', names } : null;
  if (kind !== 'connect' && kind !== 'send') return null;
  const address = parseAddress(destination.address ?? '');
  if (address === null) return null;
  return { kind: 'call', destination: { address, names, port: port ?? 0, protocol: transportOf(protocol) } };
}

function transportOf(protocol: string | null): Transport {
  return protocol === 'tcp' || protocol === 'udp' ? protocol : 'other';
}

/** The policy's word on a question, by the engine that guards. */
export function judgeQuestion(policy: CompiledPolicy, question: Question): Decision {
  return question.kind === 'call'
    ? evaluate(policy, question.destination)
    : evaluateLookup(policy, question.names);
}

/** What the rules said, whatever the mode, of what was recorded with this verdict by a rule of this kind. */
export function answerOf(verdict: Verdict, kind: RuleKind | null): Answer {
  if (verdict !== 'would-deny') return verdict;
  return kind === 'audit' ? 'audit' : 'deny';
}
