import type { Mode } from '../model/verdict.ts';
import { LAPSES_SOON_MS } from '../policy/inspect-deployment.ts';
import type { Policy } from '../policy/policy.ts';
import { formatProblem } from '../policy/problem.ts';
import { INSTALLED } from './installed.ts';
import { readInstalledPolicy } from './policy-files.ts';
import { PolicyFailure } from './policy-texts.ts';
import { mayRead } from './readable.ts';

/** The policy that holds where none is given, as it is now. */
export type InstalledStatus =
  | { readonly state: 'none'; readonly path: string }
  /** This process may not read it. */
  | { readonly state: 'unseen'; readonly path: string }
  | { readonly state: 'unreadable'; readonly path: string; readonly reason: string }
  /** `first` of its mistakes has lines: where and what, the text at fault, a suggestion. */
  | { readonly state: 'mistaken'; readonly path: string; readonly mistakes: number; readonly first: string }
  | {
      readonly state: 'loaded';
      readonly path: string;
      readonly id: string;
      readonly deployments: readonly {
        readonly name: string;
        readonly mode: Mode;
        readonly source: string;
      }[];
      /** Those that have lapsed, or will within 14 days, the first to lapse first. */
      readonly waivers: readonly WaiverStatus[];
    };

export interface WaiverStatus {
  readonly deployment: string;
  readonly service: string;
  /** Its last day, which ends at midnight UTC. */
  readonly until: string;
  readonly lapsed: boolean;
  readonly owner: string | null;
  readonly reason: string | null;
  readonly source: string;
}

const FOLDERS = [INSTALLED, `${INSTALLED}/services`, `${INSTALLED}/deployments`];

export function readInstalledStatus(now: Date): InstalledStatus {
  const path = INSTALLED;
  if (!FOLDERS.every(mayRead)) return { state: 'unseen', path };
  try {
    const read = readInstalledPolicy();
    if (!read) return { state: 'none', path };
    if (read.policy)
      return {
        ...{ state: 'loaded', path, id: read.id },
        deployments: [...read.policy.deployments.values()].map(({ name, mode, source }) => ({
          ...{ name, mode, source },
        })),
        waivers: waiversOf(read.policy, now),
      };
    const mistakes = read.problems.filter(({ severity }) => severity === 'error');
    return {
      ...{ state: 'mistaken', path, mistakes: mistakes.length },
      first: mistakes.slice(0, 1).map(formatProblem).join(),
    };
  } catch (error) {
    if (!(error instanceof PolicyFailure)) throw error;
    const { code } = (error.cause ?? {}) as NodeJS.ErrnoException;
    if (code === 'EACCES') return { state: 'unseen', path };
    return { state: 'unreadable', path, reason: error.message };
  }
}

/** Waivers that have lapsed, or will within 14 days, the first to lapse first. */
export function waiversOf({ deployments }: Policy, now: Date): WaiverStatus[] {
  const near = [...deployments.values()].flatMap(({ name, waivers }) =>
    waivers
      .filter(({ until }) => until.end - now.getTime() <= LAPSES_SOON_MS)
      .map((waiver) => ({ deployment: name, waiver })),
  );
  return near
    .sort((a, b) => a.waiver.until.end - b.waiver.until.end)
    .map(({ deployment, waiver: { service, until, owner, reason, source } }) => ({
      ...{
        deployment,
        service,
        until: until.text,
        lapsed: until.end <= now.getTime(),
        owner,
        reason,
        source,
      },
    }));
}
