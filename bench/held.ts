import type { ChildProcess } from 'node:child_process';
import { mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Attachment, CreatedRun, EndedRun } from '../src/daemon/answers.ts';
import { moveProcess, ownCgroup } from '../src/kernel/cgroup.ts';
import { findCgroup2 } from '../src/kernel/mounts.ts';
import type { RunSummary } from '../src/model/summary.ts';
import type { Hosted } from '../test/daemon/host.ts';
import { plainRequest } from '../test/daemon/plain-request.ts';

/** A line for each time the command is to work, a line when it has; it ends with its standard input. */
const shell = (script: string, args: readonly string[]) => [
  ...['/bin/sh', '-c', `while read go; do ${script}; done`, 'sh', ...args],
];

/** A shell that works when it is told to. */
class Worker {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<number>;

  constructor(hosted: Hosted, command: readonly string[]) {
    this.child = hosted.place.start(command, { stdio: ['pipe', 'pipe', 'inherit'] });
    if (!this.child.stdout) throw new Error('no standard output');
    this.#lines = createInterface(this.child.stdout)[Symbol.asyncIterator]();
    this.#ended = new Promise((resolve) => this.child.once('close', (status) => resolve(status ?? -1)));
  }

  get pid(): number {
    return this.child.pid ?? -1;
  }

  /** The line it prints. */
  async work(): Promise<string> {
    this.child.stdin?.write('\n');
    return String((await this.#lines.next()).value);
  }

  /** Its exit status. */
  async stop(): Promise<number> {
    this.child.stdin?.end();
    return await this.#ended;
  }
}

/** Something guarded, with a shell in it that does `script` each time it is told to. */
export interface Held {
  work(): Promise<string>;
  end(): Promise<RunSummary | null>;
}

/** A run of a daemon, as `acyclic run` has one: with its events read, and nothing of its own started for it. */
export async function holdRun(hosted: Hosted, script: string, args: readonly string[] = []): Promise<Held> {
  const { client } = hosted;
  const command = shell(script, args);
  const body = plainRequest(command, { syscalls: true });
  const { id } = await client.request<CreatedRun>('POST', '/v1/runs', { body });
  const worker = new Worker(hosted, command);
  let read = Promise.resolve();
  await new Promise<void>((opened, failed) => {
    read = (async () => {
      for await (const _ of client.events(`/v1/runs/${id}/events`, { opened }));
    })();
    read.catch(failed);
  });
  await client.request('POST', `/v1/runs/${id}/command`, { body: { pid: worker.pid } });
  return {
    work: () => worker.work(),
    async end() {
      const body = { status: await worker.stop(), timedOut: false };
      const { summary } = await client.request<EndedRun>('POST', `/v1/runs/${id}/end`, { body });
      await read;
      return summary;
    },
  };
}

let attached = 0;

/** A cgroup that was there before it is guarded. */
export async function holdAttached(
  hosted: Hosted,
  script: string,
  args: readonly string[] = [],
): Promise<Held> {
  const cgroup = join(ownCgroup().path, `acyclic-bench-${process.pid}-${attached++}`);
  mkdirSync(cgroup);
  const worker = new Worker(hosted, shell(script, args));
  moveProcess(worker.pid, cgroup);
  const target = { kind: 'cgroup', path: cgroup.slice(findCgroup2().length) };
  const body = { target, deployment: 'bench', mode: null };
  const { id } = await hosted.client.request<Attachment>('POST', '/v1/attachments', { body });
  return {
    work: () => worker.work(),
    async end() {
      await worker.stop();
      await hosted.client.request('DELETE', `/v1/attachments/${id}`);
      await removed(cgroup);
      return null;
    },
  };
}

/** Its last process may take a moment to leave. */
async function removed(cgroup: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      rmdirSync(cgroup);
      return;
    } catch (error) {
      if (tries === 50) throw error;
      await sleep(20);
    }
  }
}

/** Does `one` for each number below `count`, `at` at a time, in order. */
export async function each<T>(count: number, at: number, one: (i: number) => Promise<T>): Promise<T[]> {
  const results: T[] = new Array(count);
  let next = 0;
  const lane = async () => {
    for (let i = next++; i < count; i = next++) results[i] = await one(i);
  };
  await Promise.all(Array.from({ length: Math.min(at, count) }, lane));
  return results;
}
