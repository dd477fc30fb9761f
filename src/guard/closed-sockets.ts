import { constants } from 'node:os';
import type { BpfMap } from '../kernel/binding.ts';
import { type ClosedSocket, closeSockets, isAddress, openSockets } from '../kernel/unix-connect.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { delegateSockets, deniedDelegates } from './delegate-sockets.ts';
import { socketsToClose } from './outside-resolver.ts';
import { readIfThere } from './readable.ts';

const NSSWITCH = '/etc/nsswitch.conf';
/** Sockets that were made after the run began, each closed when it was first called. */
const MOST_LATER = 256;

/** A socket that is to be closed to a run, and why. */
export interface SocketToClose extends ClosedSocket {
  /** Of a resolver, so that names are asked where they are guarded; of one the policy lets no work be handed to. */
  readonly of: 'resolver' | 'delegate';
}

/** What is to be closed to a run of a policy. Throws SetupFailure where one ought to be closed and cannot. */
export async function closedTo(policy: CompiledPolicy): Promise<readonly SocketToClose[]> {
  const resolvers = policy.mode === 'enforce' ? await socketsToClose(readIfThere(NSSWITCH)) : [];
  return [
    ...resolvers.map((socket) => ({ ...socket, of: 'resolver' as const })),
    ...delegateSockets(policy).map((socket) => ({ ...socket, of: 'delegate' as const })),
  ];
}

/** The UNIX sockets that are closed to one run. */
export class ClosedSockets {
  readonly #map: BpfMap;
  readonly #run: bigint;
  readonly #closed = new Map<string, number>();
  readonly #first: readonly SocketToClose[];
  readonly #resolvers: readonly ClosedSocket[];
  #later = 0;

  constructor(map: BpfMap, run: bigint, sockets: readonly SocketToClose[]) {
    this.#map = map;
    this.#run = run;
    this.#first = sockets;
    this.#resolvers = sockets.filter(({ of }) => of === 'resolver');
  }

  /** Closes those of the first policy. Not before the engine is about to have the run: it removes what is of none. */
  begin(): void {
    this.#put(this.#first);
  }

  /** Gives what puts another policy's word in force. Throws SetupFailure `delegate-open`. */
  plan(policy: CompiledPolicy): () => void {
    const sockets = [...this.#resolvers, ...delegateSockets(policy)];
    return () => this.#put(sockets);
  }

  /** One that is denied and was not known. */
  closeLate(called: string, policy: CompiledPolicy): void {
    // As the program spells it.
    const path = called.replace(/\/(?:\.?\/)+/g, '/');
    if (deniedDelegates(policy).length === 0 || this.#closed.has(path) || !isAddress(path)) return;
    if (this.#later >= MOST_LATER) return;
    this.#later++;
    this.#close({ path, errno: constants.errno[policy.onDeny] });
  }

  clear(): void {
    openSockets(this.#map, this.#run, this.#closed.keys());
    this.#closed.clear();
  }

  /** What stays closed is so all along. */
  #put(sockets: readonly ClosedSocket[]): void {
    for (const socket of sockets) this.#close(socket);
    const wanted = new Set(sockets.map(({ path }) => path));
    const others = [...this.#closed.keys()].filter((path) => !wanted.has(path));
    openSockets(this.#map, this.#run, others);
    for (const path of others) this.#closed.delete(path);
  }

  #close(socket: ClosedSocket): void {
    if (this.#closed.get(socket.path) === socket.errno) return;
    closeSockets(this.#map, this.#run, [socket]);
    this.#closed.set(socket.path, socket.errno);
  }
}
