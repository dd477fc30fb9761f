/** Why the daemon cannot start, or serve; docs/errors.md explains each. */
export type DaemonFailureCode = 'daemon-running' | 'socket' | 'state-directory' | 'metrics-address';

/** The daemon cannot start; said to whoever must act. `acyclic daemon` exits 125. */
export class DaemonFailure extends Error {
  override readonly name = 'DaemonFailure';
  readonly code: DaemonFailureCode;
  /** What to do next; one sentence. */
  readonly remedy: string;
  readonly exit = 125;

  constructor(code: DaemonFailureCode, message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.remedy = remedy;
  }
}
