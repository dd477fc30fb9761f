import type { Address } from '../model/address.ts';
import type { Transport } from '../model/destination.ts';
import type { Name } from '../model/name.ts';
import { formatHost, type Host } from './host.ts';
import { isNowhere, type Place } from './text.ts';

/** A host that a script names. */
export interface Mention {
  readonly place: Place;
  readonly host: Host;
  /** Null where the script does not say it. */
  readonly port: number | null;
  readonly protocol: Transport;
}

/** Something that reading alone cannot tell. */
export interface Unseen {
  readonly place: Place;
  /**
   * `outside`: a host whose name comes from outside the script. `later`: a file or command that is known only when
   * the script runs. `downloaded`: what is fetched and run. `unread`: a file that is there and cannot be read.
   */
  readonly kind: 'outside' | 'later' | 'downloaded' | 'unread';
  /** What it is, in a clause. */
  readonly what: string;
}

const MOST_MENTIONS = 10_000;
const MOST_WORDS = 50_000;
const MOST_UNSEEN = 500;

/** What has been found in scripts: hosts for certain, words that could be hosts, and what cannot be told. */
export class Findings {
  readonly mentions: Mention[] = [];
  readonly unseen: Unseen[] = [];
  /** Commands called by bare name, each where it is called first. */
  readonly programs = new Map<string, Place>();
  /** Nothing was left out for being too much. */
  complete = true;
  readonly #keys = new Set<string>();
  readonly #named = new Map<string, Place>();
  readonly #words = new Map<string, Place>();
  readonly #likely = new Map<string, Mention>();

  mention(host: Host, place: Place, port: number | null, protocol: Transport = 'tcp'): void {
    const key = `${formatHost(host)} ${port} ${protocol} ${place.line} ${place.file}`;
    if (isNowhere(place)) return;
    if (this.#keys.has(key) || this.#isFull(this.mentions.length, MOST_MENTIONS)) return;
    this.#keys.add(key);
    this.mentions.push({ place, host, port, protocol });
    putFirst(this.#named, formatHost(host), place);
  }

  /** A word that is a host if something calls it; `likely`: it stands alone, and is given to a program. */
  word(host: Host, place: Place, likely = false): void {
    if (isNowhere(place) || this.#isFull(this.#words.size, MOST_WORDS)) return;
    putFirst(this.#words, formatHost(host), place);
    if (likely) putFirst(this.#likely, formatHost(host), { place, host, port: null, protocol: 'tcp' });
  }

  /** The likely words that are no host for certain anywhere, each where it stands first. */
  get likely(): Mention[] {
    return [...this.#likely].flatMap(([key, mention]) => (this.#named.has(key) ? [] : [mention]));
  }

  /** How much was found. */
  get size(): number {
    return this.#keys.size + this.#words.size;
  }

  cannotTell(kind: Unseen['kind'], what: string, place: Place): void {
    const key = `${kind} ${what} ${place.line} ${place.file}`;
    if (isNowhere(place)) return;
    if (this.#keys.has(key) || this.#isFull(this.unseen.length, MOST_UNSEEN)) return;
    this.#keys.add(key);
    this.unseen.push({ place, kind, what });
  }

  program(name: string, place: Place): void {
    if (!isNowhere(place) && !this.programs.has(name) && !this.#isFull(this.programs.size, MOST_WORDS))
      this.programs.set(name, place);
  }

  /**
   * Where a destination is written: what is a host for certain before words that could be one; each by the names in
   * their order, then by names of which only the end is known, then by the address.
   */
  find(names: readonly Name[], address: Address | null): Place | null {
    const keys = [...names, ...names.flatMap(below), ...(address === null ? [] : [address])];
    for (const places of [this.#named, this.#words])
      for (const key of keys) {
        const place = places.get(key);
        if (place) return place;
      }
    return null;
  }

  #isFull(size: number, most: number): boolean {
    if (size < most) return false;
    this.complete = false;
    return true;
  }
}

/** `a.b.example` is below `b.example` and `example`, as `formatHost` writes it. */
function below(name: Name): string[] {
  const labels = name.split('.');
  return labels.slice(1).map((_, i) => `*.${labels.slice(i + 1).join('.')}`);
}

function putFirst<Found>(all: Map<string, Found>, key: string, found: Found): void {
  if (!all.has(key)) all.set(key, found);
}
