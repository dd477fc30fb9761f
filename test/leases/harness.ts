import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { enter, startHolder } from '../../src/demo/namespace.ts';
import { LEASE_SETTINGS, type LeaseSettings } from '../../src/guard/lease-settings.ts';
import type { Zone } from '../lab/dns-zone.ts';
import type { Outcome, Script } from './stage.ts';

/** As quick as the marks in the kernel allow. Milliseconds. */
export const QUICK: LeaseSettings = { ...LEASE_SETTINGS, floor: 300, cap: 600, grace: 1800, every: 50 };

/**
 * By how much a lease may outlive its time: a mark's unit, a slot of the calendar, a turn, and a busy
 * machine.
 */
export const SLACK = 134 + 250 + QUICK.every + 300;

/** One guarded run (stage.ts), told what to do. */
export class Stage {
  readonly #holder: ChildProcess;
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(holder: ChildProcess, child: ChildProcess, lines: AsyncIterator<string>) {
    this.#holder = holder;
    this.#process = child;
    this.#lines = lines;
  }

  /** In a network namespace of its own, where every address is local: nothing leaves. */
  static async open(script: Script): Promise<Stage> {
    const { namespace, process: holder } = await startHolder();
    await enter(namespace, ['ip', 'link', 'set', 'lo', 'up']);
    await enter(namespace, ['ip', 'route', 'add', 'local', '0.0.0.0/0', 'dev', 'lo']);
    const argv = [process.execPath, join(import.meta.dirname, 'stage.ts'), JSON.stringify(script)];
    const child = spawn('nsenter', [`--net=${namespace.path}`, ...argv], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const stage = new Stage(holder, child, lines);
    await stage.#line();
    return stage;
  }

  zone(zone: Zone): Promise<string> {
    return this.tell(`zone ${JSON.stringify(zone)}`);
  }

  /** The response code, and the addresses. */
  async resolve(name: string, type = 'A'): Promise<{ rcode: number; addresses: string[] }> {
    const [rcode, ...addresses] = (await this.tell(`resolve ${name} ${type}`)).split(' ');
    return { rcode: Number(rcode), addresses };
  }

  /** An errno, 0 for none; what is opened is kept under `key`. */
  async call(what: 'connect' | 'flow', key: string, address: string): Promise<number> {
    return Number(await this.tell(`${what} ${key} ${address}`));
  }

  /** An errno, 0 for none. */
  async again(key: string): Promise<number> {
    return Number(await this.tell(`again ${key}`));
  }

  async close(key: string): Promise<void> {
    await this.tell(`close ${key}`);
  }

  async end(): Promise<Outcome> {
    this.#process.stdin?.end();
    const outcome = JSON.parse(await this.#line()) as Outcome;
    this.#holder.stdin?.end();
    return outcome;
  }

  async tell(line: string): Promise<string> {
    this.#process.stdin?.write(`${line}\n`);
    return await this.#line();
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error('the stage ended early');
    return value;
  }
}
