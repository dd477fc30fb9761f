import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Namespace } from './namespace.ts';
import { SandboxError } from './sandbox-error.ts';

export interface CommandOptions {
  /** Default: the sandbox's home directory. */
  readonly cwd?: string;
  /** Laid over the client's environment; the caller's own is not passed on. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface RunOptions extends CommandOptions {
  readonly input?: string;
  /** The command and its process group are killed after this time. Default 30 s. */
  readonly timeoutMs?: number;
  /** Send standard error where standard output goes, so that their order is kept. */
  readonly merge?: boolean;
  /** Called with each piece of standard output as it comes. */
  readonly onOutput?: (text: string) => void;
}

export interface CommandResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Wall time, entering the sandbox included (about 5 ms). */
  readonly ms: number;
}

/** Files the sandbox lays over the host's, in the client's own mount namespace. */
export interface ClientFiles {
  readonly nameservers: readonly string[];
  /** Lines of /etc/hosts beside those for localhost. */
  readonly hosts: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const DEFAULT_TIMEOUT_MS = 30_000;

// $1 the namespace we must be in, $2 the directory of files to lay over /etc, $3 "merge" or "".
// nss-resolve and nscd would look names up outside the sandbox, over their UNIX sockets: names come from
// `files dns` here, and nscd's socket is out of sight.
const ENTER = `
[ "$(readlink /proc/self/ns/net)" = "$1" ] || { echo "sandbox: not in the client's network namespace" >&2; exit 125; }
for name in resolv.conf hosts nsswitch.conf; do mount --bind "$2/$name" "/etc/$name" || exit 125; done
if [ -d /run/nscd ]; then mount -t tmpfs none /run/nscd || exit 125; fi
if [ "$3" = merge ]; then exec 2>&1; fi
shift 3
exec "$@"`;

/** Runs commands on the client's side of the sandbox. Cgroups and bpffs stay visible, unlike with `ip netns exec`. */
export class Client {
  readonly namespace: Namespace;
  readonly home: string;
  readonly env: Readonly<Record<string, string>>;
  readonly #etc: string;
  readonly #children = new Set<ChildProcess>();
  #closed = false;

  private constructor(namespace: Namespace, dir: string, env: Readonly<Record<string, string>>) {
    this.namespace = namespace;
    this.home = path.join(dir, 'home');
    this.#etc = path.join(dir, 'etc');
    this.env = { PATH: process.env.PATH ?? '', LANG: 'C.UTF-8', HOME: this.home, ...env };
  }

  static async create(namespace: Namespace, dir: string, files: ClientFiles): Promise<Client> {
    const client = new Client(namespace, dir, files.env);
    const etc = client.#etc;
    await Promise.all([mkdir(client.home), mkdir(etc)]);
    const resolv = [...files.nameservers.map((address) => `nameserver ${address}`), 'options timeout:2'];
    const hosts = ['127.0.0.1 localhost', '::1 localhost ip6-localhost', ...files.hosts];
    await Promise.all([
      writeFile(path.join(etc, 'resolv.conf'), `${resolv.join('\n')}\n`),
      writeFile(path.join(etc, 'hosts'), `${hosts.join('\n')}\n`),
      writeFile(path.join(etc, 'nsswitch.conf'), 'passwd: files\ngroup: files\nhosts: files dns\n'),
    ]);
    // A mount needs something to lie over; creating it would leave a trace on the host.
    for (const name of ['resolv.conf', 'hosts', 'nsswitch.conf']) {
      if (!existsSync(path.join('/etc', name)))
        throw new SandboxError(
          `/etc/${name} is missing`,
          'create it, even empty: the sandbox lays its own over it',
        );
    }
    return client;
  }

  /** Refuses further commands. */
  close(): void {
    this.#closed = true;
  }

  /** Commands started here that have not ended; each may still be on its way into the namespace. */
  pids(): number[] {
    return [...this.#children].flatMap(({ pid }) => pid ?? []);
  }

  /**
   * Starts a command; the child's pid is the command's own. It leads a session and process group of its own
   * unless `detached` is false.
   */
  spawn(
    argv: readonly string[],
    options: CommandOptions & Pick<SpawnOptions, 'stdio' | 'detached'> & { merge?: boolean } = {},
  ): ChildProcess {
    if (this.#closed) throw new SandboxError('the sandbox is stopped');
    const merge = options.merge ? 'merge' : '';
    const child = spawn(
      'nsenter',
      [
        `--net=${this.namespace.path}`,
        'unshare',
        '--mount',
        '--propagation',
        'private',
        'sh',
        '-c',
        ENTER,
        'sh',
      ]
        .concat(this.namespace.identity, this.#etc, merge)
        .concat(argv),
      {
        cwd: options.cwd ?? this.home,
        env: { ...this.env, ...options.env },
        stdio: options.stdio ?? 'pipe',
        detached: options.detached ?? true,
      },
    );
    if (child.pid !== undefined) {
      this.#children.add(child);
      child.once('exit', () => this.#children.delete(child));
    }
    return child;
  }

  /** Runs a command to its end and collects its output. */
  async run(argv: readonly string[], options: RunOptions = {}): Promise<CommandResult> {
    const start = performance.now();
    const child = this.spawn(argv, { ...options, stdio: 'pipe' });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    const decoder = new TextDecoder();
    child.stdout?.on('data', (chunk: Buffer) => {
      out.push(chunk);
      options.onOutput?.(decoder.decode(chunk, { stream: true }));
    });
    child.stderr?.on('data', (chunk: Buffer) => err.push(chunk));
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
    const timer = setTimeout(() => killGroup(child), options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    return new Promise((resolve, reject) => {
      child.once('error', (error) => {
        clearTimeout(timer);
        reject(error);
      });
      child.once('close', (code, signal) => {
        clearTimeout(timer);
        const ms = performance.now() - start;
        const [stdout, stderr] = [out, err].map((chunks) => Buffer.concat(chunks).toString());
        resolve({ code, signal, stdout: stdout ?? '', stderr: stderr ?? '', ms });
      });
    });
  }
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // Ended a moment ago.
  }
}
