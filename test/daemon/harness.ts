import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Bounds } from '../../src/daemon/bounds.ts';

const PROGRAM = fileURLToPath(new URL('server-program.ts', import.meta.url));
/** In every Debian; it owns nothing, so that its members have nothing by it. */
export const GROUP = { name: 'nogroup', gid: 65_534 };
export const MEMBER = { uid: 40_001, gid: GROUP.gid };
export const STRANGER = { uid: 40_002, gid: 40_002 };

export interface Served {
  readonly path: string;
  readonly process: ChildProcess;
  /** The next line of standard output. */
  line(): Promise<string>;
  /** Has the host say messages; gives what it says of itself then. */
  say(count: number, bytes: number, uid: number): Promise<{ readers: number; rss: number }>;
  /** Has a host with `runs` do something, and waits until it has: see server-program.ts. */
  tell(what: object): Promise<void>;
  stop(): Promise<void>;
}

export interface ServeOptions {
  readonly path?: string;
  readonly group?: string;
  readonly metrics?: string;
  readonly bounds?: Partial<Bounds>;
  readonly well?: boolean;
  /** A file that keeps runs: each has a cgroup, and outlives the server. */
  readonly runs?: string;
  /** What a host with `runs` says is wrong with it. */
  readonly degraded?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What starts the program, as `systemd-socket-activate` does. */
  readonly launcher?: readonly string[];
}

/** Directories that are removed by `removeAll`. */
const directories: string[] = [];
const running = new Set<ChildProcess>();

export function makeDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'acyclic-daemon-'));
  chmodSync(directory, 0o755);
  directories.push(directory);
  return directory;
}

/** After each test: nothing is left. */
export function removeAll(): void {
  for (const child of running) child.kill('SIGKILL');
  running.clear();
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
}

/** The server in a process of its own; its first line, `ready` or why not, is read by the caller. */
export function launch(options: ServeOptions = {}): Served {
  const path = options.path ?? join(makeDirectory(), 'socket');
  const { env = {}, launcher = [], ...rest } = options;
  const [file = '', ...args] = [...launcher, process.execPath, PROGRAM];
  const child = spawn(file, [...args, JSON.stringify({ group: GROUP.name, ...rest, path })], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH, ...env },
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async () => String((await lines.next()).value);
  return {
    path,
    process: child,
    line,
    async say(count, bytes, uid) {
      child.stdin.write(`${count} ${bytes} ${uid}\n`);
      for (;;) {
        const said = JSON.parse(await line());
        if ('said' in said) return said;
      }
    },
    async tell(what) {
      child.stdin.write(`${JSON.stringify(what)}\n`);
      while (!(await line()).includes('"said"'));
    },
    async stop() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
    },
  };
}

export async function serve(options: ServeOptions = {}): Promise<Served> {
  const served = launch(options);
  const first = await served.line();
  if (first !== 'ready') {
    // The log may speak first.
    const second = first.includes('"level"') ? await served.line() : first;
    if (second !== 'ready') throw new Error(`the server does not start: ${second}`);
  }
  return served;
}

/** Sends bytes as they are, and gives all that comes back until the connection ends, or `ms` are over. */
export function exchange(path: string, bytes: string, ms = 10_000): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let text = '';
    const conclude = () => {
      socket.destroy();
      resolve(text);
    };
    const timer = setTimeout(conclude, ms);
    socket.on('data', (data) => {
      text += data;
    });
    socket.once('close', () => {
      clearTimeout(timer);
      conclude();
    });
    socket.once('error', (error) => (text === '' ? reject(error) : conclude()));
    socket.write(bytes);
  });
}

export function open(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', reject);
  });
}

const AS_USER = fileURLToPath(new URL('client-program.ts', import.meta.url));

/** What a request of another user comes to, by the client itself. */
export async function ask(
  { uid, gid }: { uid: number; gid: number },
  path: string,
  method: string,
  route: string,
  body?: object,
): Promise<{ answer?: unknown; code?: string; status?: number }> {
  const as = ['--reuid', `${uid}`, '--regid', `${gid}`, '--clear-groups', process.execPath, AS_USER];
  const child = spawn('setpriv', [...as, path, method, route, JSON.stringify(body ?? null)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  for await (const data of child.stdout) text += data;
  return JSON.parse(text);
}
