/** The program of the process that loads large policies (policy-loading.ts): one, and it ends. */
import { type LoadedPolicy, loadFiles } from '../guard/policy-files.ts';
import { PolicyFailure } from '../guard/policy-texts.ts';
import { atOnce } from '../guard/slices.ts';
import type { Policy } from '../policy/policy.ts';
import { changesOf } from './policy-changes.ts';
import type { CompareAnswer, LoadAnswer, LoadRequest } from './policy-loading.ts';
import { headOf, joinParts, type PolicyPart, partsOf } from './policy-parts.ts';

/** What is there to compare: the policy, with the head of the one before. */
interface Comparison {
  readonly policy: Policy;
  readonly before: Policy | null;
  readonly now: Date;
}

let comparison: Comparison | null = null;
/** Of the policy before. */
const parts: PolicyPart[] = [];

process.on('message', (message: LoadRequest | PolicyPart) => {
  if ('kind' in message) parts.push(message);
  else load(message);
  compare();
});

/** The policy is on its way before what it means is looked at: it is put in force meanwhile. */
function load({ path, files, before, now }: LoadRequest): void {
  try {
    const loaded = loadFiles(path, files);
    tell({ loaded: sendAway(loaded) }, () => {
      comparison = { policy: loaded.policy, before, now };
      compare();
    });
  } catch (error) {
    if (!(error instanceof PolicyFailure)) throw error;
    tell({ fault: error.message, remedy: error.remedy }, () => process.disconnect());
  }
}

function compare(): void {
  if (!comparison || (comparison.before && parts.at(-1)?.kind !== 'end')) return;
  const { policy, before, now } = comparison;
  comparison = null;
  const changes = changesOf(before && atOnce(joinParts(before, parts.values())), policy, now);
  tell({ changes }, () => process.disconnect());
}

function tell(answer: LoadAnswer | CompareAnswer, told: () => void): void {
  process.send?.(answer, told);
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
