import type { Server } from './exchange.ts';

/** Milliseconds between two tries of a server that is silent. */
const TRY_EVERY_MS = 10_000;

/** Name servers in the order given, those that were silent last: until they have answered again. */
export class Shunned {
  readonly #servers: readonly Server[];
  /** When a silent server is to be tried again. */
  readonly #tryAt = new Map<Server, number>();

  constructor(servers: readonly Server[]) {
    this.#servers = servers;
  }

  inOrder(): readonly Server[] {
    if (this.#tryAt.size === 0) return this.#servers;
    const silent = (server: Server): boolean => this.#tryAt.has(server);
    return [...this.#servers.filter((server) => !silent(server)), ...this.#servers.filter(silent)];
  }

  /** Silent servers whose time for a try has come, each once a time. None where all are silent: all are asked then. */
  due(): readonly Server[] {
    if (this.#tryAt.size === 0 || this.#tryAt.size === this.#servers.length) return [];
    const now = performance.now();
    const due = [...this.#tryAt].filter(([, at]) => at <= now).map(([server]) => server);
    for (const server of due) this.#tryAt.set(server, now + TRY_EVERY_MS);
    return due;
  }

  shun(server: Server): void {
    this.#tryAt.set(server, performance.now() + TRY_EVERY_MS);
  }

  heardFrom(server: Server): void {
    this.#tryAt.delete(server);
  }
}
