import type { ChildProcess } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect } from 'vitest';
import type { CreatedRun, Status, StreamMessage } from '../../src/daemon/answers.ts';
import { Client } from '../../src/daemon/client.ts';
import type { RunSummary } from '../../src/model/summary.ts';
import { acyclic, openPlace, type Place, type Result, remains, until } from '../cli/harness.ts';
import { startEcho } from '../cli/residents.ts';
import { GROUP } from './harness.ts';

const GUEST = fileURLToPath(new URL('guest-program.ts', import.meta.url));

/** Services told apart by addresses of loopback, so that nothing leaves. */
const POLICY = `version: 1
services:
  mysql: { addresses: [127.1.0.1] }
  github: { addresses: [127.2.0.0/16], depends_on: [mysql] }
deployments:
  mysql: { mode: enforce, default: allow }
`;

/** As that, but what is circular is allowed. */
export const CIRCULAR_ALLOWED = POLICY.replace('default: allow }', 'default: allow, circular: off }');

/** What a guest said last. */
export interface Told {
  readonly created?: CreatedRun;
  readonly summary?: RunSummary;
  readonly status?: number;
  readonly output?: string;
  readonly messages?: readonly StreamMessage[];
  readonly code?: string;
  readonly message?: string;
  readonly remedy?: string | null;
}

export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** `acyclic` that is under way. */
export interface Begun {
  readonly child: ChildProcess;
  readonly ended: Promise<{ status: number | null; stdout: string; stderr: string }>;
}

/** A guest that is under way. */
export interface Guest {
  readonly child: ChildProcess;
  /** The id of its run, once it has one. */
  readonly created: Promise<string>;
  readonly told: Promise<Told>;
}

/** A daemon of its own in a network namespace without a way out. */
export interface Hosted {
  readonly place: Place;
  readonly socket: string;
  readonly state: string;
  readonly policy: string;
  readonly client: Client;
  pid(): number;
  /** What it has logged so far, a line each. */
  logged(): readonly string[];
  status(): Promise<Status>;
  /** A command through the daemon; of root, unless told otherwise. */
  guest(command: readonly string[], asked?: object, as?: User): Guest;
  /** `acyclic ARGS` with this daemon, waited for; of root, unless told otherwise. */
  acyclic(args: readonly string[], as?: User, input?: string): Result;
  /** The same under way. */
  begin(args: readonly string[], as?: User): Begun;
  /** Of another build, where its `acyclic` is given. */
  start(program?: string): Promise<void>;
  /** Waits for its end. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  close(): Promise<void>;
}

export async function openHost(policy: string = POLICY): Promise<Hosted> {
  const place = openPlace();
  chmodSync(place.directory, 0o755);
  const directory = join(place.directory, 'policy');
  mkdirSync(directory);
  writeFileSync(join(directory, 'acyclic.yaml'), policy);
  const socket = join(place.directory, 'socket');
  const state = join(place.directory, 'state');
  const client = new Client(socket);
  const logged: string[] = [];
  const env = { ...process.env, ACYCLIC_SOCKET: socket, ACYCLIC_STATE: state };
  let daemon: ChildProcess | null = null;
  const hosted: Hosted = {
    ...{ place, socket, state, policy: directory, client },
    pid: () => daemon?.pid ?? -1,
    logged: () => logged,
    status: () => client.request<Status>('GET', '/v1/status'),
    guest(command, asked = {}, as) {
      const argv = [...asUser(as), process.execPath, GUEST, socket, JSON.stringify(asked), ...command];
      const child = place.start(argv, { stdio: ['ignore', 'pipe', 'inherit'] });
      let [said, tell] = ['', (_: string) => {}];
      const created = new Promise<string>((resolve) => {
        tell = resolve;
      });
      child.stdout?.setEncoding('utf8').on('data', (data: string) => {
        said += data;
        const id = /^\{"created":\{"id":"(\w+)"/m.exec(said)?.[1];
        if (id !== undefined) tell(id);
      });
      const told = new Promise<Told>((resolve) =>
        child.once('close', () => resolve(JSON.parse(said.trimEnd().split('\n').at(-1) || '{}'))),
      );
      return { child, created, told };
    },
    acyclic: (args, as, input) => place.bare([...asUser(as), acyclic, ...args], input, env),
    begin(args, as) {
      const child = place.start([...asUser(as), acyclic, ...args], {
        env,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let [stdout, stderr] = ['', ''];
      child.stdout?.setEncoding('utf8').on('data', (data) => {
        stdout += data;
      });
      child.stderr?.setEncoding('utf8').on('data', (data) => {
        stderr += data;
      });
      const ended = new Promise<Awaited<Begun['ended']>>((resolve) =>
        child.once('close', (status) => resolve({ status, stdout, stderr })),
      );
      return { child, ended };
    },
    async start(program = acyclic) {
      const options = ['--policy', directory, '--state', state, '--socket', socket, '--group', GROUP.name];
      const child = place.start([program, 'daemon', ...options], { stdio: ['ignore', 'pipe', 'inherit'] });
      daemon = child;
      if (!child.stdout) throw new Error('no standard output');
      const lines = createInterface(child.stdout);
      await new Promise<void>((resolve, reject) => {
        child.once('exit', (status) => reject(new Error(`the daemon ended with ${status}`)));
        lines.on('line', (line) => {
          logged.push(line);
          if (line.includes('guards and serves')) resolve();
        });
      });
    },
    async kill(signal = 'SIGKILL') {
      if (!daemon || daemon.exitCode !== null || daemon.signalCode !== null) return;
      const ended = new Promise((resolve) => daemon?.once('exit', resolve));
      daemon.kill(signal);
      await ended;
    },
    async close() {
      await hosted.kill('SIGTERM');
      place.close();
    },
  };
  await hosted.start();
  return hosted;
}

/** A daemon for all tests of a file, given before the first, with something that listens; after the last nothing is left. */
export function hostForAll(give: (hosted: Hosted) => void, policy?: string): void {
  const undo: (() => void | Promise<void>)[] = [];
  beforeAll(async () => {
    const hosted = await openHost(policy);
    undo.push(() => hosted.close());
    const echo = await startEcho(hosted.place);
    undo.push(() => void echo.kill());
    give(hosted);
  });
  afterAll(async () => {
    for (const step of undo.reverse()) await step();
    expect(remains()).toEqual([]);
  });
}

/** What makes a command an ordinary user's. */
export function asUser(as?: User): string[] {
  return as ? ['setpriv', '--reuid', `${as.uid}`, '--regid', `${as.gid}`, '--clear-groups'] : [];
}

/** Waits until a daemon has no run. */
export function untilIdle(hosted: Hosted): Promise<void> {
  return untilStatus(hosted, ({ runs }) => runs.length === 0, 'no run is in progress');
}

/** Waits until what a daemon says of itself is so. */
export async function untilStatus(
  hosted: Hosted,
  check: (status: Status) => boolean,
  what: string,
): Promise<void> {
  let holds = false;
  const ask = async () => {
    holds = check(await hosted.status());
  };
  await ask();
  const timer = setInterval(() => void ask().catch(() => {}), 100);
  try {
    await until(() => holds, what);
  } finally {
    clearInterval(timer);
  }
}

/** Waits until a run is over. */
export function untilOver(hosted: Hosted, run: string): Promise<void> {
  return untilStatus(hosted, ({ runs }) => !runs.some(({ id }) => id === run), `run ${run} is over`);
}
