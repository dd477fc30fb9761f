import type { ConnectResult } from './event.ts';
import type { Limits } from './limits.ts';

/** The last object of a report: what a run came to (design §2). Fields are added, never renamed. */
export interface RunSummary {
  readonly v: 1;
  readonly kind: 'summary';
  /** ULID. */
  readonly id: string;
  /** RFC 3339, UTC, nanoseconds. */
  readonly time: string;
  readonly host: string;
  readonly run: string;
  readonly deployment: string | null;
  /** First seven hex digits of the policy's SHA-256; null when there is none. */
  readonly policy: string | null;
  /** `unguarded`: broken glass, with no guard to be had. */
  readonly mode: 'enforce' | 'audit' | 'unguarded';
  /** As given by `--label`. */
  readonly labels: Readonly<Record<string, string>>;
  /** Outbound attempts, repeats counted. */
  readonly calls: number;
  /** Distinct destinations. */
  readonly destinations: number;
  readonly denials: number;
  readonly would_deny: number;
  /** Each a path of services from the deployment back to itself. */
  readonly cycles: readonly (readonly string[])[];
  /** Events lost, by cause; empty when none were. */
  readonly lost: Readonly<Record<string, number>>;
  /** Records of how calls ended that were lost, where any were: those calls have no outcome. */
  readonly lost_ends?: number;
  /** Destinations that were denied or failed, the most time lost first. */
  readonly waiting: readonly DestinationWait[];
  /** What connections that have ended carried, by destination. */
  readonly traffic: readonly DestinationTraffic[];
  /** What the staged policy would have decided otherwise; null where there is none. */
  readonly staged: StagedTotals | null;
  /** Destinations, as in messages, that no earlier run called; null unless asked for by `--fail-on new`. */
  readonly new_destinations: readonly string[] | null;
  readonly exit: {
    /** The command's own status, 128+n for signal n; null if it never started. */
    readonly command: number | null;
    readonly acyclic: number;
  };
  readonly duration_ms: number;
  /** Null: there was no guard, and so no cgroup of the run. */
  readonly limits: RunLimits | null;
  /** What still ran in the run when its command exited. */
  readonly leftover: readonly LeftProcess[];
  /** What was watched or guarded where it was no run but an existing cgroup; otherwise the field is not there. */
  readonly attached?: AttachedCgroup;
}

/** An existing cgroup that Acyclic was attached to. */
export interface AttachedCgroup {
  readonly cgroup: string;
  /** The service its processes are; null where they were guarded under a deployment, or only watched. */
  readonly service: string | null;
  /** Why it ended: somebody asked for it, its time was over, the cgroup is gone, the guard was lost. */
  readonly ended: 'asked' | 'time' | 'gone' | 'lost';
  /** Calls made before, which were left alone. */
  readonly established: readonly EstablishedConnection[];
}

/** A connection that was there before the guard. */
export interface EstablishedConnection {
  readonly pid: number;
  readonly comm: string | null;
  readonly address: string;
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
  /** By its address. */
  readonly service: string | null;
}

/** What a run was limited to, and what became of that. Counts are null where its cgroup has no such controller. */
export interface RunLimits extends Limits {
  /** False: somebody changed a limit, or took it off, while the run went on. */
  readonly in_force: boolean;
  /** Processes killed for want of memory, by the limit or another one above. */
  readonly oom_kills: number | null;
  /** Times that a whole cgroup was killed so. */
  readonly oom_group_kills: number | null;
  /** Forks that failed. */
  readonly tasks_refused: number | null;
  /** Time it wanted to run and had to wait, of all its processors together. */
  readonly throttled_ms: number | null;
}

/** Calls by what the policy in force and the staged one say of them, repeats counted. */
export interface StagedTotals {
  /** First seven hex digits of the staged policy's SHA-256. */
  readonly policy: string;
  /** Calls with another verdict by the staged policy. */
  readonly differs: number;
  /** Of those, let through by the policy in force and denied by the staged one; and the reverse. */
  readonly denied: number;
  readonly allowed: number;
}

/** Time a run lost to one destination. */
export interface DestinationWait {
  /** As in messages: `github.com:443/tcp`. */
  readonly destination: string;
  /** Denied by the guard, or how its connections failed. */
  readonly outcome: 'denied' | ConnectResult;
  readonly attempts: number;
  /** Spent inside calls that were denied or failed. */
  readonly wait_ms: number;
  /** From the first such attempt to the last. */
  readonly retry_ms: number;
}

/** Payload of connections to one destination. */
export interface DestinationTraffic {
  readonly destination: string;
  readonly bytes_sent: number;
  readonly bytes_received: number;
}

export interface LeftProcess {
  readonly pid: number;
  readonly comm: string | null;
  readonly argv: readonly string[] | null;
}
