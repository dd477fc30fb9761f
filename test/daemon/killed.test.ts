import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import { pastOfTrail } from '../../src/audit/past.ts';
import type { PolicyHistory } from '../../src/daemon/answers.ts';
import { Entries } from '../../src/daemon/entries.ts';
import { createLog } from '../../src/daemon/log.ts';
import { PolicyKeeper } from '../../src/daemon/policy-keeper.ts';
import { loadPolicy } from '../../src/guard/policy-files.ts';
import { policyFilesIn } from '../../src/guard/policy-texts.ts';
import type { AuditEvent } from '../../src/model/event.ts';
import { changesOnRecord } from './changes-on-record.ts';
import { makeDirectory, removeAll } from './harness.ts';

const PROGRAM = fileURLToPath(new URL('keeper-program.ts', import.meta.url));
const KILLS = 25;

afterEach(removeAll);

/** What it said until it was killed, `ms` after its first word. */
async function killed(directory: string, from: number, ms: number): Promise<string[]> {
  const child = spawn(process.execPath, [PROGRAM, directory, `${from}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  for await (const data of child.stdout) {
    if (text === '') sleep(ms).then(() => child.kill('SIGKILL'));
    text += data;
  }
  return text.split('\n').filter((line) => line !== '');
}

/** The numbers it may be at: the last that is done, or the one that was being done. */
function possible(lines: readonly string[], what: string, before: number): [done: number, tried: number] {
  const numbers = lines.flatMap((line) => {
    const [, n, done] = new RegExp(`^${what} (\\d+)( done)?$`).exec(line) ?? [];
    return n === undefined ? [] : [{ n: Number(n), done: done !== undefined }];
  });
  const done = numbers.filter((one) => one.done).at(-1)?.n ?? before;
  return [done, numbers.at(-1)?.n ?? before];
}

/** What entries there may be: one is made, and only then those before it are taken back, one after the other. */
function possibleEntries(lines: readonly string[], held: readonly number[]): (readonly number[])[] {
  const [done, tried] = possible(lines, 'entry', 0);
  const before = done === 0 ? held : [done];
  if (tried === done) return [before];
  const all = [...before, tried];
  return [before, ...all.map((_, i) => all.slice(i))];
}

async function changesIn(state: string): Promise<AuditEvent[]> {
  const events: AuditEvent[] = [];
  for await (const event of pastOfTrail(state).events({ run: null, deployment: null, since: null }))
    events.push(event);
  return events;
}

/** Every policy that was ever in force, once, with what it means otherwise than the one before. */
function expectOnRecord({ versions }: PolicyHistory, events: readonly AuditEvent[]): void {
  for (const { id, by, reason, changes } of versions) {
    const found = events.filter(({ policy, change }) => policy === id && change?.what === by);
    expect(found.map(({ change }) => [change?.reason, change?.changes])).toEqual([[reason, changes]]);
    expect(changes.length).toBeGreaterThan(0);
  }
}

test('a daemon that is killed while it applies policies and makes entries has each whole or not at all', async () => {
  const directory = makeDirectory();
  const policy = join(directory, 'etc');
  mkdirSync(policy);
  const state = join(directory, 'state');
  const common = { state, log: createLog({ level: 'silent' }) };
  let at = 0;
  let held: number[] = [];
  const hit = { policy: 0, entry: 0 };
  for (let round = 0; round < KILLS; round++) {
    const lines = await killed(directory, at + 1, (round * 37) % 160);
    expect(lines.length).toBeGreaterThan(0);
    if (!lines.at(-1)?.endsWith('done')) hit[lines.at(-1)?.startsWith('policy') ? 'policy' : 'entry'] += 1;
    const { close, ...onRecord } = changesOnRecord(state);
    const keeper = new PolicyKeeper({ ...common, ...onRecord, policy, change: () => 0 });
    const [host = ''] = keeper.loaded?.policy.services.get('mysql')?.hosts.map(({ text }) => text) ?? [];
    const n = Number(/^h(\d+)\./.exec(host)?.[1] ?? 0);
    expect(possible(lines, 'policy', at)).toContain(n);
    at = n;
    if (n > 0) {
      // The directory is that policy, whole, and nothing else of one.
      expect(policyFilesIn(policy).map(({ name }) => name)).toEqual(['acyclic.yaml', `services/s${n}.yaml`]);
      expect(loadPolicy(policy).id).toBe(keeper.loaded?.id);
      expect(keeper.history().versions[0]).toMatchObject({
        inForce: true,
        id: keeper.loaded?.id,
        reason: `${n}`,
      });
    }
    const numbers = new Entries({ ...common, ...onRecord, policy: () => null, change: () => {} })
      .list()
      .map(({ reason }) => Number(reason));
    expect(possibleEntries(lines, held).map(String)).toContain(`${numbers}`);
    held = numbers;
    await keeper.close();
    await close();
    const events = await changesIn(state);
    expectOnRecord(keeper.history(), events);
    const changes = (what: string) => events.filter(({ change }) => change?.what === what);
    const [made, removed] = [changes('entry-made'), changes('entry-removed')];
    for (const n of numbers) expect(made.filter(({ change }) => change?.reason === `${n}`)).toHaveLength(1);
    expect(made.length - removed.length).toBe(numbers.length);
  }
  expect(hit.policy).toBeGreaterThan(0);
  expect(at).toBeGreaterThan(KILLS);
}, 120_000);
