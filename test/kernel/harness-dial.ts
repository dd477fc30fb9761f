import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { enter, type Namespace, startHolder } from '../../src/demo/namespace.ts';
import type { Address } from '../../src/model/address.ts';
import type { Transport } from '../../src/model/destination.ts';
import { compileSpeak, Speaker } from './harness-speak.ts';

/** How an attempt is made, and where the kernel's hooks see it (kernel.md). */
interface Kind {
  /** Of the addresses it can reach: IPv4 also by v4-mapped sockets. */
  readonly family: 4 | 6;
  readonly transport: Transport;
  /** IP protocol number on the wire. */
  readonly protocol: number;
  readonly hook: string;
  /** Its send after the connect passes a hook of its own, and is told when the socket ends. */
  readonly resent: string | null;
}

function kind(family: 4 | 6, protocol: number, hook: string, resent: string | null = null): Kind {
  const transport = protocol === 6 ? 'tcp' : protocol === 17 ? 'udp' : 'other';
  return { family, transport, protocol, hook, resent };
}

/** Every kind of attempt fixtures/dial.c knows. */
export const KINDS: Readonly<Record<string, Kind>> = {
  tcp4: kind(4, 6, 'cgroup/connect4'),
  tcp6: kind(6, 6, 'cgroup/connect6'),
  'tcp-mapped': kind(4, 6, 'cgroup/connect6'),
  fastopen4: kind(4, 6, 'cgroup/connect4'),
  fastopen6: kind(6, 6, 'cgroup/connect6'),
  'fastopen-mapped': kind(4, 6, 'cgroup/connect6'),
  mptcp4: kind(4, 6, 'cgroup/connect4'),
  mptcp6: kind(6, 6, 'cgroup/connect6'),
  'mptcp-mapped': kind(4, 6, 'cgroup/connect6'),
  udp4: kind(4, 17, 'cgroup/connect4'),
  udp6: kind(6, 17, 'cgroup/connect6'),
  'udp-mapped': kind(4, 17, 'cgroup/connect6', 'cgroup/sendmsg4'),
  'udp-inet-on-inet6': kind(4, 17, 'cgroup/connect4', 'cgroup/sendmsg4'),
  send4: kind(4, 17, 'cgroup/sendmsg4'),
  send6: kind(6, 17, 'cgroup/sendmsg6'),
  'send-mapped': kind(4, 17, 'cgroup/sendmsg4'),
  'send-inet-on-inet6': kind(4, 17, 'cgroup/sendmsg4'),
  'send-unspec': kind(4, 17, 'cgroup/sendmsg4'),
  udplite4: kind(4, 136, 'cgroup/sendmsg4'),
  udplite6: kind(6, 136, 'cgroup/sendmsg6'),
  ping4: kind(4, 1, 'cgroup_skb/egress'),
  ping6: kind(6, 58, 'cgroup_skb/egress'),
  'ping-connect4': kind(4, 1, 'cgroup/connect4'),
  'ping-connect6': kind(6, 58, 'cgroup/connect6'),
  'raw-tcp4': kind(4, 6, 'cgroup_skb/egress'),
  'raw-udp4': kind(4, 17, 'cgroup_skb/egress'),
  'raw-icmp4': kind(4, 1, 'cgroup_skb/egress'),
  'raw-tcp6': kind(6, 6, 'cgroup_skb/egress'),
  'raw-udp6': kind(6, 17, 'cgroup_skb/egress'),
  'uring-tcp4': kind(4, 6, 'cgroup/connect4'),
  'uring-tcp6': kind(6, 6, 'cgroup/connect6'),
  'uring-tcp-mapped': kind(4, 6, 'cgroup/connect6'),
  'uring-send4': kind(4, 17, 'cgroup/sendmsg4'),
  'uring-send6': kind(6, 17, 'cgroup/sendmsg6'),
  'uring-thread-tcp4': kind(4, 6, 'cgroup/connect4'),
  'uring-thread-send6': kind(6, 17, 'cgroup/sendmsg6'),
};

export interface Attempt {
  /** One of KINDS; with a `+` its socket is kept, and `again` sends on that. */
  readonly kind: string;
  readonly address: Address;
  readonly port: number;
}

/** A network namespace with only loopback, on which every address is the host's own: nothing can leave. */
export interface Ground {
  readonly namespace: Namespace;
  /** A child that makes attempts in it, from a cgroup. */
  dialler(cgroup: string): Promise<Dialler>;
  /** A child that connects and speaks in it, from a cgroup. */
  speaker(cgroup: string): Promise<Speaker>;
  close(): Promise<void>;
}

/** Makes the namespace and compiles fixtures/dial.c. */
export async function makeGround(): Promise<Ground> {
  const directory = mkdtempSync(join(tmpdir(), 'acyclic-dial-'));
  const program = join(directory, 'dial');
  const source = fileURLToPath(new URL('fixtures/dial.c', import.meta.url));
  execFileSync('cc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', program, source]);
  const { namespace, process: holder } = await startHolder();
  const steps = [
    ['link', 'set', 'lo', 'up'],
    ['route', 'add', 'local', '0.0.0.0/0', 'dev', 'lo'],
    ['-6', 'route', 'add', 'local', '::/0', 'dev', 'lo'],
  ];
  for (const step of steps) await enter(namespace, ['ip', ...step]);
  return {
    namespace,
    dialler: (cgroup) => Dialler.start(program, namespace, cgroup),
    speaker: (cgroup) => Speaker.start(compileSpeak(directory), namespace, cgroup),
    async close() {
      const exited = once(holder, 'exit');
      holder.stdin?.end();
      await exited;
      rmSync(directory, { recursive: true });
    },
  };
}

// $1 the cgroup.procs to enter, then the command.
const JOIN = 'echo $$ > "$1" && shift && exec "$@"';

/** The child that makes the attempts. */
export class Dialler {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  /** SO_NETNS_COOKIE of where it is. */
  readonly netns: bigint;
  /** Kinds this kernel does not have. */
  readonly missing: ReadonlySet<string>;

  private constructor(child: ChildProcess, lines: AsyncIterator<string>, hello: string) {
    this.#process = child;
    this.#lines = lines;
    const [cookie = '', ...missing] = hello.split(' ');
    this.netns = BigInt(cookie);
    this.missing = new Set(missing);
  }

  static async start(program: string, namespace: Namespace, cgroup: string): Promise<Dialler> {
    const argv = ['sh', '-c', JOIN, 'sh', join(cgroup, 'cgroup.procs'), program];
    const child = spawn('nsenter', [`--net=${namespace.path}`, ...argv], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    return new Dialler(child, lines, await nextLine(lines));
  }

  /** Makes the attempts one after another; answers their errnos, 0 for none. */
  async dial(attempts: readonly Attempt[]): Promise<number[]> {
    const lines = attempts.map(({ kind: how, address, port }) => `${how} ${address} ${port}\n`);
    this.#process.stdin?.write(`${lines.join('')}\n`);
    const errnos: number[] = [];
    while (errnos.length < attempts.length) errnos.push(Number(await nextLine(this.#lines)));
    return errnos;
  }

  async close(): Promise<void> {
    const exited = once(this.#process, 'exit');
    this.#process.stdin?.end();
    await exited;
  }
}

async function nextLine(lines: AsyncIterator<string>): Promise<string> {
  const { value, done } = await lines.next();
  if (done) throw new Error('the dialler ended early');
  return value;
}
