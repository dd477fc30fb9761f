import { globHolds, globsMeet } from './glob.ts';
import type { CgroupPattern, Match, Policy } from './policy.ts';
import { type Fault, fault, isFault } from './problem.ts';
import type { ValueReader } from './read-rule.ts';
import type { DeploymentData } from './schema.ts';

export const NO_MATCH: Match = { patterns: [], required: true };

const LONGEST = 512;
/** systemd.unit(5): what a unit's name is made of; and `*`. */
const UNIT = /^[A-Za-z0-9:_.\\@*-]+$/;
/** Units that have processes, and so a cgroup. Slices hold other units, and are named under `slices`. */
const SUFFIXES = ['service', 'scope', 'socket', 'mount', 'swap'] as const;
const WITHOUT_CGROUP = /\.(timer|target|path|device|automount)$/;
/** A cgroup of systemd's own, or of Acyclic: who guards them guards the host, or himself. */
const VITAL = [
  '/init.scope',
  '/system.slice',
  '/user.slice',
  '/machine.slice',
  '/system.slice/acyclic.service',
  '/system.slice/dbus.service',
  '/system.slice/systemd-journald.service',
  '/system.slice/systemd-udevd.service',
] as const;

/** Reads the name of a unit, `deploy-mysql@*.service`. */
export function readUnit(text: string): CgroupPattern | Fault {
  const known = readName(text, 'unit');
  if (known) return known;
  if (/@\.[a-z]+$/.test(text)) {
    const message = `\`${text}\` is a template, which never runs: name its instances`;
    return fault('bad-match', message, text.replace('@.', '@*.'));
  }
  if (text.endsWith('.slice')) return fault('bad-match', `\`${text}\` is a slice: write it under \`slices\``);
  if (WITHOUT_CGROUP.test(text)) return fault('bad-match', `\`${text}\` is a unit without processes`);
  if (!SUFFIXES.some((suffix) => text.endsWith(`.${suffix}`))) {
    const message = `\`${text}\` does not say what kind of unit it is`;
    return fault('bad-match', message, ifSound(`${text}.service`, readUnit));
  }
  return bounded({ kind: 'unit', text });
}

/** A suggestion, where it is no mistake itself. */
function ifSound(text: string, read: (text: string) => CgroupPattern | Fault): string | null {
  return isFault(read(text)) ? null : text;
}

/** Reads the name of a slice, `deploy.slice`. */
export function readSlice(text: string): CgroupPattern | Fault {
  const known = readName(text, 'slice');
  if (known) return known;
  if (!text.endsWith('.slice'))
    return fault(
      'bad-match',
      `\`${text}\` is no name of a slice`,
      ifSound(`${text.replace(/\.\w+$/, '')}.slice`, readSlice),
    );
  return bounded({ kind: 'slice', text });
}

function readName(text: string, kind: 'unit' | 'slice'): Fault | null {
  if (text.length <= LONGEST && UNIT.test(text)) return null;
  const last = text.split('/').at(-1) ?? '';
  const meant = text.includes('/') && UNIT.test(last) ? last : null;
  return fault('bad-match', `\`${text.slice(0, LONGEST)}\` is no name of a ${kind}`, meant);
}

/** Reads a path from the root of the cgroup v2 tree, `/system.slice/foo-*`. */
export function readCgroup(text: string): CgroupPattern | Fault {
  const path = text.replace(/^\/sys\/fs\/cgroup(\/unified)?(?=\/)/, '');
  const segments = path.split('/').slice(1);
  const odd = (segment: string) =>
    segment === '' || segment === '.' || segment === '..' || /\p{Cc}/u.test(segment);
  if (text.length > LONGEST || !path.startsWith('/') || segments.some(odd)) {
    const tidy = `/${path.split('/').filter(Boolean).join('/')}`;
    return fault(
      'bad-match',
      `\`${text.slice(0, LONGEST)}\` is no path of a cgroup: write it from the root of the tree, as in /proc/PID/cgroup`,
      tidy === text ? null : ifSound(tidy, readCgroup),
    );
  }
  if (path !== text)
    return fault(
      'bad-match',
      `\`${text}\` is a path of the file system: write it from the root of the tree`,
      path,
    );
  if (segments.includes('**'))
    return fault(
      'bad-match',
      `\`*\` is within one part of a path, and \`**\` means no more`,
      path.replaceAll('**', '*'),
    );
  return bounded({ kind: 'cgroup', text });
}

/** A pattern so wide that it holds what the host cannot do without is a mistake. */
function bounded(pattern: CgroupPattern): CgroupPattern | Fault {
  const held = VITAL.find((place) => patternHolds(pattern, place));
  if (held === undefined) return pattern;
  const what = pattern.kind === 'cgroup' ? held : (held.split('/').at(-1) ?? held);
  return fault('bad-match', `\`${pattern.text}\` is too wide: it holds \`${what}\``);
}

export function readMatch(reader: ValueReader, at: readonly string[], data: DeploymentData['match']): Match {
  if (!data) return NO_MATCH;
  const patterns = [
    ...reader.list([...at, 'units'], data.units, readUnit),
    ...reader.list([...at, 'slices'], data.slices, readSlice),
    ...reader.list([...at, 'cgroups'], data.cgroups, readCgroup),
  ];
  if (!data.units && !data.slices && !data.cgroups)
    reader.complain(at, fault('bad-match', '`match` names no `units`, `slices` or `cgroups`'));
  return { patterns, required: data.required ?? true };
}

/**
 * Whether a cgroup, by its path from the root of the tree, is one of a pattern's. Units and slices are those of the
 * host's own systemd: above them are slices alone, so that nobody can make one of that name in a tree of his own.
 */
export function patternHolds({ kind, text }: CgroupPattern, place: string): boolean {
  const segments = place.split('/').slice(1);
  if (kind === 'cgroup') {
    const globs = text.split('/').slice(1);
    return globs.length === segments.length && globs.every((glob, i) => globHolds(glob, segments[i] ?? ''));
  }
  const name = unescapeName(segments.at(-1) ?? '');
  return (
    segments.slice(0, -1).every(isSlice) && isSlice(name) === (kind === 'slice') && globHolds(text, name)
  );
}

/** Whether cgroups of a pattern can be anywhere below this one. */
export function canHold({ kind, text }: CgroupPattern, place: string): boolean {
  const segments = place.split('/').slice(1).filter(Boolean);
  if (kind !== 'cgroup') return segments.every(isSlice);
  const globs = text.split('/').slice(1);
  return segments.length < globs.length && segments.every((segment, i) => globHolds(globs[i] ?? '', segment));
}

/** A deployment by which a cgroup is matched. */
export interface Matched {
  readonly deployment: string;
  readonly pattern: CgroupPattern;
  readonly required: boolean;
}

/** Patterns of deployments, as a policy has them. */
export function patternsIn(policy: Policy | null): Matched[] {
  return [...(policy?.deployments.values() ?? [])].flatMap(({ name, match }) =>
    match.patterns.map((pattern) => ({ deployment: name, pattern, required: match.required })),
  );
}

/** Of the patterns that hold a cgroup the one that says most, of two such the first. Null: none does. */
export function matchOf(patterns: readonly Matched[], place: string): Matched | null {
  let best: Matched | null = null;
  for (const one of patterns)
    if (patternHolds(one.pattern, place) && (!best || said(one.pattern) > said(best.pattern))) best = one;
  return best;
}

/** How much of a name a pattern gives; a path gives more than a name. */
function said({ kind, text }: CgroupPattern): number {
  return text.replaceAll('*', '').length + (kind === 'cgroup' ? LONGEST : 0);
}

/** Whether a cgroup can be of both. */
export function patternsMeet(one: CgroupPattern, other: CgroupPattern): boolean {
  if (one.kind !== other.kind) {
    const [path, name] = one.kind === 'cgroup' ? [one, other] : [other, one];
    if (path.kind !== 'cgroup') return false;
    const segments = path.text.split('/').slice(1);
    return segments.slice(0, -1).every(isSlice) && globsMeet(segments.at(-1) ?? '', name.text);
  }
  const [mine, theirs] = [one.text.split('/'), other.text.split('/')];
  return mine.length === theirs.length && mine.every((glob, i) => globsMeet(glob, theirs[i] ?? ''));
}

function isSlice(name: string): boolean {
  return name.endsWith('.slice');
}

/** systemd puts a `_` before the name of a unit that would be that of a file of the cgroup's (cg_escape). */
function unescapeName(name: string): string {
  return name.startsWith('_') ? name.slice(1) : name;
}
