/** What can be wrong with the audit trail; docs/errors.md explains each. */
export type AuditFailureCode =
  | 'unsafe-state'
  | 'no-store'
  | 'store-unreadable'
  | 'store-newer'
  | 'store-damaged'
  | 'no-record'
  | 'ambiguous-id';

/** The audit trail cannot be had, or has not what was asked for; said to whoever must act. */
export class AuditFailure extends Error {
  override readonly name = 'AuditFailure';
  readonly code: AuditFailureCode;
  /** What to do next; one sentence. */
  readonly remedy: string;

  constructor(code: AuditFailureCode, message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.remedy = remedy;
  }
}

/** Primary result codes of SQLite (sqlite3.h) that mean the file itself is no good. */
const DAMAGED = new Set([11 /* SQLITE_CORRUPT */, 26 /* SQLITE_NOTADB */]);
const BUSY = new Set([5 /* SQLITE_BUSY */, 6 /* SQLITE_LOCKED */]);

/** The primary result code of an error of SQLite; null for any other error. */
export function sqliteCode(error: unknown): number | null {
  const code = error instanceof Error && 'errcode' in error ? error.errcode : null;
  return typeof code === 'number' ? code & 0xff : null;
}

export function isDamage(error: unknown): boolean {
  return DAMAGED.has(sqliteCode(error) ?? -1);
}

export function isBusy(error: unknown): boolean {
  return BUSY.has(sqliteCode(error) ?? -1);
}
