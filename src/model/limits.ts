/** What a run may use of the host; null: not limited. */
export interface Limits {
  /** Hundredths of one processor: 200 is two. */
  readonly cpu: number | null;
  /** Bytes. */
  readonly memory: number | null;
  /** Processes and threads at once. */
  readonly tasks: number | null;
}

export const NO_LIMITS: Limits = { cpu: null, memory: null, tasks: null };
