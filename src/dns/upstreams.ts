import type { OpenDatagrams } from '../model/datagrams.ts';
import { type Server, serverName } from './exchange.ts';
import { type Patience, Upstream } from './upstream.ts';

/** Lists of servers whose state is kept; past that, that of the one asked longest ago is given up. */
const MOST_LISTS = 64;

/** What is known of name servers, for each list of them that runs ask. */
export class Upstreams {
  readonly #patience: Patience;
  readonly #openDatagrams: OpenDatagrams;
  /** By the list's text, the one asked last at the end. */
  readonly #lists = new Map<string, Upstream>();

  constructor(patience: Patience, openDatagrams: OpenDatagrams) {
    this.#patience = patience;
    this.#openDatagrams = openDatagrams;
  }

  of(servers: readonly Server[]): Upstream {
    const text = servers.map(serverName).join(' ');
    const known = this.#lists.get(text);
    const upstream = known ?? new Upstream(servers, this.#patience, this.#openDatagrams);
    if (known) this.#lists.delete(text);
    else this.#makeRoom();
    this.#lists.set(text, upstream);
    return upstream;
  }

  /** Ends what is under way; later questions are not asked. */
  close(): void {
    for (const upstream of this.#lists.values()) upstream.close();
  }

  #makeRoom(): void {
    if (this.#lists.size < MOST_LISTS) return;
    const lists = [...this.#lists];
    const [text, upstream] = lists.find(([, one]) => one.idle) ?? (lists[0] as [string, Upstream]);
    this.#lists.delete(text);
    upstream.close();
  }
}
