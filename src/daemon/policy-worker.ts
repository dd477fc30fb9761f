/** The program of the thread that loads large policies (policy-loading.ts): one, and it ends. */
import { parentPort, workerData } from 'node:worker_threads';
import { loadFiles, PolicyFailure } from '../guard/policy-files.ts';
import { changesOf } from './policy-changes.ts';
import type { LoadAnswer, LoadRequest } from './policy-loading.ts';

const { path, files, before, now } = workerData as LoadRequest;

function answer(): LoadAnswer {
  try {
    // Whoever asked has the files.
    const { files: _, ...loaded } = loadFiles(path, files);
    return { loaded, changes: changesOf(before, loaded.policy, now) };
  } catch (error) {
    if (!(error instanceof PolicyFailure)) throw error;
    return { fault: error.message, remedy: error.remedy };
  }
}

parentPort?.postMessage(answer());
