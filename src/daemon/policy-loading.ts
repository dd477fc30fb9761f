import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type LoadedPolicy, loadFiles, PolicyFailure, type PolicyFile } from '../guard/policy-files.ts';
import type { Policy } from '../policy/policy.ts';
import { changesOf } from './policy-changes.ts';

/** What the process is given. */
export interface LoadRequest {
  readonly path: string;
  readonly files: readonly PolicyFile[];
  readonly before: Policy | null;
  readonly now: Date;
}

/** What it answers: a policy, or why there is none. */
export type LoadAnswer =
  | { readonly loaded: Omit<LoadedPolicy, 'files'>; readonly changes: string[] }
  | { readonly fault: string; readonly remedy: string | null };

/** A policy, and what it means otherwise than the one before. */
export interface ComparedPolicy {
  readonly loaded: LoadedPolicy;
  readonly changes: string[];
}

/** Characters of a policy, and of the one before, that take no longer than lookups may wait. */
const SMALL = 16 << 10;
/** Much is made and thrown away: with room for it the process is done in two thirds of the time. */
const MEMORY = ['--max-semi-space-size=64', '--max-old-space-size=1024'];

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
  const answer =
    isSmall(files) && (!before || isSmall(before.files))
      ? null
      : await load({ path, files, before: before?.policy ?? null, now });
  if (!answer) {
    const loaded = loadFiles(path, files);
    return { loaded, changes: changesOf(before?.policy ?? null, loaded.policy, now) };
  }
  if ('fault' in answer) throw new PolicyFailure(answer.fault, answer.remedy);
  return { loaded: { ...answer.loaded, files }, changes: answer.changes };
}

/** What is staged lies in files that are not at hand, and may be large. */
function isSmall(files: readonly PolicyFile[]): boolean {
  const characters = files.reduce((sum, { text }) => sum + text.length, 0);
  return characters <= SMALL && !files.some(({ text }) => text.includes('staged'));
}

/** The process is gone when this has its answer: an idle daemon keeps none of its memory. */
function load(request: LoadRequest): Promise<LoadAnswer> {
  return new Promise((resolve, reject) => {
    const loader = fork(LOADER, {
      serialization: 'advanced',
      execArgv: [...process.execArgv, ...MEMORY],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    let answer: LoadAnswer | null = null;
    const fail = (why: string) => reject(new PolicyFailure(`the policy cannot be loaded: ${why}`, null));
    loader.once('message', (message: LoadAnswer) => {
      answer = message;
    });
    loader.once('error', (error) => fail(error.message));
    loader.once('exit', (status, signal) => {
      if (answer) resolve(answer);
      else fail(`the process that does it ended with ${signal ?? status}`);
    });
    loader.send(request, (error) => {
      if (error) fail(error.message);
    });
  });
}
