import { constants } from 'node:os';

const HELD = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGUSR1', 'SIGUSR2', 'SIGALRM'] as const;
const ENDING: readonly string[] = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'];

/** While there is a guard to take away, no signal ends this process: the first that would is kept instead. */
export class HeldSignals {
  /** A signal has come that ends what there is, before the command could have it. */
  readonly came: Promise<void>;
  #come: () => void = () => {};
  #first: NodeJS.Signals | null = null;
  #heir: number | null = null;
  readonly #hold = (signal: NodeJS.Signals) => {
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
    for (const signal of HELD) process.on(signal, this.#hold);
  }

  /** The signal that came before the command could have it; null when none did. */
  get first(): NodeJS.Signals | null {
    return this.#first;
  }

  /** 128+n for the signal that came before the command could have it; null when none did. */
  get exit(): number | null {
    return this.#first === null ? null : 128 + constants.signals[this.#first];
  }

  /** The command runs: a signal that was under way to us before it is passed on is its own. */
  handOver(pid: number): void {
    this.#heir = pid;
  }

  release(): void {
    for (const signal of HELD) process.off(signal, this.#hold);
  }
}

function pass(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
