/** The program of the process that loads large policies (policy-loading.ts): one, and it ends. */
import { type LoadedPolicy, loadFiles, PolicyFailure } from '../guard/policy-files.ts';
import { atOnce } from '../guard/slices.ts';
import type { Policy } from '../policy/policy.ts';
import { changesOf } from './policy-changes.ts';
import type { LoadAnswer, LoadRequest } from './policy-loading.ts';
import { headOf, joinParts, type PolicyPart, partsOf } from './policy-parts.ts';

let request: LoadRequest | null = null;
/** Of the policy before. */
const parts: PolicyPart[] = [];

process.on('message', (message: LoadRequest | PolicyPart) => {
  if ('kind' in message) parts.push(message);
  else request = message;
  if (!request || (request.before && parts.at(-1)?.kind !== 'end')) return;
  process.send?.(answer(request), () => process.disconnect());
});

function answer({ path, files, before, now }: LoadRequest): LoadAnswer {
  try {
    const loaded = loadFiles(path, files);
    const changes = changesOf(before && atOnce(joinParts(before, parts.values())), loaded.policy, now);
    return { loaded: sendAway(loaded), changes };
  } catch (error) {
    if (!(error instanceof PolicyFailure)) throw error;
    return { fault: error.message, remedy: error.remedy };
  }
}

/** Whoever asked has the files. */
function sendAway({ files: _, ...loaded }: LoadedPolicy): Omit<LoadedPolicy, 'files'> {
  sendParts(loaded.policy);
  const staged = [...loaded.staged].map(([name, of]) => {
    sendParts(of.policy);
    return [name, { ...of, policy: headOf(of.policy) }] as const;
  });
  return { ...loaded, policy: headOf(loaded.policy), staged: new Map(staged) };
}

function sendParts(policy: Policy): void {
  for (const part of partsOf(policy)) process.send?.(part);
}
