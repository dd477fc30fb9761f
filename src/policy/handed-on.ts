import type { DelegateName } from '../model/delegate.ts';
import type { AuditEvent } from '../model/event.ts';
import type { CompiledPolicy } from './compile.ts';
import type { Decision } from './evaluate.ts';

/** Who takes work at a UNIX socket, where policy speaks of him. */
export type DelegateAt = (path: string) => DelegateName | null;

/** To whom a recorded event handed work; null: to nobody, or to nobody policy speaks of. */
export function takerOf({ kind, verdict, destination }: AuditEvent, at: DelegateAt): DelegateName | null {
  const path = kind === 'exec-outside' && verdict !== null ? destination?.names[0] : undefined;
  return path === undefined ? null : at(path);
}

/** What a policy says of work for a delegate. */
export function judgeWork({ delegates, mode, fallback }: CompiledPolicy, name: DelegateName): Decision {
  const { answer, rule } = delegates.get(name) ?? fallback;
  const denied = mode === 'enforce' ? 'deny' : 'would-deny';
  const verdict = { allow: 'allow', audit: 'would-deny', deny: denied } as const;
  return { verdict: verdict[answer], answer, rule, service: null, cycle: null };
}
