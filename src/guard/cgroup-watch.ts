import { type FSWatcher, readdirSync, statSync, watch } from 'node:fs';
import { join } from 'node:path';
import type { Cgroup } from '../kernel/cgroup.ts';

/** A cgroup that is there, and where: its path from the root of the tree, as `/system.slice/x.service`. */
export interface PlacedCgroup extends Cgroup {
  readonly place: string;
}

export interface CgroupWatchOptions {
  /** Where the cgroup v2 tree is mounted. */
  readonly root: string;
  /** Whether cgroups that are made in this one are to be known. Of one that is not entered nothing below is known. */
  readonly enters: (place: string) => boolean;
  /** One is there: it was, or it has just been made. Those above come first. */
  readonly onMade: (cgroup: PlacedCgroup) => void;
  /** One is gone, or another is in its place. Those below come first. */
  readonly onGone: (cgroup: PlacedCgroup) => void;
  /** Default: the product's; others are for tests, which cannot wait. */
  readonly rescanMs?: number;
}

/** In case the kernel has told nothing: its queue is bounded, and so are its watches. */
const RESCAN_MS = 10_000;
/** Cgroups known at once; a host has some hundred. */
const MOST_KNOWN = 50_000;
/** Directories watched at once. */
const MOST_WATCHED = 4096;

interface Known {
  readonly cgroup: PlacedCgroup;
  /** Null: it is not entered, or only looked at again now and then. */
  watcher: FSWatcher | null;
  readonly children: Map<string, Known>;
}

/** Knows the cgroups of a part of the tree, as they come and go: told by the kernel (inotify), and looked at again. */
export class CgroupWatch {
  readonly #options: CgroupWatchOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #top: Known;
  #known = 0;
  #watched = 0;
  #unwatched = 0;
  #passedOver = false;
  #closed = false;

  constructor(options: CgroupWatchOptions) {
    this.#options = options;
    const { ino } = statSync(options.root, { bigint: true });
    const root = { path: options.root, place: '/', id: ino, level: 0 };
    this.#top = { cgroup: root, watcher: null, children: new Map() };
    this.#enter(this.#top);
    this.#timer = setInterval(() => this.rescan(), options.rescanMs ?? RESCAN_MS).unref();
  }

  /** What it cannot do, for people; empty when all is well. */
  get troubles(): string[] {
    return [
      ...(this.#unwatched > 0
        ? [
            `${this.#unwatched} directories of the cgroup tree are looked at every ${RESCAN_MS / 1000} s alone`,
          ]
        : []),
      ...(this.#passedOver ? [`there are over ${MOST_KNOWN} cgroups: not all are known`] : []),
    ];
  }

  /** Looks at all of it again. */
  rescan(): void {
    if (!this.#closed) this.#scan(this.#top);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#leave(this.#top);
  }

  /** Watches first and looks then, so that what is made in between is seen. */
  #enter(known: Known): void {
    this.#watch(known);
    this.#scan(known);
  }

  #watch(known: Known): void {
    if (this.#watched >= MOST_WATCHED) {
      this.#unwatched++;
      return;
    }
    try {
      known.watcher = watch(known.cgroup.path, { persistent: false }, (event, name) => {
        // `change` is of a file in it.
        if (event !== 'rename' || this.#closed || !known.watcher) return;
        if (name === null) this.#scan(known);
        else this.#look(known, name);
      });
      known.watcher.on('error', () => this.#unwatch(known));
      this.#watched++;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#unwatched++;
    }
  }

  #unwatch(known: Known): void {
    if (!known.watcher) return;
    known.watcher.close();
    known.watcher = null;
    this.#watched--;
  }

  #scan(parent: Known): void {
    const names = directoriesIn(parent.cgroup.path);
    if (names === null || !isStill(parent)) return;
    const there = new Set(names);
    for (const [name, child] of [...parent.children]) if (!there.has(name)) this.#forget(parent, name, child);
    for (const name of names) {
      this.#look(parent, name);
      const child = parent.children.get(name);
      if (child && this.#options.enters(child.cgroup.place)) this.#scan(child);
    }
  }

  /** What is there by this name now. */
  #look(parent: Known, name: string): void {
    const path = join(parent.cgroup.path, name);
    const found = statSync(path, { bigint: true, throwIfNoEntry: false });
    const id = found?.isDirectory() ? found.ino : null;
    // What is in another one's place by now is told of that one, by those above.
    if (!isStill(parent)) return;
    const before = parent.children.get(name);
    if (before && before.cgroup.id !== id) this.#forget(parent, name, before);
    if (id === null || before?.cgroup.id === id) return;
    if (this.#known >= MOST_KNOWN) {
      this.#passedOver = true;
      return;
    }
    const place = join(parent.cgroup.place, name);
    const known: Known = {
      cgroup: { path, place, id, level: parent.cgroup.level + 1 },
      ...{ watcher: null, children: new Map() },
    };
    this.#known++;
    parent.children.set(name, known);
    this.#options.onMade(known.cgroup);
    if (this.#options.enters(place)) this.#enter(known);
  }

  #forget(parent: Known, name: string, child: Known): void {
    parent.children.delete(name);
    for (const gone of this.#leave(child)) {
      this.#known--;
      this.#options.onGone(gone);
    }
  }

  /** Stops to watch it and all below; gives them, the deepest first. */
  #leave(known: Known): PlacedCgroup[] {
    this.#unwatch(known);
    return [...[...known.children.values()].flatMap((child) => this.#leave(child)), known.cgroup];
  }
}

/** Whether the cgroup of that path is the one that is known. */
function isStill({ cgroup: { path, id } }: Known): boolean {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino === id;
}

function directoriesIn(path: string): string[] | null {
  try {
    const entries = readdirSync(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch {
    return null;
  }
}
