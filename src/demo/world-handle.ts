import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Namespace } from './namespace.ts';
import { namespaceOf } from './namespace.ts';
import { SandboxError } from './sandbox-error.ts';
import type { WorldOrder, WorldRecord, WorldReport } from './world.ts';

/** The world as its parent holds it: a process of servers in a network namespace of its own. */
export class WorldHandle {
  readonly namespace: Namespace;
  readonly process: ChildProcess;
  readonly #records: WorldRecord[] = [];
  readonly #waiting = new Map<string, (error: string | null) => void>();
  #failure: string | null = null;
  #complaint = '';
  #syncs = 0;

  private constructor(child: ChildProcess, namespace: Namespace) {
    this.process = child;
    this.namespace = namespace;
  }

  /** Starts `argv` in a new network namespace; it must call `serveWorld` on its standard streams. */
  static async start(argv: readonly string[]): Promise<WorldHandle> {
    const child = spawn('unshare', ['--net', ...argv], {
      stdio: 'pipe',
      detached: true,
      env: { PATH: process.env.PATH ?? '' },
    });
    const lines = createInterface({ input: child.stdout });
    let complaint = '';
    child.stderr.on('data', (chunk: Buffer) => {
      complaint += chunk;
    });
    child.stdin.on('error', () => undefined);
    const exited = once(child, 'exit').catch(() => undefined);
    const first = await Promise.race([once(lines, 'line'), exited.then(() => null)]);
    if (!first || child.pid === undefined) {
      throw new SandboxError(`the sandbox's servers did not start: ${complaint.trim() || argv.join(' ')}`);
    }
    const handle = new WorldHandle(child, await namespaceOf(child.pid));
    lines.on('line', (line) => handle.#hear(JSON.parse(line) as WorldReport));
    child.stderr.on('data', (chunk: Buffer) => {
      handle.#complaint += chunk;
    });
    exited.then(() => handle.#fail(handle.#complaint.trim() || 'the process of servers ended'));
    return handle;
  }

  /** Hands over the plan; resolves when every server listens. */
  async open(plan: unknown): Promise<void> {
    await this.#ask(plan, 'ready');
  }

  /** Everything that arrived up to now. */
  async records(): Promise<readonly WorldRecord[]> {
    const sync = ++this.#syncs;
    await this.#ask({ sync } satisfies WorldOrder, `synced ${sync}`);
    return [...this.#records];
  }

  /** Takes a server down, or brings it back, by name. */
  async toggle(server: string, up: boolean): Promise<void> {
    await this.#ask({ toggle: server, up } satisfies WorldOrder, `toggled ${server}`);
  }

  async stop(patienceMs: number): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const exited = once(this.process, 'exit');
    this.process.stdin?.end();
    const timer = setTimeout(() => this.process.kill('SIGKILL'), patienceMs);
    await exited;
    clearTimeout(timer);
  }

  #ask(message: unknown, answer: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error: string | null) => {
        this.#waiting.delete(answer);
        if (error === null) resolve();
        else reject(new SandboxError(`the sandbox's servers failed: ${error}`));
      };
      if (this.#failure !== null) return settle(this.#failure);
      this.#waiting.set(answer, settle);
      this.process.stdin?.write(`${JSON.stringify(message)}\n`);
    });
  }

  #hear(report: WorldReport): void {
    if ('record' in report) this.#records.push(report.record);
    else if ('failed' in report) this.#fail(report.failed);
    else if ('ready' in report) this.#waiting.get('ready')?.(null);
    else if ('synced' in report) this.#waiting.get(`synced ${report.synced}`)?.(null);
    else if ('toggled' in report) this.#waiting.get(`toggled ${report.toggled}`)?.(report.error);
  }

  #fail(reason: string): void {
    this.#failure ??= reason;
    for (const settle of [...this.#waiting.values()]) settle(this.#failure);
  }
}
