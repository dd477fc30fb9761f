import { type Address, addressFromBytes } from '../model/address.ts';
import * as layout from './layout.gen.ts';
import type { Programs } from './programs.ts';

/** An address that a socket of a run is connected to, or sent to last. */
export interface Connection {
  readonly run: bigint;
  readonly address: Address;
  /** The fact by which it was let through; 0: none was known, or by another one. */
  readonly fact: number;
}

/** What the sockets of runs are connected to now. TCP counts from SYN to the end of both sides. */
export function readConnections(programs: Pick<Programs, 'walkConnections'>): Connection[] {
  const { size, run, address, fact } = layout.connection;
  const bytes = programs.walkConnections();
  return Array.from({ length: Math.floor(bytes.length / size) }, (_, i) => {
    const one = bytes.subarray(i * size, (i + 1) * size);
    return {
      run: one.readBigUInt64LE(run.offset),
      address: addressFromBytes(one.subarray(address.offset, address.offset + address.size)),
      fact: one.readUInt32LE(fact.offset),
    };
  });
}
