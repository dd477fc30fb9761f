import { setTimeout as sleep } from 'node:timers/promises';
import type { Guarded } from '../daemon/answers.ts';
import { Client, ClientFailure, socketPath } from '../daemon/client.ts';
import { createOutput, Failure } from './output.ts';
import { readTime, text } from './run-options.ts';

const ASK_EVERY_MS = 50;
/** A daemon that is about to start, or to come back. */
const MAY_COME: readonly string[] = ['no-daemon', 'daemon-gone'];

/** What `acyclic require` was asked, as it was given. */
export interface RequireOptions {
  readonly wait: string;
  readonly orGo?: true;
  readonly socket?: string;
}

/** Waits for the guard. Throws Failure `unguarded`, and ClientFailure, where the unit must not start. */
export async function requireGuard(named: string | null, options: RequireOptions): Promise<void> {
  const until = performance.now() + readTime('--wait', options.wait);
  const client = new Client(socketPath(text('--socket', options.socket, 'a path')));
  const route = await routeTo(named);
  let said: Guarded | null = null;
  let failure: ClientFailure | null = null;
  for (;;) {
    try {
      // At least once, however short the wait.
      const timeoutMs = Math.max(1000, until - performance.now());
      said = await client.request<Guarded>('GET', route, { timeoutMs });
      failure = null;
      if (said.guarded || said.matched === null || said.why !== null) break;
    } catch (error) {
      if (!(error instanceof ClientFailure)) throw error;
      failure = error;
      if (!MAY_COME.includes(error.code)) break;
    }
    if (performance.now() + ASK_EVERY_MS > until) break;
    await sleep(ASK_EVERY_MS);
  }
  if (failure) goWithout(options, failure);
  else if (said) judge(said);
}

/** A cgroup is named by its path; a unit by where systemd, or the tree, has it. */
async function routeTo(named: string | null): Promise<string> {
  if (named === null) return '/v1/guarded';
  if (named.startsWith('/')) return `/v1/guarded?cgroup=${encodeURIComponent(named)}`;
  const { placeOfUnit } = await import('../guard/target.ts');
  return `/v1/guarded?cgroup=${encodeURIComponent(await placeOfUnit(named))}`;
}

function goWithout({ orGo }: RequireOptions, failure: ClientFailure): void {
  if (!orGo || failure.code === 'daemon-refused') throw failure;
  say('warning', [`acyclic: UNGUARDED: ${failure.message}`, 'it goes without a guard, as --or-go says']);
}

function judge({ cgroup, guarded, deployment, mode, run, matched, required, why }: Guarded): void {
  if (guarded) {
    const as = [deployment, mode, run === null ? null : `run ${run}`].filter((part) => part !== null);
    say('info', [`acyclic: guarded ${cgroup}${as.length > 0 ? ` · ${as.join(' · ')}` : ''}`]);
    return;
  }
  if (matched === null)
    throw new Failure(
      'unguarded',
      `${cgroup} is not guarded: no \`match\` of the policy holds it`,
      'name its unit under `match` of a deployment, or take `acyclic require` out of it',
    );
  const reason = why ?? 'the daemon has not come to it in time';
  if (required)
    throw new Failure(
      'unguarded',
      `${cgroup} of deployment ${matched} is not guarded: ${reason}`,
      'see acyclic status and the journal of acyclic; `required: false` under `match` lets it go without',
    );
  say('warning', [
    `acyclic: UNGUARDED: ${cgroup} of deployment ${matched} is not guarded: ${reason}`,
    'it goes without a guard, as `required: false` of the policy says',
  ]);
}

function say(level: 'info' | 'warning', lines: readonly string[]): void {
  createOutput({ quiet: false, json: false }).say(level, lines);
}
