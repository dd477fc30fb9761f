/** One program image of a process. */
export interface ProcessImage {
  readonly pid: number;
  /** RFC 3339 with nanoseconds; null when the process started before it was watched. */
  readonly start: string | null;
  readonly uid: number | null;
  readonly comm: string | null;
  readonly exe: string | null;
  readonly argv: readonly string[] | null;
}

/** A process and the processes that led to it, nearest parent first, ending at the run's command. */
export interface ProcessWithAncestry extends ProcessImage {
  readonly ancestry: readonly ProcessImage[];
}
