import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, expect, test } from 'vitest';

const PROGRAM = path.join(import.meta.dirname, '../../bin/acyclic');
const LIMIT_MS = 20_000;
const BEFORE = await traces();

afterEach(async () => {
  await expect.poll(traces, { timeout: 2000 }).toEqual(BEFORE);
});

/** What a demo could leave behind: files, and processes of the sandbox or of a guarded script. */
async function traces(): Promise<string[]> {
  const files = (await readdir(tmpdir())).filter((name) => name.startsWith('acyclic-demo-'));
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const commands = await Promise.all(
    pids.map(async (pid) =>
      (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' '),
    ),
  );
  return [...files, ...commands.filter((command) => /demo --world|\.\/deploy\.sh|mysqlctl/.test(command))];
}

/** Cgroups and pins of the runs a demo told of. Other runs on this machine may have theirs. */
async function remainsOfRuns(output: string): Promise<string[]> {
  const ids = [...output.matchAll(/ run (\w{26})/g)].flatMap(([, id]) => id ?? []);
  expect(ids.length, output).toBeGreaterThan(0);
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  const cgroups = /^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2 /m.exec(mounts)?.[1] ?? '';
  const names = await Promise.all([cgroups, '/sys/fs/bpf'].map((dir) => readdir(dir, { recursive: true })));
  return names.flat().filter((name) => ids.some((id) => name.includes(id)));
}

function startDemo(): { child: ChildProcess; output: () => string } {
  const child = spawn(PROGRAM, ['demo'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk;
    });
  }
  return { child, output: () => output };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 10));
}

test(
  'the demo tells three stories, each loop is stopped, and nothing is left',
  async () => {
    const started = performance.now();
    const { child, output } = startDemo();
    const [code] = await once(child, 'close');
    expect(code, output()).toBe(0);
    expect(performance.now() - started).toBeLessThan(LIMIT_MS);
    const text = output();
    for (const kind of ['1. direct', '2. hidden', '3. transient']) expect(text).toContain(kind);
    expect(text.match(/^ {5}acyclic: denied /gm)).toHaveLength(3);
    expect(text.match(/github\.com was called once/g)).toHaveLength(6);
    expect(text.match(/github\.com was not called/g)).toHaveLength(3);
    for (const evidence of [
      /cycle +mysql → github → mysql +direct: named at deploy\.sh:9\n/,
      /cycle +mysql → github → mysql +hidden: mysqlctl \(in no package\): deploy\.sh → mysqlctl → curl\n/,
      /cycle +mysql → migrations → github → mysql +transient: through migrations\n/,
    ])
      expect(text).toMatch(evidence);
    expect(text).not.toContain('\x1b');
    expect(await remainsOfRuns(text)).toEqual([]);
  },
  LIMIT_MS,
);

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)(
  '%s in the middle of a script ends the demo and clears the sandbox away',
  async (signal, status) => {
    const { child, output } = startDemo();
    const ended = once(child, 'close');
    // The outage: github.com holds the request for most of a second.
    await until(() => output().includes('mysql is down'));
    child.kill(signal);
    expect((await ended)[0], output()).toBe(status);
    expect(output()).not.toContain('2. hidden');
  },
);

test('a guarded run is cleared away too when the demo is ended during it', async () => {
  const { child, output } = startDemo();
  const ended = once(child, 'close');
  await until(() => output().includes('acyclic: guarding'));
  child.kill('SIGTERM');
  expect((await ended)[0], output()).toBe(143);
  expect(await remainsOfRuns(output())).toEqual([]);
}, 10_000);

test('a reader that leaves early ends the demo', async () => {
  const { child, output } = startDemo();
  const ended = once(child, 'exit');
  await until(() => output().includes('1. direct'));
  child.stdout?.destroy();
  expect((await ended)[0]).toBe(129);
}, 10_000);
