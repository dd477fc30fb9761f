import { basename } from 'node:path';
import type { AuditEvent } from '../model/event.ts';
import { CgroupWatch, type PlacedCgroup } from './cgroup-watch.ts';
import { delegateAt } from './delegates.ts';

/** A unit that began after a run had asked systemd for something. */
export interface UnitBegun {
  readonly cgroup: PlacedCgroup;
  /** As systemd names it. */
  readonly unit: string;
  readonly run: string;
  /** What is known of it: the unit is named on a command line of who asked; or it began after, and nothing more. */
  readonly evidence: 'named' | 'after';
  /** How long after the run had asked. */
  readonly afterMs: number;
  /** The call by which it asked. */
  readonly cause: AuditEvent;
}

export interface UnitObserverOptions {
  /** Where the cgroup v2 tree is mounted. */
  readonly root: string;
  readonly onUnit: (unit: UnitBegun) => void;
  /** The unit's cgroup is gone: it has ended, or begins again. */
  readonly onGone: (cgroup: PlacedCgroup) => void;
  readonly rescanMs?: number;
}

/** A unit that begins later than this after a run has asked is not taken to be its work. */
const WINDOW_MS = 10_000;
/** A unit may be there before the record of the call that asked for it is read. */
const LATE_MS = 2000;
/** Of a run that asks in a loop the latest are kept. */
const MOST_REQUESTS = 1000;
/** Units observed at once. */
const MOST_OBSERVED = 200;
const WITH_PROCESSES = /\.(service|scope|socket|mount|swap)$/;
const ASKED = ['systemd', 'dbus'];

interface Request {
  readonly run: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly cause: AuditEvent;
  /** What was said on the command lines of who asked. */
  readonly words: ReadonlySet<string>;
}

/**
 * Finds the units that runs set going: a run asks systemd, over its own socket or the bus, and a unit's cgroup is made
 * soon after. What was asked is not read, so this is what the host shows, and no proof.
 */
export class UnitObserver {
  readonly #options: UnitObserverOptions;
  readonly #watch: CgroupWatch;
  readonly #observed = new Map<bigint, UnitBegun>();
  #requests: Request[] = [];
  #made: { readonly cgroup: PlacedCgroup; readonly at: number }[] = [];
  /** Set once the units are known that are there when it begins. */
  #begun = false;

  constructor(options: UnitObserverOptions) {
    this.#options = options;
    this.#watch = new CgroupWatch({
      root: options.root,
      ...(options.rescanMs === undefined ? {} : { rescanMs: options.rescanMs }),
      // Units of systemd are in slices; below other cgroups it is not for it to say what is made.
      enters: (place) => place.split('/').slice(1).every(isSlice),
      onMade: (cgroup) => this.#unitMade(cgroup),
      onGone: (cgroup) => this.#unitGone(cgroup),
    });
    this.#begun = true;
  }

  /** What is observed now. */
  get observed(): UnitBegun[] {
    return [...this.#observed.values()];
  }

  get troubles(): string[] {
    return this.#watch.troubles;
  }

  /** Takes in an event of a run whose units are to be observed. */
  take(event: AuditEvent): void {
    if (!handsOn(event)) return;
    const at = Date.parse(event.time);
    const request = { run: event.run, at, cause: event, words: wordsOf(event) };
    this.#requests = [...this.#requests.slice(1 - MOST_REQUESTS), request];
    const now = Date.now();
    this.#made = this.#made.filter((made) => now - made.at < LATE_MS);
    for (const made of this.#made) this.#judge(made.cgroup, made.at, [request]);
  }

  /** A run has ended: it asks for nothing more, and its units are observed no longer. Gives them. */
  ended(run: string): PlacedCgroup[] {
    this.#requests = this.#requests.filter((request) => request.run !== run);
    const own = this.observed.filter((unit) => unit.run === run).map(({ cgroup }) => cgroup);
    for (const { id } of own) this.#observed.delete(id);
    return own;
  }

  close(): void {
    this.#watch.close();
  }

  #unitMade(cgroup: PlacedCgroup): void {
    if (!this.#begun || !WITH_PROCESSES.test(cgroup.place)) return;
    const at = Date.now();
    this.#requests = this.#requests.filter((request) => at - request.at < WINDOW_MS);
    this.#made = [...this.#made.filter((made) => at - made.at < LATE_MS), { cgroup, at }];
    this.#judge(cgroup, at, this.#requests);
  }

  #unitGone(cgroup: PlacedCgroup): void {
    this.#made = this.#made.filter((made) => made.cgroup.id !== cgroup.id);
    if (this.#observed.delete(cgroup.id)) this.#options.onGone(cgroup);
  }

  /** Whoever named it has set it going; otherwise the latest to ask. */
  #judge(cgroup: PlacedCgroup, at: number, requests: readonly Request[]): void {
    if (this.#observed.has(cgroup.id) || this.#observed.size >= MOST_OBSERVED) return;
    const before = requests.filter((request) => request.at <= at);
    const unit = unescapeName(basename(cgroup.place));
    const naming = before.findLast(
      ({ words }) => words.has(unit) || words.has(unit.replace(/\.service$/, '')),
    );
    const request = naming ?? before.at(-1);
    if (!request) return;
    const { run, cause } = request;
    const evidence = naming ? ('named' as const) : ('after' as const);
    const begun = { cgroup, unit, run, evidence, afterMs: at - request.at, cause };
    this.#observed.set(cgroup.id, begun);
    this.#options.onUnit(begun);
  }
}

/** Whether it asked systemd, and was let through. */
function handsOn({ kind, verdict, destination, outcome }: AuditEvent): boolean {
  if (kind !== 'exec-outside' || verdict === 'deny' || outcome?.errno) return false;
  const delegate = delegateAt(destination?.names[0] ?? '');
  return delegate !== null && ASKED.includes(delegate.name);
}

function wordsOf({ process }: AuditEvent): ReadonlySet<string> {
  return new Set([process, ...(process?.ancestry ?? [])].flatMap((image) => image?.argv ?? []));
}

function isSlice(name: string): boolean {
  return name === '' || name.endsWith('.slice');
}

function unescapeName(name: string): string {
  return name.startsWith('_') ? name.slice(1) : name;
}
