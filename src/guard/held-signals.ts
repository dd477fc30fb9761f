import { constants } from 'node:os';
import { processes } from '../kernel/native.ts';
import type { Running } from './command.ts';

const HELD = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGALRM'] as const;
const ENDING: readonly string[] = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'];
/** siginfo si_code of a signal the kernel sent, as the terminal's does. */
const SI_KERNEL = 0x80;

/**
 * While there is a guard to take away, no signal ends this process: the first that would is kept instead, until the
 * command runs. From then on each is passed on, but what the terminal sent: that reached the command by itself.
 */
export class HeldSignals {
  /** A signal has come that ends what there is, before the command could have it. */
  readonly came: Promise<void>;
  #come: () => void = () => {};
  #first: NodeJS.Signals | null = null;
  #heir: number | null = null;
  #over = false;
  #watching = false;
  readonly #take = (signal: NodeJS.Signals) => {
    if (this.#over) return;
    if (this.#heir !== null) pass(this.#heir, signal);
    else if (ENDING.includes(signal)) {
      this.#first ??= signal;
      this.#come();
    }
  };

  constructor() {
    this.came = new Promise((resolve) => {
      this.#come = resolve;
    });
    for (const signal of HELD) process.on(signal, this.#take);
  }

  /** The signal that came before the command could have it; null when none did. */
  get first(): NodeJS.Signals | null {
    return this.#first;
  }

  /** 128+n for the signal that came before the command could have it; null when none did. */
  get exit(): number | null {
    return this.#first === null ? null : 128 + constants.signals[this.#first];
  }

  /** To be called before the command is forked: from then on it is known of each signal who sent it. */
  watch(): void {
    const names = new Map<number, NodeJS.Signals>(HELD.map((name) => [constants.signals[name], name]));
    processes().signalWatch([...names.keys()], (number, code) => {
      const signal = names.get(number);
      if (signal && (this.#heir === null || code !== SI_KERNEL)) this.#take(signal);
    });
    this.#watching = true;
  }

  /**
   * Has a command begin that is forked already; null: a signal came that ends what there is, and it has not begun.
   * What the terminal sends from now on it has by itself; what came before is read first, so that none is the
   * command's twice, and none is lost between the two.
   */
  handOver(begin: () => Running): Running | null {
    if (this.#watching) processes().signalRead();
    if (this.#first !== null) return null;
    const running = begin();
    this.#heir = running.pid;
    // Its number may be another's by then.
    const end = () => {
      this.#over = true;
    };
    running.ended.then(end, end);
    return running;
  }

  release(): void {
    if (this.#watching) processes().signalUnwatch();
    this.#watching = false;
    for (const signal of HELD) process.off(signal, this.#take);
  }
}

function pass(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
