import { readlinkSync } from 'node:fs';
import { createMask, type Mask } from '../audit/mask.ts';
import type { ExecRecord, ExitRecord, ForkRecord } from '../kernel/records.ts';
import type { ProcessImage, ProcessWithAncestry } from '../model/process.ts';
import type { Clock } from './clock.ts';
import type { FoundProcess } from './found-process.ts';

/** A program image a process ran, from `time` on. */
interface Image {
  readonly time: bigint;
  readonly uid: number;
  readonly comm: string;
  readonly exe: string | null;
  readonly argv: readonly string[] | null;
}

/** One life of a pid. */
interface Life {
  readonly pid: number;
  readonly start: bigint | null;
  /** Of `start`, by the wall clock when it was first asked for: the same in every record. */
  startText: string | null;
  readonly parent: Life | null;
  readonly images: Image[];
  exit: bigint | null;
}

/** Lives as JSON can hold them; `parent` is a place in the list. Times are in digits. */
export type ProcessSnapshot = readonly {
  readonly pid: number;
  readonly start: string | null;
  readonly startText: string | null;
  readonly parent: number | null;
  readonly images: readonly (Omit<Image, 'time'> & { readonly time: string })[];
  readonly exit: string | null;
}[];

/** A dead process is remembered this long, for records that are still to be read. */
const REMEMBER_NS = 30_000_000_000n;
const MAX_ANCESTRY = 64;
const MAX_LINEAGE = 256;

/**
 * The processes of a run, from the kernel's fork, exec and exit records. A pid means the life it had at a
 * time, so that reuse misleads nobody; a process that is gone is still known.
 */
export class ProcessTable {
  readonly #clock: Clock;
  readonly #mask: Mask;
  readonly #lives = new Map<number, Life[]>();
  readonly #dead: Life[] = [];

  /** Command lines are masked as they come in: none is kept, or told, with a secret. */
  constructor(clock: Clock, mask: Mask = createMask()) {
    this.#clock = clock;
    this.#mask = mask;
  }

  apply(record: ForkRecord | ExecRecord | ExitRecord): void {
    if (record.type === 'fork') this.#fork(record);
    else if (record.type === 'exec') this.#exec(record);
    else this.#exit(record);
  }

  /**
   * Takes up a process that no record speaks of, with those that led to it: it was there before the guard, or was
   * moved under it. True: it was not known.
   */
  adopt(pid: number, time: bigint, read: (pid: number) => FoundProcess | null): boolean {
    return this.#living(pid, time) === null && this.#find(pid, time, read, MAX_ANCESTRY) !== null;
  }

  #living(pid: number, time: bigint): Life | null {
    const life = this.#lifeAt(pid, time);
    return life && (life.exit === null || life.exit >= time) ? life : null;
  }

  #find(pid: number, time: bigint, read: (pid: number) => FoundProcess | null, most: number): Life | null {
    const known = this.#living(pid, time);
    if (known || most === 0) return known;
    const found = read(pid);
    // One that started later has the pid of the one that is meant.
    if (!found || found.start > time) return null;
    const parent = this.#find(found.parent, time, read, most - 1);
    const { start, uid, comm, exe } = found;
    const argv = found.argv && this.#mask.argv(found.argv);
    const image: Image = { time: start, uid, comm, exe, argv };
    const born = parent && imageAt(parent, start);
    const forked = born?.exe === exe && String(born?.argv) === String(argv);
    const images = forked ? [image] : [{ ...image, exe: born?.exe ?? null, argv: born?.argv ?? null }, image];
    const life: Life = { pid, start, startText: null, parent, exit: null, images };
    this.#add(life);
    return life;
  }

  /** The process that had the pid at that time; null when no record speaks of it. */
  at(pid: number, time: bigint): ProcessWithAncestry | null {
    const life = this.#lifeAt(pid, time);
    if (!life) return null;
    const ancestry: ProcessImage[] = [];
    for (let up = life.parent; up && ancestry.length < MAX_ANCESTRY; up = up.parent)
      ancestry.push(this.#describe(up, time));
    return { ...this.#describe(life, time), ancestry };
  }

  /**
   * Every program that led to what the pid ran at that time, the run's command first: those a process ran before
   * it exec'd another are there too.
   */
  lineage(pid: number, time: bigint): ProcessImage[] {
    const lineage: ProcessImage[] = [];
    let until = time;
    for (let life = this.#lifeAt(pid, time); life && lineage.length < MAX_LINEAGE; life = life.parent) {
      // A fork begins with what its parent ran.
      const ran = life.images.slice(life.start === null ? 0 : 1).filter((image) => image.time <= until);
      for (const image of ran.slice(-MAX_LINEAGE).reverse()) lineage.push(this.#describe(life, image.time));
      until = life.start ?? until;
    }
    return lineage.reverse();
  }

  /** All that is known, as JSON can hold it. */
  snapshot(): ProcessSnapshot {
    const lives = [...this.#lives.values()].flat();
    const places = new Map(lives.map((life, i) => [life, i]));
    const text = (time: bigint | null) => time?.toString() ?? null;
    return lives.map((life) => ({
      ...{ pid: life.pid, start: text(life.start), startText: life.startText, exit: text(life.exit) },
      parent: (life.parent && places.get(life.parent)) ?? null,
      images: life.images.map((image) => ({ ...image, time: image.time.toString() })),
    }));
  }

  /** Takes up what a snapshot has and is not known yet. */
  restore(snapshot: ProcessSnapshot): void {
    const lives: (Life | null)[] = [];
    const time = (text: string | null) => (text === null ? null : BigInt(text));
    const lifeOf = (i: number): Life | null => {
      const of = snapshot[i];
      const made = lives[i];
      if (made !== undefined || !of) return made ?? null;
      lives[i] = null;
      const start = time(of.start);
      const known = this.#lives.get(of.pid)?.find((life) => life.start === start);
      const images = of.images.map((image) => ({ ...image, time: BigInt(image.time) }));
      const parent = of.parent === null ? null : lifeOf(of.parent);
      const life: Life = known ?? {
        ...{ pid: of.pid, start, startText: of.startText, parent, images, exit: time(of.exit) },
      };
      if (!known) this.#add(life);
      if (!known && life.exit !== null) this.#dead.push(life);
      lives[i] = life;
      return life;
    };
    for (let i = 0; i < snapshot.length; i++) lifeOf(i);
  }

  #fork(record: ForkRecord): void {
    const parent = this.#lifeAt(record.parent, record.time);
    const inherited = parent ? imageAt(parent, record.time) : null;
    this.#add({
      pid: record.pid,
      start: record.time,
      startText: null,
      parent,
      exit: null,
      images: [
        {
          time: record.time,
          uid: record.uid,
          comm: record.comm,
          exe: inherited?.exe ?? null,
          argv: inherited?.argv ?? null,
        },
      ],
    });
  }

  #exec(record: ExecRecord): void {
    const image: Image = {
      time: record.time,
      uid: record.uid,
      comm: record.comm,
      exe: resolveExe(record),
      argv: this.#mask.argv(
        record.truncated ? [...record.argv.slice(0, -1), `${record.argv.at(-1) ?? ''}…`] : record.argv,
      ),
    };
    const life = this.#lifeAt(record.pid, record.time);
    if (life) life.images.push(image);
    else {
      const parent = this.#lifeAt(record.parent, record.time);
      this.#add({ pid: record.pid, start: null, startText: null, parent, exit: null, images: [image] });
    }
  }

  #exit(record: ExitRecord): void {
    const life = this.#lives.get(record.pid)?.at(-1);
    if (!life || life.exit !== null) return;
    life.exit = record.time;
    this.#dead.push(life);
    while (this.#dead[0] && record.time - (this.#dead[0].exit ?? 0n) > REMEMBER_NS)
      this.#forget(this.#dead.shift());
  }

  #add(life: Life): void {
    const lives = this.#lives.get(life.pid);
    if (lives) lives.push(life);
    else this.#lives.set(life.pid, [life]);
  }

  #forget(life: Life | undefined): void {
    if (!life) return;
    const left = this.#lives.get(life.pid)?.filter((other) => other !== life) ?? [];
    if (left.length > 0) this.#lives.set(life.pid, left);
    else this.#lives.delete(life.pid);
  }

  #lifeAt(pid: number, time: bigint): Life | null {
    const lives = this.#lives.get(pid) ?? [];
    for (let i = lives.length - 1; i >= 0; i--) {
      const life = lives[i];
      if (life && (life.start === null || life.start <= time)) return life;
    }
    return null;
  }

  #describe(life: Life, time: bigint): ProcessImage {
    const image = imageAt(life, time);
    if (life.start !== null) life.startText ??= this.#clock.wall(life.start);
    return {
      pid: life.pid,
      start: life.startText,
      uid: image?.uid ?? null,
      comm: image?.comm ?? null,
      exe: image?.exe ?? null,
      argv: image?.argv ?? null,
    };
  }
}

function imageAt(life: Life, time: bigint): Image | null {
  for (let i = life.images.length - 1; i >= 0; i--) {
    const image = life.images[i];
    if (image && image.time <= time) return image;
  }
  return life.images[0] ?? null;
}

/** The kernel tells the path as it was called; one that means nothing elsewhere is made whole while the process lives. */
function resolveExe(record: ExecRecord): string | null {
  if (record.exe === '') return null;
  if (record.exe.startsWith('/') && !record.exe.startsWith('/proc/')) return record.exe;
  try {
    return readlinkSync(`/proc/${record.pid}/exe`);
  } catch {
    return record.exe;
  }
}
