import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { makeDirectory } from '../audit/state-directory.ts';
import { readIfPresent, writeDurably } from './state-file.ts';

const text = z.object({ path: z.string(), text: z.string() });
const version = z.object({
  v: z.literal(1),
  /** Grows with every version. */
  seq: z.int().min(1),
  id: z.string().regex(/^[0-9a-f]{7}$/),
  applied: z.string(),
  by: z.enum(['start', 'apply', 'reload', 'files', 'rollback']),
  who: z.object({ uid: z.int(), pid: z.int(), comm: z.string().nullable() }).nullable(),
  reason: z.string().nullable(),
  /** What it means otherwise than the one before; null: the two were being compared. */
  changes: z.array(z.string()).nullable(),
  /** The id of its event in the audit trail; null: of an earlier build, which kept none. */
  event: z.ulid().nullable().default(null),
  files: z.array(text),
  /** What the policy directory held in its place, where that was not the version before; otherwise null. */
  replaced: z.array(text).nullable(),
});

/** A policy that was put in force, whole. */
export type Version = z.infer<typeof version>;
/** What is kept in memory of one. */
export type VersionHead = Omit<Version, 'v' | 'files' | 'replaced'> & { readonly bytes: number };

const pointer = z.object({
  v: z.literal(1),
  seq: z.int().min(1),
  /** Its files may not all be in the policy directory yet. */
  installing: z.boolean(),
  /** Its event is in the audit trail. */
  recorded: z.boolean().default(true),
});
/** How far the version in force has come. */
type Progress = Pick<z.infer<typeof pointer>, 'installing' | 'recorded'>;

/** Nothing of it is left to do. */
export const DONE: Progress = { installing: false, recorded: true };

const MOST_VERSIONS = 100;
const MOST_BYTES = 64 << 20;
const POINTER = 'current.json';

/**
 * Policies that were put in force, a file each, and which of them is. A version that nothing points at yet was never
 * in force: it is removed when the versions are opened. Throws as node:fs does, and AuditFailure `unsafe-state`.
 */
export class PolicyVersions {
  readonly #directory: string;
  /** Oldest first. */
  #heads: VersionHead[] = [];
  #current = 0;
  #progress: Progress = DONE;

  constructor(state: string) {
    this.#directory = join(state, 'policy');
    makeDirectory(this.#directory);
    const pointed = pointer.safeParse(jsonOf(readIfPresent(join(this.#directory, POINTER)))).data;
    this.#current = pointed?.seq ?? 0;
    if (pointed) this.#progress = pointed;
    for (const name of readdirSync(this.#directory)) {
      const seq = Number(/^(\d{8})\.json$/.exec(name)?.[1] ?? 0);
      if (seq === 0 && !name.endsWith('.new')) continue;
      if (seq === 0 || seq > this.#current) rmSync(join(this.#directory, name));
      else this.#remember(this.read(seq));
    }
    this.#heads.sort((a, b) => a.seq - b.seq);
  }

  /** Oldest first. */
  get heads(): readonly VersionHead[] {
    return this.#heads;
  }

  /** The version in force; null: there is none yet, or it cannot be read. */
  get current(): Version | null {
    return this.#current === 0 ? null : this.read(this.#current);
  }

  get isInstalling(): boolean {
    return this.#progress.installing;
  }

  /** Whether nothing is left to do for the version in force. */
  get isDone(): boolean {
    return this.#progress.recorded && !this.#progress.installing;
  }

  read(seq: number): Version | null {
    return version.safeParse(jsonOf(readIfPresent(this.#file(seq)))).data ?? null;
  }

  /** Keeps a version, which is not in force by that. */
  add(given: Omit<Version, 'v' | 'seq'>): Version {
    const seq = Math.max(this.#current, this.#heads.at(-1)?.seq ?? 0) + 1;
    const whole: Version = { v: 1, seq, ...given };
    writeDurably(this.#file(seq), JSON.stringify(whole));
    this.#remember(whole);
    return whole;
  }

  /** Keeps what a version means otherwise than the one before. */
  tell(given: Version, changes: string[]): void {
    const { seq } = given;
    this.#heads = this.#heads.map((head) => (head.seq === seq ? { ...head, changes } : head));
    const whole: Version = { ...given, changes };
    writeDurably(this.#file(seq), JSON.stringify(whole));
  }

  /** From now on this version is in force. */
  point(seq: number, { installing, recorded }: Progress): void {
    writeDurably(join(this.#directory, POINTER), JSON.stringify({ v: 1, seq, installing, recorded }));
    this.#current = seq;
    this.#progress = { installing, recorded };
  }

  /** Nothing points at the version: back to the one before it, or to none. */
  takeBack(seq: number, before: number): void {
    if (before === 0) rmSync(join(this.#directory, POINTER), { force: true });
    else this.point(before, DONE);
    this.#current = before;
    this.#progress = DONE;
    this.#drop(seq);
  }

  /** Keeps what there is room for; the version in force and the one before it always. */
  prune(): void {
    let bytes = this.#heads.reduce((sum, head) => sum + head.bytes, 0);
    while (this.#heads.length > 2 && (this.#heads.length > MOST_VERSIONS || bytes > MOST_BYTES)) {
      const oldest = this.#heads[0];
      if (!oldest || oldest.seq === this.#current) return;
      bytes -= oldest.bytes;
      this.#drop(oldest.seq);
    }
  }

  #drop(seq: number): void {
    rmSync(this.#file(seq), { force: true });
    this.#heads = this.#heads.filter((head) => head.seq !== seq);
  }

  #remember(whole: Version | null): void {
    if (!whole) return;
    const { v: _, files, replaced, ...head } = whole;
    const bytes = [...files, ...(replaced ?? [])].reduce((sum, file) => sum + file.text.length, 0);
    this.#heads.push({ ...head, bytes });
  }

  #file(seq: number): string {
    return join(this.#directory, `${String(seq).padStart(8, '0')}.json`);
  }
}

/** What is damaged is as if it were not there: no write of ours leaves it so. */
function jsonOf(text: string | null): unknown {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}
