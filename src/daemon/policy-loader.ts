/** The program of the process that loads large policies (policy-loading.ts): one, and it ends. */
import { loadFiles, PolicyFailure } from '../guard/policy-files.ts';
import { changesOf } from './policy-changes.ts';
import type { LoadAnswer, LoadRequest } from './policy-loading.ts';

function answer({ path, files, before, now }: LoadRequest): LoadAnswer {
  try {
    // Whoever asked has the files.
    const { files: _, ...loaded } = loadFiles(path, files);
    return { loaded, changes: changesOf(before, loaded.policy, now) };
  } catch (error) {
    if (!(error instanceof PolicyFailure)) throw error;
    return { fault: error.message, remedy: error.remedy };
  }
}

process.once('message', (request: LoadRequest) => {
  process.send?.(answer(request), () => process.disconnect());
});
