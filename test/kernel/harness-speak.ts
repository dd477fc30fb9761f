import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Namespace } from '../../src/demo/namespace.ts';
import type { Address } from '../../src/model/address.ts';

/** Somebody listens on these, at every address of the ground. */
export const HEARING_PORTS = [22, 80, 443, 3128, 8080, 8443] as const;

/** A connection and the pieces that are sent on it. */
export interface Speech {
  readonly address: Address;
  readonly port: number;
  readonly pieces: readonly Uint8Array[];
}

/** How it went for the caller, and how many bytes came to the other end; null where no connection came about. */
export interface Spoken {
  readonly errno: number;
  readonly heard: number | null;
}

/** Compiles fixtures/speak.c. */
export function compileSpeak(directory: string): string {
  const program = join(directory, 'speak');
  const source = fileURLToPath(new URL('fixtures/speak.c', import.meta.url));
  execFileSync('cc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', program, source]);
  return program;
}

// $1 the cgroup.procs to enter, then the command.
const JOIN = 'echo $$ > "$1" && shift && exec "$@"';

/** A child in the cgroup that connects and speaks, and one outside that listens. */
export class Speaker {
  readonly #children: readonly ChildProcess[];
  readonly #answers: AsyncIterator<string>;
  readonly #heard: Heard;

  private constructor(children: readonly ChildProcess[], answers: AsyncIterator<string>, heard: Heard) {
    this.#children = children;
    this.#answers = answers;
    this.#heard = heard;
  }

  static async start(program: string, namespace: Namespace, cgroup: string): Promise<Speaker> {
    const inside = [`--net=${namespace.path}`];
    const hearing = spawn('nsenter', [...inside, program, 'hear', ...HEARING_PORTS.map(String)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const heard = new Heard(createInterface({ input: hearing.stdout }));
    await heard.ready;
    const join_ = ['sh', '-c', JOIN, 'sh', join(cgroup, 'cgroup.procs'), program, 'say'];
    const saying = spawn('nsenter', [...inside, ...join_], { stdio: ['pipe', 'pipe', 'inherit'] });
    const answers = createInterface({ input: saying.stdout })[Symbol.asyncIterator]();
    await answers.next();
    return new Speaker([saying, hearing], answers, heard);
  }

  /** Speaks one after another. */
  async say(speeches: readonly Speech[]): Promise<Spoken[]> {
    const lines = speeches.map(({ address, port, pieces }) =>
      [address, port, ...pieces.map((piece) => Buffer.from(piece).toString('hex'))].join(' '),
    );
    const [saying] = this.#children;
    saying?.stdin?.write(`${lines.join('\n')}\n\n`);
    const spoken: Spoken[] = [];
    for (const _ of speeches) {
      const { value, done } = await this.#answers.next();
      if (done) throw new Error('the speaker ended early');
      const [source = 0, errno = 0] = String(value).split(' ').map(Number);
      spoken.push({ errno, heard: source === 0 ? null : await this.#heard.from(source) });
    }
    return spoken;
  }

  async close(): Promise<void> {
    const [saying, hearing] = this.#children;
    const ended = [saying, hearing].map((child) => child && once(child, 'exit'));
    saying?.stdin?.end();
    hearing?.kill();
    await Promise.all(ended);
  }
}

/** What the listener says of connections that have ended, by source port. */
class Heard {
  readonly ready: Promise<void>;
  readonly #bytes = new Map<number, number>();
  readonly #waiting = new Map<number, (bytes: number) => void>();

  constructor(lines: Interface) {
    this.ready = new Promise((resolve) => lines.once('line', () => resolve()));
    lines.on('line', (line) => {
      const [source, bytes] = line.split(' ').map(Number);
      if (source === undefined || bytes === undefined) return;
      const waiting = this.#waiting.get(source);
      this.#waiting.delete(source);
      if (waiting) waiting(bytes);
      else this.#bytes.set(source, bytes);
    });
  }

  from(source: number): Promise<number> {
    const bytes = this.#bytes.get(source);
    this.#bytes.delete(source);
    if (bytes !== undefined) return Promise.resolve(bytes);
    return new Promise((resolve) => this.#waiting.set(source, resolve));
  }
}
