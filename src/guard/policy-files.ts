import { createHash } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { parsePolicy } from '../policy/parse.ts';
import { problemAt } from '../policy/place.ts';
import type { Policy } from '../policy/policy.ts';
import { fault, formatProblem, type Problem } from '../policy/problem.ts';
import type { PolicySource } from '../policy/read-file.ts';
import { INSTALLED } from './installed.ts';
import { PolicyFailure, type PolicyFile, policyFilesIn, readTexts } from './policy-texts.ts';

const MOST_PROBLEMS = 20;

/** A policy's files, and what there is to say of them. */
export interface ReadPolicy {
  /** Null when there is an error among the problems. */
  readonly policy: Policy | null;
  /** First seven hex digits of the SHA-256 over the files' names and contents. */
  readonly id: string;
  readonly files: readonly PolicyFile[];
  /** Every mistake, its file by path; those of staged policies too. */
  readonly problems: readonly Problem[];
  /** The staged policies that load, by deployment. */
  readonly staged: ReadonlyMap<string, StagedPolicy>;
}

/** A policy read from files, without an error. */
export interface LoadedPolicy extends ReadPolicy {
  readonly policy: Policy;
}

/** A policy evaluated beside another one and never enforced. */
export interface StagedPolicy {
  readonly policy: Policy;
  readonly id: string;
  /** As written in the policy that names it. */
  readonly path: string;
}

/** The installed policy, or null where none is. Throws PolicyFailure. */
export function loadInstalledPolicy(): LoadedPolicy | null {
  return policyFilesIn(INSTALLED).length > 0 ? loadPolicy(INSTALLED) : null;
}

/** As `loadInstalledPolicy`, mistakes and all. */
export function readInstalledPolicy(now: Date | null = null): ReadPolicy | null {
  return policyFilesIn(INSTALLED).length > 0 ? readPolicy(INSTALLED, now) : null;
}

/** The policy of a file or a directory, which must have no error. Throws PolicyFailure. */
export function loadPolicy(path: string): LoadedPolicy {
  return accepted(path, readPolicy(path));
}

function accepted(path: string, read: ReadPolicy): LoadedPolicy {
  const { policy } = read;
  if (policy) return { ...read, policy };
  throw refusal(
    path,
    read.problems.filter(({ severity }) => severity === 'error'),
  );
}

/**
 * The policy of a file or a directory, with its mistakes; where a moment is given, with what is doubtful then, too.
 * Throws PolicyFailure if a file cannot be read.
 */
export function readPolicy(path: string, now: Date | null = null): ReadPolicy {
  return withStaged(readFiles(path, now), now);
}

function withStaged({ policy, ...read }: Omit<ReadPolicy, 'staged'>, now: Date | null): ReadPolicy {
  if (!policy) return { ...read, policy, staged: new Map() };
  const { staged, problems } = readStaged(policy, read.files, now);
  const failed = problems.some(({ severity }) => severity === 'error');
  return { ...read, policy: failed ? null : policy, problems: [...read.problems, ...problems], staged };
}

/** As `loadPolicy`, of files whose text is given: what they stage is read from where they are to be. */
export function loadFiles(path: string, files: readonly PolicyFile[]): LoadedPolicy {
  return accepted(path, withStaged(parseFiles(files, null), null));
}

function readFiles(path: string, now: Date | null): Omit<ReadPolicy, 'staged'> {
  return parseFiles(readTexts(path), now);
}

function parseFiles(files: readonly PolicyFile[], now: Date | null): Omit<ReadPolicy, 'staged'> {
  const sources = files.map(({ name, text }): PolicySource => ({ path: name, text }));
  const { policy, problems } = parsePolicy(sources, now);
  const told = new Map(files.map(({ file, name }) => [name, file]));
  const placed = problems.map((problem) => ({ ...problem, file: told.get(problem.file) ?? problem.file }));
  const hash = createHash('sha256');
  for (const { path: name, text } of sources) hash.update(`${name}\0${text}\0`);
  return { policy, id: hash.digest('hex').slice(0, 7), files, problems: placed };
}

/** What a staged policy stages in its turn is not followed: it may be a copy of the one that names it. */
function readStaged(
  policy: Policy,
  files: readonly PolicyFile[],
  now: Date | null,
): Pick<ReadPolicy, 'staged' | 'problems'> {
  const staged = new Map<string, StagedPolicy>();
  const problems: Problem[] = [];
  for (const { name, staged: given } of policy.deployments.values()) {
    if (!given) continue;
    const naming = files.find((file) => file.name === given.file)?.file ?? given.file;
    const complain = (message: string) =>
      problems.push(problemAt(naming, { ...given, text: given.path }, fault('bad-staged', message)));
    try {
      const read = readFiles(resolve(dirname(naming), given.path), now);
      problems.push(...read.problems);
      if (!read.policy) complain(`the staged policy \`${given.path}\` does not load: see its own mistakes`);
      else if (read.policy.deployments.has(name))
        staged.set(name, { policy: read.policy, id: read.id, path: given.path });
      else complain(`the staged policy \`${given.path}\` has no deployment \`${name}\``);
    } catch (error) {
      if (!(error instanceof PolicyFailure)) throw error;
      complain(`the staged policy does not load: ${error.message}`);
    }
  }
  return { staged, problems };
}

function refusal(path: string, errors: readonly Problem[]): PolicyFailure {
  const count = errors.length === 1 ? 'a mistake' : `${errors.length} mistakes`;
  const shown = errors.slice(0, MOST_PROBLEMS).map(formatProblem);
  if (errors.length > shown.length) shown.push(`and ${errors.length - shown.length} more`);
  return new PolicyFailure([`the policy ${path} has ${count}:`, ...shown].join('\n'), null);
}
