import type { ProcessWithAncestry } from './process.ts';
import type { RuleKind, Verdict } from './verdict.ts';

export type EventKind = 'connect' | 'send' | 'dns' | 'exec-outside' | 'escape' | 'policy' | 'summary';

/** One outbound attempt as recorded (design §5). Fields are added, never renamed; unknown is null. */
export interface AuditEvent {
  readonly v: 1;
  /** ULID. */
  readonly id: string;
  /** RFC 3339, UTC, nanoseconds. */
  readonly time: string;
  readonly host: string;
  readonly run: string;
  readonly deployment: string | null;
  /** The service that called, where it is an attached one and no run; otherwise the field is not there. */
  readonly attached?: string;
  /** First seven hex digits of the policy's SHA-256; null when there is none. */
  readonly policy: string | null;
  /** Identical repeats folded into this event; at least 1. */
  readonly count: number;
  readonly kind: EventKind;
  readonly destination: EventDestination | null;
  readonly process: ProcessWithAncestry | null;
  readonly verdict: Verdict | null;
  readonly rule: EventRule | null;
  readonly dependency: EventDependency | null;
  readonly outcome: EventOutcome | null;
  /** Denied since it could not be told which of several names it was for. */
  readonly ambiguous?: true;
  /** Who listens at a loopback or own address the call was made to, where that is outside the run. */
  readonly listener?: EventListener;
  /** The hook that saw it, as `cgroup/connect4`, `dns`. */
  readonly hook: string | null;
  /** What the staged policy says of it; where there is none, the field is not there. */
  readonly staged?: EventStaged;
  /** What was changed; only where the kind is `policy` and the daemon changed it. */
  readonly change?: EventChange;
}

/** A change of the policy in force, or of a live entry. */
export interface EventChange {
  readonly what:
    | 'start'
    | 'apply'
    | 'reload'
    | 'files'
    | 'rollback'
    | 'entry-made'
    | 'entry-removed'
    | 'entry-lapsed';
  /** The uid that asked for it; null where nobody did. */
  readonly by: number | null;
  readonly reason: string | null;
  /** The policy that was in force before; null when there was none. */
  readonly before: string | null;
  /** What it means otherwise, a line each. */
  readonly changes: readonly string[];
}

/** The word of a policy that is only tried. */
export interface EventStaged {
  /** First seven hex digits of the staged policy's SHA-256. */
  readonly policy: string;
  readonly verdict: Verdict;
  readonly rule: EventRule;
}

export interface EventDestination {
  readonly address: string | null;
  readonly port: number | null;
  /** `tcp`, `udp`, `icmp`, …; a protocol without a name is its number. */
  readonly protocol: string | null;
  readonly names: readonly string[];
  readonly service: string | null;
}

export interface EventListener {
  readonly pid: number;
  readonly comm: string | null;
  readonly exe: string | null;
}

export interface EventRule {
  readonly source: string | null;
  readonly kind: RuleKind;
  readonly reason: string | null;
  readonly owner: string | null;
}

export interface EventDependency {
  readonly kind: 'direct' | 'hidden' | 'transient' | null;
  readonly evidence: string | null;
  /** Services from the deployment back to itself; empty where nothing leads back. */
  readonly path: readonly string[];
}

export interface EventOutcome {
  /** Symbolic (`EPERM`) or null when the call was let through or its end is unknown. */
  readonly errno: string | null;
  /** Of a call that was denied or failed, until it returned; of a connection, until it was there. */
  readonly duration_us: number | null;
  /** How a TCP connection came about or ended; null while that is not known, and for everything else. */
  readonly result: ConnectResult | null;
  /** Payload of a connection that has ended. */
  readonly bytes_sent: number | null;
  readonly bytes_received: number | null;
}

/** Whether a call that was let through came to nothing. */
export function isFailure(outcome: EventOutcome | null): boolean {
  return outcome !== null && (outcome.errno !== null || outcome.result === 'abandoned');
}

/** `abandoned`: the caller closed it, or was ended, before it was there. */
export const CONNECT_RESULTS = [
  'connected',
  'refused',
  'timed-out',
  'reset',
  'unreachable',
  'abandoned',
  'failed',
] as const;
export type ConnectResult = (typeof CONNECT_RESULTS)[number];
