/** Why the guard cannot be set up, in the words of whoever must fix it. */
export class SetupFailure extends Error {
  readonly code: SetupFailureCode;
  /** What to do next; one sentence. */
  readonly remedy: string;

  constructor(code: SetupFailureCode, message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SetupFailure';
    this.code = code;
    this.remedy = remedy;
  }
}

/** The catalogue of set-up failures; docs/errors.md explains each. */
export type SetupFailureCode =
  | 'not-root'
  | 'no-capability'
  | 'old-kernel'
  | 'no-addon'
  | 'no-object'
  | 'no-cgroup2'
  | 'cgroup-refused'
  | 'cgroup-namespace'
  | 'no-limits'
  | 'levels'
  | 'no-bpffs'
  | 'no-btf'
  | 'load-refused'
  | 'attach-refused'
  | 'dns-proxy'
  | 'inherited-socket'
  | 'outside-resolver'
  | 'delegate-open'
  | 'state'
  | 'no-target'
  | 'unfit-target'
  | 'attached-already'
  | 'not-attached';
