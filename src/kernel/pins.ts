import { hash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, unlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { BpfLink, BpfMap, BpfObject } from './binding.ts';
import { SetupFailure } from './failure.ts';
import { BPFFS } from './mounts.ts';
import { native } from './native.ts';

/** Pins of a map layout live in a directory of their own; raise it when bpf/event.h or maps.bpf.h changes. */
const LAYOUT_VERSION = 4;

/** Where this build's pins are kept. */
const PIN_ROOT = join(BPFFS, 'acyclic');
const PIN_DIRECTORY = join(PIN_ROOT, `v${LAYOUT_VERSION}`);
/** Of the daemon's engine. No run is called that. */
const ENGINE_NAME = 'engine';
const MAPS_NAME = 'maps';
const ENGINE = join(PIN_DIRECTORY, ENGINE_NAME);
const ENGINE_MAPS = join(ENGINE, MAPS_NAME);

/** All of bpf/maps.bpf.h. */
const MAPS = [
  ...['engine', 'runs', 'addresses', 'ports', 'facts', 'fact_entries', 'names', 'chains', 'closed_sockets'],
  ...['sockets', 'openings', 'opening_sockets', 'tasks', 'syscalls', 'clients', 'peers', 'denials'],
  ...['events', 'processes', 'losses', 'run_losses', 'journal'],
] as const;

/** Another run that ends may take the parents away between two steps, so this is tried again. */
export function makePinDirectory(path: string): string {
  for (let tries = 1; ; tries++) {
    try {
      mkdirSync(path, { recursive: true, mode: 0o700 });
      return path;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT' && tries < 10) continue;
      throw new SetupFailure(
        'no-bpffs',
        `cannot make ${path}: ${(error as Error).message}`,
        `check that bpffs is mounted at ${BPFFS} and writable`,
        { cause: error },
      );
    }
  }
}

/** Where the pins of a run are, by its pin name. */
export function pinDirectory(pinName: string): string {
  return join(PIN_DIRECTORY, pinName);
}

/** Removes a directory of pins, which detaches what no process holds. Missing ones are no error. */
export function removePins(directory: string): void {
  for (const name of namesIn(directory)) unlinkSync(join(directory, name));
  removeEmpty(directory, dirname(directory));
}

/** Removes directories, each within the next and that within PIN_ROOT, as far as they are empty. */
function removeEmpty(...directories: readonly string[]): void {
  for (const parent of [...directories, PIN_ROOT]) {
    try {
      rmdirSync(parent);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOTEMPTY') return;
      if (code !== 'ENOENT') throw error;
    }
  }
}

/** Removes what a run left pinned, whichever version of Acyclic it ran under, and what nothing needs without it. */
export function removeLeftPins(pinName: string): void {
  removePins(pinDirectory(pinName));
  for (const layout of otherLayouts()) {
    removePins(join(layout, pinName));
    removeUnusedEngine(layout);
  }
}

/** Removes all that is pinned, whichever version of Acyclic pinned it, but what is of the runs `kept`. */
export function clearPins(kept: ReadonlySet<string>): void {
  for (const version of namesIn(PIN_ROOT)) {
    const names = namesIn(join(PIN_ROOT, version));
    for (const name of names) if (!kept.has(name)) removeTree(join(PIN_ROOT, version, name));
    removeEmpty(join(PIN_ROOT, version));
  }
}

/** Runs that are pinned under the layouts of other versions, those that were taken over among them. */
export function runsOfOtherLayouts(): string[] {
  return otherLayouts().flatMap((layout) => namesIn(layout).filter((name) => name !== ENGINE_NAME));
}

/** Whether a run has anything pinned, whichever version of Acyclic pinned it. */
export function isPinned(pinName: string): boolean {
  return [PIN_DIRECTORY, ...otherLayouts()].some((layout) => existsSync(join(layout, pinName)));
}

/** Puts what a run has pinned by that name under the layout of another version among its pins here. False: it has none. */
export function bringPin(pinName: string, name: string): boolean {
  for (const layout of otherLayouts()) {
    const pins = join(layout, pinName);
    if (!existsSync(join(pins, name))) continue;
    renameSync(join(pins, name), join(makePinDirectory(pinDirectory(pinName)), name));
    removeEmpty(pins, layout);
    return true;
  }
  return false;
}

/**
 * Takes off what engines of other layouts have on tracepoints: nobody reads what that tells. Their maps go once no run
 * has a program that reads them.
 */
export function removeOlderEngines(): void {
  for (const layout of otherLayouts()) {
    for (const name of namesIn(join(layout, ENGINE_NAME)))
      if (name !== MAPS_NAME) removeTree(join(layout, ENGINE_NAME, name));
    removeUnusedEngine(layout);
  }
}

function removeUnusedEngine(layout: string): void {
  if (namesIn(layout).some((name) => name !== ENGINE_NAME)) return;
  removeTree(join(layout, ENGINE_NAME));
  removeEmpty(layout);
}

function otherLayouts(): string[] {
  const layouts = namesIn(PIN_ROOT).map((version) => join(PIN_ROOT, version));
  return layouts.filter((layout) => layout !== PIN_DIRECTORY);
}

/** What the daemon's engine has pinned, beside the links of runs: its maps, and links that are on no cgroup. */
export class EnginePins {
  /** Maps of an earlier engine are there. */
  readonly adopted: boolean;
  /** They were pinned by this very build, whose programs need no other in their place. */
  readonly sameBuild: boolean;
  readonly #mark: string;

  /** @param object The compiled programs, by which builds are told apart. */
  constructor(object: string) {
    this.#mark = `build-${hash('sha256', readFileSync(object)).slice(0, 32)}`;
    this.adopted = existsSync(ENGINE);
    this.sameBuild = existsSync(join(ENGINE, this.#mark));
  }

  /** Before the object is loaded: its maps are those that are there. Throws NativeError where one is of another layout. */
  reuse(object: BpfObject): void {
    if (!this.adopted) return;
    for (const name of MAPS) native().objectReuseMap(object, name, join(ENGINE_MAPS, name));
  }

  /** Pins the maps of the first engine, all or none. */
  keep(mapOf: (name: string) => BpfMap): void {
    if (this.adopted) return;
    const made = join(PIN_DIRECTORY, 'engine-new');
    removeTree(made);
    makePinDirectory(join(made, MAPS_NAME));
    for (const name of MAPS) native().mapPin(mapOf(name), join(made, MAPS_NAME, name));
    mkdirSync(join(made, this.#mark));
    renameSync(made, ENGINE);
  }

  /** Links of a kind that are there by name; of another build they go once these are attached. */
  links(kind: string, names: readonly string[], attach: (name: string) => BpfLink): BpfLink[] {
    const directory = makePinDirectory(join(ENGINE, kind));
    return names.map((name) => {
      const pin = join(directory, name);
      if (this.sameBuild && existsSync(pin)) return native().linkOpenPinned(pin);
      const link = attach(name);
      const beside = `${pin}-new`;
      if (existsSync(beside)) unlinkSync(beside);
      native().linkPin(link, beside);
      // A rename over the old pin would keep neither from being seen; the old program goes with its pin.
      if (existsSync(pin)) unlinkSync(pin);
      renameSync(beside, pin);
      return link;
    });
  }

  /** Takes the links of a kind off. */
  drop(kind: string): void {
    removeTree(join(ENGINE, kind));
  }

  /** All programs that are pinned are of this build now. */
  settle(): void {
    for (const name of namesIn(ENGINE))
      if (name.startsWith('build-') && name !== this.#mark) rmdirSync(join(ENGINE, name));
    mkdirSync(join(ENGINE, this.#mark), { recursive: true });
  }
}

/** Removes what the daemon's engine has pinned: with no run left, nothing of it is needed. Twice is no error. */
export function removeEnginePins(): void {
  removeTree(ENGINE);
  removePins(pinDirectory('engine-new'));
}

function removeTree(directory: string): void {
  let entries: ReturnType<typeof list>;
  try {
    entries = list(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  for (const entry of entries) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) removeTree(path);
    else unlinkSync(path);
  }
  rmdirSync(directory);
}

function list(directory: string) {
  return readdirSync(directory, { withFileTypes: true });
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
