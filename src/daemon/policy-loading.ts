import { type ChildProcess, fork } from 'node:child_process';
import { constants, setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type LoadedPolicy, loadFiles } from '../guard/policy-files.ts';
import { PolicyFailure, type PolicyFile } from '../guard/policy-texts.ts';
import { Slices } from '../guard/slices.ts';
import type { Policy } from '../policy/policy.ts';
import { changesOf } from './policy-changes.ts';
import { headOf, joinParts, type PolicyPart, partsOf } from './policy-parts.ts';

/** What the process is given. */
export interface LoadRequest {
  readonly path: string;
  readonly files: readonly PolicyFile[];
  /** Without its parts, which are sent after this. */
  readonly before: Policy | null;
  readonly now: Date;
}

/** What it answers: a policy, whose parts it has sent before, or why there is none. */
export type LoadAnswer =
  | { readonly loaded: Omit<LoadedPolicy, 'files'> }
  | { readonly fault: string; readonly remedy: string | null };

/** What it answers after a policy. */
export type CompareAnswer = { readonly changes: string[] };

/** A policy. */
export interface ComparedPolicy {
  readonly loaded: LoadedPolicy;
  /** What it means otherwise than the one before, when that is known; does not reject. */
  readonly changes: Promise<string[]>;
}

/** Characters of a policy, and of the one before, that take no longer than lookups may wait. */
const SMALL = 16 << 10;
/** Not the daemon's own flags, which keep it small: much is made here and thrown away. */
const FLAGS = ['--min-semi-space-size=32', '--max-semi-space-size=64', '--max-old-space-size=1024'];

/** A policy of 10,000 rules takes less than a second. */
const PATIENCE_MS = 60_000;

/** The process's program beside this module: in the sources, or in the bundle. */
const LOADER = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './policy-loader.ts' : './acyclic-policy.mjs', import.meta.url),
);

/**
 * Loads a policy and compares it with the one before, in a process of its own where that takes a while: lookups,
 * records and the heartbeat go on, and whatever a policy does to who reads it, the guard stands. No thread: V8 may
 * abort its process when one is torn down (nodejs/node#64500). Rejects with PolicyFailure.
 */
export async function loadBeside(
  path: string,
  files: readonly PolicyFile[],
  before: LoadedPolicy | null,
): Promise<ComparedPolicy> {
  const now = new Date();
  if (!isSmall(files) || (before && !isSmall(before.files)))
    return await load({ path, files, now }, before?.policy ?? null);
  const loaded = loadFiles(path, files);
  return { loaded, changes: Promise.resolve(changesOf(before?.policy ?? null, loaded.policy, now)) };
}

/** What is staged lies in files that are not at hand, and may be large. */
function isSmall(files: readonly PolicyFile[]): boolean {
  const characters = files.reduce((sum, { text }) => sum + text.length, 0);
  return characters <= SMALL && !files.some(({ text }) => text.includes('staged'));
}

/** The process ends when it has compared: an idle daemon keeps none of its memory. */
async function load(
  request: Pick<LoadRequest, 'path' | 'files' | 'now'>,
  before: Policy | null,
): Promise<ComparedPolicy> {
  const loader = fork(LOADER, {
    ...{ serialization: 'advanced', execArgv: FLAGS },
    ...{ timeout: PATIENCE_MS, killSignal: 'SIGKILL' },
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  yieldTo(loader);
  const slices = new Slices();
  const heard = hear(loader);
  loader.send({ ...request, before: before && headOf(before) } satisfies LoadRequest, () => {});
  if (before) slices.run(sendParts(before, loader)).catch(() => loader.kill('SIGKILL'));
  const answer = await heard.answer;
  if ('fault' in answer) throw new PolicyFailure(answer.fault, answer.remedy);
  return {
    loaded: { ...(await join(answer.loaded, heard.parts.values(), slices)), files: request.files },
    changes: heard.changes,
  };
}

/** A policy is copied as it is sent. */
function* sendParts(policy: Policy, loader: ChildProcess): Generator<void> {
  for (const part of partsOf(policy)) {
    if (loader.connected) loader.send(part, () => {});
    yield;
  }
}

/** Lookups of runs come before it. */
function yieldTo({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It has ended already, which is told where its answer is waited for.
  }
}

interface Heard {
  /** Of the policy: they are there before the answer. */
  readonly parts: readonly PolicyPart[];
  readonly answer: Promise<LoadAnswer>;
  readonly changes: Promise<string[]>;
}

function hear(loader: ChildProcess): Heard {
  const parts: PolicyPart[] = [];
  const [answer, changes] = [Promise.withResolvers<LoadAnswer>(), Promise.withResolvers<string[]>()];
  const fail = (why: string) => {
    answer.reject(new PolicyFailure(`the policy cannot be loaded: ${why}`, null));
    // By then it may be in force.
    changes.resolve([`what it means otherwise cannot be told: ${why}`]);
  };
  loader.on('message', (message: PolicyPart | LoadAnswer | CompareAnswer) => {
    if ('kind' in message) parts.push(message);
    else if ('changes' in message) changes.resolve(message.changes);
    else answer.resolve(message);
  });
  // One that could not be started tells so again for each message.
  loader.on('error', (error) => fail(error.message));
  loader.once('close', (status, signal) => fail(`the process that does it ended with ${signal ?? status}`));
  return { parts, answer: answer.promise, changes: changes.promise };
}

/** In the order in which the process has sent them. */
async function join(
  loaded: Omit<LoadedPolicy, 'files'>,
  parts: Iterator<PolicyPart>,
  slices: Slices,
): Promise<Omit<LoadedPolicy, 'files'>> {
  const policy = await slices.run(joinParts(loaded.policy, parts));
  const staged = new Map(loaded.staged);
  for (const [name, of] of staged)
    staged.set(name, { ...of, policy: await slices.run(joinParts(of.policy, parts)) });
  return { ...loaded, policy, staged };
}
