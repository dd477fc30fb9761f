import type { AuditEvent } from '../model/event.ts';
import type { RunSummary } from '../model/summary.ts';

/** A process for sure: its pid, its start in clock ticks since boot, and the boot. */
export interface Engine {
  readonly pid: number;
  readonly start: string;
  readonly boot: string;
}

/** That a run has begun; what is known of it before its first event. */
export interface RunStart {
  readonly v: 1;
  readonly kind: 'run';
  /** RFC 3339, UTC, nanoseconds. */
  readonly time: string;
  readonly host: string;
  readonly run: string;
  readonly deployment: string | null;
  readonly policy: string | null;
  readonly mode: RunSummary['mode'];
  readonly labels: Readonly<Record<string, string>>;
  /** The command, masked. */
  readonly command: readonly string[];
  /** Who guards it; null when that cannot be told. */
  readonly engine: Engine | null;
}

/** What goes into the trail. */
export type TrailRecord = RunStart | AuditEvent | RunSummary;
