import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { pinDirectory } from '../../src/kernel/pins.ts';
import { readReport } from '../report.ts';

export const acyclic = fileURLToPath(new URL('../../bin/acyclic', import.meta.url));

export interface Result {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Milliseconds. */
  readonly took: number;
}

/** A network namespace with lo and no way out, and a directory; both go with `close`. */
export interface Place {
  readonly directory: string;
  readonly namespace: string;
  /** Writes a file in the directory and gives its path. */
  file(name: string, text: string): string;
  /** `acyclic ARGS`, waited for. */
  run(args: readonly string[], input?: string, env?: NodeJS.ProcessEnv): Result;
  /** Any command in the namespace, bare. */
  bare(argv: readonly string[], input?: string, env?: NodeJS.ProcessEnv): Result;
  start(argv: readonly string[], options?: SpawnOptions): ChildProcess;
  /** Events of a report file, the summary last. */
  report(name: string): Record<string, unknown>[];
  close(): void;
}

/** A report has events in the order in which they were over. */
export function byTime<T extends { readonly time?: unknown }>(events: readonly T[]): T[] {
  return events.toSorted((a, b) => (String(a.time) < String(b.time) ? -1 : 1));
}

let places = 0;

export function openPlace(): Place {
  const namespace = `acyclic-test-${process.pid}-${places++}`;
  const ip = (...args: string[]) => {
    const { status, stderr } = spawnSync('ip', args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`);
  };
  ip('netns', 'add', namespace);
  ip('-n', namespace, 'link', 'set', 'lo', 'up');
  const directory = mkdtempSync(join(tmpdir(), 'acyclic-test-'));
  const inside = (argv: readonly string[]) => [`--net=/run/netns/${namespace}`, '--', ...argv];
  const bare: Place['bare'] = (argv, input = '', env = process.env) => {
    const start = performance.now();
    const { status, stdout, stderr } = spawnSync('nsenter', inside(argv), {
      encoding: 'utf8',
      input,
      env,
      cwd: directory,
      timeout: 50_000,
    });
    return { status, stdout, stderr, took: performance.now() - start };
  };
  return {
    directory,
    namespace,
    file(name, text) {
      const path = join(directory, name);
      writeFileSync(path, text, { mode: 0o755 });
      return path;
    },
    bare,
    run: (args, input, env) => bare([acyclic, ...args], input, env),
    start: (argv, options = {}) => spawn('nsenter', inside(argv), { cwd: directory, ...options }),
    report: (name) => readReport(join(directory, name)),
    close() {
      rmSync(directory, { recursive: true });
      ip('netns', 'del', namespace);
    },
  };
}

/** What ended runs have left on this machine: cgroups, pins, entries. One in progress is somebody else's. */
export function remains(): string[] {
  const { stdout } = spawnSync('find', ['/sys/fs/cgroup', '-type', 'd', '-name', 'acyclic-*'], {
    encoding: 'utf8',
  });
  const list = (directory: string) => (existsSync(directory) ? readdirSync(directory) : []);
  const all = [
    ...stdout.split('\n'),
    ...list(dirname(pinDirectory('one'))).map((name) => `pin ${name}`),
    ...list('/run/acyclic/runs').map((name) => `entry ${name}`),
  ];
  return all.filter((what) => {
    const [, id] = /[ -]([0-9A-Z]{26})(?:\.json)?$/.exec(what) ?? [];
    return id !== undefined && !isInProgress(id);
  });
}

function isInProgress(id: string): boolean {
  try {
    const { engine } = JSON.parse(readFileSync(`/run/acyclic/runs/${id}.json`, 'utf8'));
    return existsSync(`/proc/${engine.pid}`);
  } catch {
    return false;
  }
}

/** Waits until `check` holds, at most ten seconds. */
export async function until(check: () => boolean, what: string): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (check()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`waited in vain: ${what}`);
}

/** Nothing but loopback, and nothing named, is allowed. */
export const STRICT = `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"], owner: "@db-platform" }
  github:
    hosts: [github.com, "*.github.com"]
    addresses: [192.0.2.0/24]
    depends_on: [mysql]
    instead: use mirror.internal/tools
  migrations: { hosts: [migrations.internal], addresses: [198.51.100.0/24], depends_on: [github] }
deployments:
  mysql:
    deny:
      - { id: no-telemetry, host: "*.telemetry.example", reason: never needed, owner: "@sre" }
`;
