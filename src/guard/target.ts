import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { type Cgroup, cgroupAt, cgroupOf, ownCgroup } from '../kernel/cgroup.ts';
import { SetupFailure } from '../kernel/failure.ts';
import { findCgroup2 } from '../kernel/mounts.ts';

/** How an existing cgroup is named. */
export interface Target {
  readonly by: 'cgroup' | 'pid' | 'unit' | 'container';
  readonly text: string;
}

/** systemd.unit(5): what a unit's name is made of. */
const UNIT = /^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]{0,254}$/;
const UNIT_SUFFIX = /\.(service|scope|slice|socket|mount|swap)$/;
/** Ids of docker, containerd and podman, in full or their beginning. */
const CONTAINER = /^[0-9a-f]{4,64}$/;
/** Of the systemd driver `docker-<id>.scope` and its like; of the cgroupfs driver `docker/<id>`, `libpod-<id>`. */
const CONTAINER_CGROUP = /^(?:(?:docker|cri-containerd|libpod|crio)-)?([0-9a-f]{64})(?:\.scope)?$/;
/** A tree beyond this is not searched to its end. */
const MOST_CGROUPS = 100_000;
const SYSTEMCTL_MS = 5000;
const MOST_NAMED = 4;

/**
 * The cgroup that is meant, one that can be attached to. Rejects with SetupFailure `no-target` and `unfit-target`, and
 * those of `ownCgroup`.
 */
export async function resolveTarget(target: Target): Promise<Cgroup> {
  const own = ownCgroup();
  const root = findCgroup2();
  const cgroup = existing(root, await placeOf(root, target), target);
  if (cgroup.level === 0)
    throw new SetupFailure(
      'unfit-target',
      `${named(target)} is the root of the cgroup tree, which holds every process of the host`,
      'put what is meant into a cgroup of its own, such as a unit of systemd (systemd-run --unit NAME …)',
    );
  if (`${own.path}/`.startsWith(`${cgroup.path}/`))
    throw new SetupFailure(
      'unfit-target',
      `${cgroup.path} holds Acyclic itself`,
      'start what is meant, or Acyclic, in a cgroup of its own, such as a unit of systemd (systemd-run --unit NAME …)',
    );
  return cgroup;
}

/** Its path from the root of the tree. */
async function placeOf(root: string, target: Target): Promise<string> {
  switch (target.by) {
    case 'cgroup':
      return placeOfPath(root, target.text);
    case 'pid':
      return placeOfProcess(target.text);
    case 'unit':
      return await placeOfUnit(target.text, root);
    case 'container':
      return placeOfContainer(root, target.text);
  }
}

/** A path of the file system, or one from the root of the tree, as /proc/PID/cgroup and systemd-cgls have it. */
function placeOfPath(root: string, text: string): string {
  const path = resolve(text);
  if (path === root || path.startsWith(`${root}/`)) return path.slice(root.length) || '/';
  if (path.startsWith('/sys/'))
    throw new SetupFailure(
      'no-target',
      `${path} is not in the cgroup v2 tree, which is at ${root}`,
      `name a directory below ${root}, or a path from there, such as /system.slice/mysql.service`,
    );
  return resolve('/', text);
}

function placeOfProcess(text: string): string {
  let place: string;
  try {
    place = cgroupOf(Number(text));
  } catch (error) {
    throw new SetupFailure('no-target', `there is no process ${text}`, 'see ps -e', { cause: error });
  }
  if (!place.endsWith(' (deleted)')) return place;
  throw new SetupFailure('no-target', `process ${text} is in a cgroup that was removed`, 'start it again');
}

/** The place of a unit that runs. Rejects with SetupFailure `no-target`. */
export async function placeOfUnit(text: string, root = findCgroup2()): Promise<string> {
  if (!UNIT.test(text))
    throw new SetupFailure('no-target', `\`${text}\` is no name of a unit`, 'see systemctl list-units');
  const unit = UNIT_SUFFIX.test(text) ? text : `${text}.service`;
  const told = await askSystemd(unit);
  if (told) return told;
  const [found, ...others] = told === null ? search(root, (name) => name === unit) : [];
  if (found !== undefined && others.length === 0) return found;
  if (found !== undefined) throw ambiguous(`unit ${unit}`, [found, ...others]);
  throw new SetupFailure(
    'no-target',
    `there is no unit ${unit} that runs`,
    `see systemctl status ${unit}, or name its cgroup with --cgroup`,
  );
}

/** The cgroup of a unit; empty where it does not run, null where there is no systemd to say so. */
async function askSystemd(unit: string): Promise<string | null> {
  try {
    const args = ['show', '-P', 'ControlGroup', '--', unit];
    const { stdout } = await promisify(execFile)('systemctl', args, { timeout: SYSTEMCTL_MS });
    return stdout.trim();
  } catch {
    return null;
  }
}

function placeOfContainer(root: string, text: string): string {
  const meant = text.toLowerCase();
  if (!CONTAINER.test(meant))
    throw new SetupFailure(
      'no-target',
      `\`${text}\` is no id of a container, nor the beginning of one`,
      'give at least four of its hex digits: docker ps, podman ps, or crictl ps',
    );
  const found = search(root, (name) => CONTAINER_CGROUP.exec(name)?.[1]?.startsWith(meant) ?? false);
  const [first, ...others] = found;
  if (first === undefined)
    throw new SetupFailure(
      'no-target',
      `there is no container ${text} that runs with a cgroup of its own`,
      'check its id, or name a process of it with --pid (docker inspect -f {{.State.Pid}})',
    );
  const ids = new Set(found.map((place) => CONTAINER_CGROUP.exec(basename(place))?.[1]));
  if (ids.size > 1) throw ambiguous(`container ${text}`, found);
  // The shortest path holds the others.
  return others.reduce((outer, place) => (place.length < outer.length ? place : outer), first);
}

function ambiguous(what: string, found: readonly string[]): SetupFailure {
  const more = found.length > MOST_NAMED ? `, and ${found.length - MOST_NAMED} more` : '';
  return new SetupFailure(
    'no-target',
    `${what} may be any of ${found.slice(0, MOST_NAMED).join(', ')}${more}`,
    'say more of its name, or name one with --cgroup',
  );
}

/** Cgroups by their own name, as paths from the root of the tree. */
function search(root: string, meant: (name: string) => boolean): string[] {
  const found: string[] = [];
  const waiting = ['/'];
  for (let seen = 0; seen < MOST_CGROUPS; seen++) {
    const place = waiting.pop();
    if (place === undefined) break;
    for (const name of childrenOf(join(root, place))) {
      const child = join(place, name);
      waiting.push(child);
      if (meant(name)) found.push(child);
    }
  }
  return found;
}

function childrenOf(path: string): string[] {
  try {
    const entries = readdirSync(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  } catch {
    return [];
  }
}

function existing(root: string, place: string, target: Target): Cgroup {
  try {
    return cgroupAt(root, place);
  } catch (error) {
    throw new SetupFailure(
      'no-target',
      `there is no cgroup ${join(root, place)}${target.by === 'cgroup' ? '' : `, where ${named(target)} should be`}`,
      'see systemd-cgls, or /proc/PID/cgroup of a process that is meant',
      { cause: error },
    );
  }
}

function named({ by, text }: Target): string {
  return by === 'pid' ? `the cgroup of process ${text}` : `${by} ${text}`;
}
