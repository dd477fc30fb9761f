import { opendirSync, readlinkSync } from 'node:fs';
import { type Cgroup, processesIn } from '../kernel/cgroup.ts';
import { type Address, addressFromBytes } from '../model/address.ts';
import type { EstablishedConnection } from '../model/summary.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { locate } from '../policy/evaluate.ts';
import { readBounded } from './bounded-file.ts';

/** A connection that was there before the guard, called from inside the cgroup. */
export interface Established {
  readonly pid: number;
  readonly comm: string | null;
  readonly protocol: 'tcp' | 'udp';
  readonly address: Address;
  readonly port: number;
}

const TABLES = [
  ['tcp', 'tcp'],
  ['tcp6', 'tcp'],
  ['udp', 'udp'],
  ['udp6', 'udp'],
] as const;
/** Of /proc/net/tcp; a connected UDP socket has it too. */
const ESTABLISHED = '01';
const LISTEN = '0A';
const MOST_TABLE = 32 << 20;
const MOST_DESCRIPTORS = 65_536;

interface Row {
  readonly inode: string;
  readonly local: string;
  readonly remote: string;
  readonly state: string;
}

/** Connections that a guard leaves alone, and the services they are of by their addresses. */
export function callsBefore(
  { path }: Pick<Cgroup, 'path'>,
  { services }: CompiledPolicy,
): EstablishedConnection[] {
  return establishedIn(path).map((one) => {
    const identities = { address: locate(one.address), names: [] };
    return { ...one, service: services.select(identities)[0]?.[0]?.[0]?.rule.service ?? null };
  });
}

/** Connections that processes of a cgroup have made and hold. What they accepted was called by others. */
function establishedIn(path: string): Established[] {
  const byNamespace = Map.groupBy(processesIn(path), (pid) => link(`/proc/${pid}/ns/net`));
  return [...byNamespace].flatMap(([namespace, pids]) => (namespace === null ? [] : heldBy(pids)));
}

/** Of processes in one network namespace. */
function heldBy(pids: readonly number[]): Established[] {
  const holders = new Map<string, number>();
  for (const pid of pids)
    for (const inode of socketsOf(pid)) if (!holders.has(inode)) holders.set(inode, pid);
  return TABLES.flatMap(([table, protocol]) => {
    const rows = rowsOf(`/proc/${pids[0]}/net/${table}`);
    const listening = new Set(rows.filter(({ state }) => state === LISTEN).map(({ local }) => portOf(local)));
    return rows.flatMap(({ inode, local, remote, state }) => {
      const pid = holders.get(inode);
      if (pid === undefined || state !== ESTABLISHED || listening.has(portOf(local))) return [];
      const comm = text(`/proc/${pid}/comm`).trimEnd() || null;
      return [{ pid, comm, protocol, address: addressOf(remote), port: portOf(remote) }];
    });
  });
}

function rowsOf(file: string): Row[] {
  const lines = text(file).split('\n').slice(1);
  return lines.flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const [, local, remote, state] = fields;
    const inode = fields[9];
    return local && remote && state && inode ? [{ inode, local, remote, state }] : [];
  });
}

function portOf(endpoint: string): number {
  return Number.parseInt(endpoint.slice(endpoint.indexOf(':') + 1), 16);
}

/** Each 32 bits are a number of this host, which is little-endian. */
function addressOf(endpoint: string): Address {
  const bytes = Buffer.from(endpoint.slice(0, endpoint.indexOf(':')), 'hex').swap32();
  return addressFromBytes(bytes.length === 4 ? Buffer.concat([MAPPED, bytes]) : bytes);
}

/** ::ffff:0:0/96. */
const MAPPED = Buffer.from('00000000000000000000ffff', 'hex');

function socketsOf(pid: number): string[] {
  const inodes: string[] = [];
  try {
    const directory = opendirSync(`/proc/${pid}/fd`);
    try {
      for (let seen = 0; seen < MOST_DESCRIPTORS; seen++) {
        const entry = directory.readSync();
        if (!entry) break;
        const inode = /^socket:\[(\d+)\]$/.exec(link(`/proc/${pid}/fd/${entry.name}`) ?? '')?.[1];
        if (inode !== undefined) inodes.push(inode);
      }
    } finally {
      directory.closeSync();
    }
  } catch {
    // It ended meanwhile.
  }
  return inodes;
}

function link(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}

function text(path: string): string {
  try {
    return readBounded(path, MOST_TABLE);
  } catch {
    return '';
  }
}
