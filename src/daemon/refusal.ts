import type { ApiErrorCode } from './contract.ts';

/** HTTP status of each code. */
const STATUS = {
  'bad-request': 400,
  refused: 403,
  loosens: 403,
  'not-found': 404,
  method: 405,
  conflict: 409,
  nested: 409,
  'too-large': 413,
  busy: 429,
  internal: 500,
  slow: 503,
} as const satisfies Record<ApiErrorCode, number>;

/** A request that is answered with an error. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: ApiErrorCode;
  /** What to do next; null when the message says it. */
  readonly remedy: string | null;

  constructor(code: ApiErrorCode, message: string, remedy: string | null = null) {
    super(message);
    this.code = code;
    this.remedy = remedy;
  }

  get status(): (typeof STATUS)[ApiErrorCode] {
    return STATUS[this.code];
  }
}
