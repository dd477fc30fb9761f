import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readlink } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { SandboxError } from './sandbox-error.ts';

/** How long processes may take to be gone after SIGKILL. */
const FORCE_MS = 5000;

/**
 * A network namespace without a name: it lives as long as a process in it does. Its first process ends when
 * its standard input closes, so the namespace ends with whoever holds it, however that one dies.
 */
export interface Namespace {
  /** `/proc/PID/ns/net`, for nsenter. */
  readonly path: string;
  /** What the link above reads: `net:[4026532000]`. */
  readonly identity: string;
  readonly pid: number;
}

/** The namespace of a process just started with `unshare --net`; refuses the one we are in ourselves. */
export async function namespaceOf(pid: number): Promise<Namespace> {
  const path = `/proc/${pid}/ns/net`;
  const [own, identity] = await Promise.all([readlink('/proc/self/ns/net'), readlink(path)]);
  if (own === identity) throw new SandboxError(`process ${pid} is still in our own network namespace`);
  return { path, identity, pid };
}

/** Starts a process that does nothing but hold a namespace. Closing its stdin ends it. */
export async function startHolder(): Promise<{ namespace: Namespace; process: ChildProcess }> {
  const holder = spawn('unshare', ['--net', 'cat'], { stdio: ['pipe', 'pipe', 'pipe'], detached: true });
  let complaint = '';
  holder.stderr.on('data', (chunk: Buffer) => {
    complaint += chunk;
  });
  holder.stdin.on('error', () => undefined);
  // An echo proves that unshare is done: cat runs only after it.
  holder.stdin.write('\n');
  const exited = once(holder, 'exit').catch(() => undefined);
  const echoed = await Promise.race([once(holder.stdout, 'data'), exited.then(() => null)]);
  if (!echoed || holder.pid === undefined) {
    holder.stdin.end();
    throw new SandboxError(`cannot make a network namespace: ${complaint.trim() || 'unshare is missing'}`);
  }
  return { namespace: await namespaceOf(holder.pid), process: holder };
}

/** Runs a program inside the namespace, fed with `input`. Throws a SandboxError unless it exits 0. */
export async function enter(namespace: Namespace, argv: readonly string[], input = ''): Promise<void> {
  const child = spawn('nsenter', [`--net=${namespace.path}`, ...argv], {
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaint += chunk;
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const [code] = await once(child, 'close').catch((error: Error) => {
    throw new SandboxError(`cannot run ${argv[0]} in a network namespace: ${error.message}`);
  });
  if (code !== 0) throw new SandboxError(`${argv.join(' ')} failed (${code}): ${complaint.trim()}`);
}

async function pidsIn(namespace: Namespace): Promise<number[]> {
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    names.map(async (name) => {
      const identity = await readlink(`/proc/${name}/ns/net`).catch(() => null);
      return identity === namespace.identity ? Number(name) : null;
    }),
  );
  return found.filter((pid) => pid !== null && pid !== namespace.pid) as number[];
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * Ends every process in the namespace but its holder: politely at first, so that a guarded run among them can
 * put its cgroup and pins away; by force after `patienceMs`.
 *
 * @param entering Processes that are on their way into the namespace, or in it.
 */
export async function emptyNamespace(
  namespace: Namespace,
  patienceMs: number,
  entering: () => readonly number[],
): Promise<void> {
  const deadline = performance.now() + patienceMs;
  const asked = new Set<number>();
  for (;;) {
    const pids = new Set([...entering(), ...(await pidsIn(namespace))]);
    if (pids.size === 0) return;
    const late = performance.now() - deadline;
    if (late > FORCE_MS) {
      throw new SandboxError(`processes outlived SIGKILL in the sandbox: ${[...pids].join(', ')}`);
    }
    for (const pid of pids) {
      if (late > 0) signal(pid, 'SIGKILL');
      else if (!asked.has(pid)) signal(pid, 'SIGTERM');
      asked.add(pid);
    }
    await sleep(10);
  }
}
