import type { AuditEvent } from '../model/event.ts';
import type { RunSummary } from '../model/summary.ts';
import type { Mode, RuleReference } from '../model/verdict.ts';

/** What the daemon answers, version 1 (docs/api.md). Times are RFC 3339, UTC; unknown is null. Fields are added. */

/** `GET /v1/status`. */
export interface Status {
  readonly version: string;
  readonly mode: 'daemon';
  readonly pid: number;
  readonly started: string;
  /** What of the kernel is in use, as `acyclic doctor` names it. */
  readonly features: readonly string[];
  readonly policies: readonly PolicyInForce[];
  readonly runs: readonly RunState[];
  readonly attachments: readonly Attachment[];
  /** Events lost, by cause. */
  readonly lost: Readonly<Record<string, number>>;
  readonly entries: readonly Entry[];
  /** Waivers that lapse within two weeks, or have lapsed. */
  readonly waivers: readonly LapsingWaiver[];
  /** Why the daemon is not well, for people; empty when it is. */
  readonly degraded: readonly string[];
}

/** A policy as one deployment has it. */
export interface PolicyInForce {
  /** Null: every run without one of its own. */
  readonly deployment: string | null;
  /** First seven hex digits of the policy's SHA-256. */
  readonly id: string;
  /** The file or directory it came from, or `api`. */
  readonly source: string;
  readonly mode: Mode;
  /** When it took effect. */
  readonly applied: string;
}

export interface LapsingWaiver {
  readonly deployment: string;
  readonly service: string;
  /** The last day, as `2027-03-31`. */
  readonly until: string;
  readonly owner: string | null;
}

/** A run in progress. */
export interface RunState {
  readonly id: string;
  readonly deployment: string | null;
  readonly policy: string | null;
  readonly mode: RunSummary['mode'];
  readonly labels: Readonly<Record<string, string>>;
  /** Who started it; null for one that no user did, as of a matched unit. */
  readonly uid: number | null;
  readonly started: string;
  /** Base name of the program. */
  readonly comm: string | null;
  /** Secrets masked; null for a run of another user. */
  readonly command: readonly string[] | null;
  readonly calls: number;
  readonly denials: number;
  readonly would_deny: number;
}

/** `POST /v1/runs`: what the client needs for its opening line. */
export interface CreatedRun {
  readonly id: string;
  readonly deployment: string | null;
  readonly mode: Mode;
  /** Null when there is no policy, and the run is observed. */
  readonly policy: string | null;
  readonly staged: string | null;
  /** What is doubtful about the policy, each a text of lines; and what cannot be watched here. */
  readonly warnings: readonly string[];
  readonly unwatched: readonly string[];
}

/** `POST /v1/runs/:id/end`. */
export interface EndedRun {
  readonly summary: RunSummary;
}

/** `POST /v1/policy/apply`, `/reload` and `/rollback`. */
export interface AppliedPolicy {
  readonly id: string;
  /** Null: there was none. */
  readonly before: string | null;
  /** False: it is the one in force already, and nothing was changed. */
  readonly changed: boolean;
  /** What it means otherwise than the one before, a line each. */
  readonly changes: readonly string[];
  readonly warnings: readonly string[];
  /** Runs in progress that go by it from now on. */
  readonly runs: number;
}

/** `GET /v1/policy`. */
export interface PolicyAnswer {
  /** Null: none is installed. */
  readonly id: string | null;
  readonly source: string | null;
  readonly applied: string | null;
  readonly files: readonly { readonly path: string; readonly text: string }[];
  readonly inForce: readonly PolicyInForce[];
}

/** `GET /v1/policy/history`: newest first. */
export interface PolicyHistory {
  readonly versions: readonly PolicyVersion[];
}

export interface PolicyVersion {
  readonly id: string;
  readonly applied: string;
  readonly inForce: boolean;
  /** What brought it about; `files`: a change in the policy directory. */
  readonly by: 'start' | 'apply' | 'reload' | 'files' | 'rollback';
  /** Null where nobody asked. */
  readonly who: Who | null;
  readonly reason: string | null;
  readonly changes: readonly string[];
}

/** Who asked for a change. */
export interface Who {
  readonly uid: number;
  readonly pid: number;
  readonly comm: string | null;
}

/** A live entry. */
export interface Entry {
  readonly id: string;
  readonly verdict: 'allow' | 'deny';
  readonly destination: string;
  /** Null: of every deployment. */
  readonly deployment: string | null;
  readonly reason: string;
  readonly created: string;
  readonly until: string;
  readonly who: Who;
}

/** A cgroup that is guarded and was not made for it. */
export interface Attachment {
  readonly id: string;
  /** As asked for: `unit:mysql.service`, `pid:4242`, `container:0123456789ab`, `cgroup:/a/b`. */
  readonly target: string;
  readonly cgroup: string;
  readonly deployment: string | null;
  readonly policy: string | null;
  readonly mode: Mode;
  readonly since: string;
  /** Connections that were there before, and are left alone; only when it is made. */
  readonly established: readonly string[];
  readonly calls: number;
  readonly denials: number;
  readonly would_deny: number;
}

/** `GET /v1/guarded`: whether a cgroup is guarded, by a guard of its own or of one it is in. */
export interface Guarded {
  /** From the root of the cgroup tree. */
  readonly cgroup: string;
  readonly guarded: boolean;
  /** Of its guard; null where there is none. */
  readonly run: string | null;
  readonly deployment: string | null;
  readonly mode: Mode | null;
  /** The deployment whose `match` holds it; null: none does. */
  readonly matched: string | null;
  /** Whether it must not start without; true where no `match` holds it. */
  readonly required: boolean;
  /** Why it could not be guarded; null: it is, or that was not tried yet. */
  readonly why: string | null;
}

/** An event with what its message needs and its record does not hold. */
export interface Told {
  readonly event: AuditEvent;
  readonly rule: RuleReference | null;
  /** Services from the deployment back to itself; null when the rule is not about a cycle. */
  readonly cycle: readonly string[] | null;
  /** What the caller saw, as `connect() = EPERM`; null when it was let through. */
  readonly saw: string | null;
}

/** One message of a stream. */
export type StreamMessage =
  /** A call that was denied, told before the caller knows; it comes again as `event` when it is over. */
  | ({ readonly kind: 'denied' } & Told)
  /** An event that is over. */
  | ({ readonly kind: 'event' } & Told)
  | { readonly kind: 'started'; readonly run: RunState }
  /** The last of a run. */
  | { readonly kind: 'ended'; readonly summary: RunSummary }
  /** Somebody took the programs off the run's cgroup: it goes on unguarded. */
  | { readonly kind: 'guard-lost'; readonly run: string }
  /** The last of a stream whose reader was too slow: so many messages were not sent. */
  | { readonly kind: 'cut'; readonly missed: number };
