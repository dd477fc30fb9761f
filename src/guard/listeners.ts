import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import type { AttemptRecord } from '../kernel/records.ts';
import type { Address } from '../model/address.ts';
import type { EventListener } from '../model/event.ts';
import { readBounded } from './bounded-file.ts';
import { descriptorsOf } from './descriptors.ts';

/** How long an answer holds: services do not move from port to port; somebody may begin to listen at any time. */
const REMEMBER_MS = 10_000;
const NOBODY_MS = 1000;
const MOST_REMEMBERED = 1000;
/** Searching takes no more of a second: lookups are answered and denials told by the thread that searches. */
const PATIENCE_MS = 100;
const SECOND_MS = 1000;
/** Of a table of sockets, bytes: those that listen on TCP come first (net/ipv4/tcp_ipv4.c, tcp_seq_start). */
const MOST_TABLE = 1 << 18;
/** Descriptors looked at of each process, the lowest: what listens was opened early. */
const MOST_DESCRIPTORS = 256;
const TCP = 6;
const UDP = 17;
/** Of /proc/net/tcp: LISTEN; of /proc/net/udp: not connected. */
const STATES: Readonly<Record<number, string>> = { [TCP]: '0A', [UDP]: '07' };

/** A process that listens, by one of its descriptors. */
interface Found {
  readonly listener: EventListener;
  /** As /proc/PID/cgroup has them. */
  readonly places: readonly string[];
  /** The descriptor's path, and what it was: while it is that, the process is the same and listens. */
  readonly at: string;
  readonly socket: string;
}

/** The run that calls. */
interface Caller {
  readonly cgroup: string;
  /** Addresses of this host beside loopback. */
  readonly own: ReadonlySet<Address>;
}

/**
 * Who listens on this host, looked up when a run calls there: it may act for the run, and is outside it. One for all
 * runs of a process: however many they are, what searching may take of its thread is bounded.
 */
export class Listeners {
  readonly #patienceMs: number;
  /** Since when searches have taken how long, in milliseconds. */
  #since = Number.NEGATIVE_INFINITY;
  #spent = 0;
  readonly #known = new Map<string, { readonly found: Found | null; readonly until: number }>();

  constructor({ patienceMs = PATIENCE_MS }: { patienceMs?: number } = {}) {
    this.#patienceMs = patienceMs;
  }

  /** The process outside the run that a call came to; null: none, not on this host, or not found in time. */
  behind(
    { address, port, protocol, elsewhere }: AttemptRecord,
    { cgroup, own }: Caller,
  ): EventListener | null {
    if (elsewhere || port === 0 || STATES[protocol] === undefined || !isHere(address, own)) return null;
    const found = this.#at(protocol, port);
    const inside = `/${basename(cgroup)}/`;
    return found?.places.some((place) => `${place}/`.includes(inside)) ? null : (found?.listener ?? null);
  }

  #at(protocol: number, port: number): Found | null {
    const key = `${protocol} ${port}`;
    const now = performance.now();
    const known = this.#known.get(key);
    if (known && known.until > now && (!known.found || link(known.found.at) === known.found.socket))
      return known.found;
    if (now - this.#since >= SECOND_MS) [this.#since, this.#spent] = [now, 0];
    const left = this.#patienceMs - this.#spent;
    if (left <= 0) return null;
    const found = find(protocol, port, now + left);
    this.#spent += performance.now() - now;
    if (this.#known.size >= MOST_REMEMBERED) this.#known.clear();
    this.#known.set(key, { found, until: now + (found ? REMEMBER_MS : NOBODY_MS) });
    return found;
  }
}

function isHere(address: Address, own: ReadonlySet<Address>): boolean {
  return address.startsWith('127.') || address === '::1' || own.has(address);
}

function find(protocol: number, port: number, until: number): Found | null {
  const inodes = socketsAt(protocol, port);
  if (inodes.size === 0) return null;
  for (const pid of processes()) {
    if (performance.now() > until) return null;
    for (const fd of descriptorsOf(Number(pid), MOST_DESCRIPTORS)) {
      const at = `/proc/${pid}/fd/${fd}`;
      const socket = link(at) ?? '';
      const inode = /^socket:\[(\d+)\]$/.exec(socket)?.[1];
      if (inode !== undefined && inodes.has(inode)) return { ...describe(Number(pid)), at, socket };
    }
  }
  return null;
}

function describe(pid: number): Pick<Found, 'listener' | 'places'> {
  const listener = { pid, comm: text(`/proc/${pid}/comm`).trimEnd() || null, exe: link(`/proc/${pid}/exe`) };
  return { listener, places: text(`/proc/${pid}/cgroup`).split('\n') };
}

/** Inodes of the sockets that listen on a port, of either family (proc(5), /proc/net/tcp). */
function socketsAt(protocol: number, port: number): Set<string> {
  const end = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const files = protocol === TCP ? ['tcp', 'tcp6'] : ['udp', 'udp6'];
  const found = new Set<string>();
  for (const file of files) {
    for (const line of table(file).split('\n')) {
      const fields = line.trim().split(/\s+/);
      const [, local = '', , state = ''] = fields;
      if (local.endsWith(end) && state === STATES[protocol] && fields[9]) found.add(fields[9]);
    }
  }
  return found;
}

function table(file: string): string {
  try {
    return readBounded(`/proc/net/${file}`, MOST_TABLE);
  } catch {
    return '';
  }
}

function processes(): string[] {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function link(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}
