import type { BpfMap } from './binding.ts';
import * as layout from './layout.gen.ts';
import { native } from './native.ts';

/** Who is behind a source port that talks to the DNS proxy. */
export interface Client {
  readonly run: bigint;
  readonly pid: number;
  /** CLOCK_MONOTONIC nanoseconds of its latest packet. */
  readonly time: bigint;
}

/** MAX_CLIENTS of bpf/maps.bpf.h. */
const MOST = 131_072;
const PROTOCOLS = { tcp: 6, udp: 17 } as const;

/** The kernel's word on who asks the proxy, kept by bpf/skb.bpf.c before the packet arrives. */
export class ClientTable {
  readonly #map: BpfMap;
  readonly #key = Buffer.alloc(layout.clientKey.size);

  constructor(map: BpfMap) {
    this.#map = map;
  }

  /** Whoever asked for a run that is over: its sockets may outlive it, and nothing sees them close. */
  forget(run: bigint): void {
    const { size } = layout.clientKey;
    const keys = native().mapKeys(this.#map, MOST);
    for (let at = 0; at + size <= keys.length; at += size) {
      const key = keys.subarray(at, at + size);
      const of = native().mapLookup(this.#map, key)?.readBigUInt64LE(layout.client.run.offset);
      if (of === run) native().mapDelete(this.#map, key);
    }
  }

  /** Null: nobody of a run. */
  find(transport: 'udp' | 'tcp', address: string, port: number): Client | null {
    const key = this.#key;
    key.writeUInt8(PROTOCOLS[transport], layout.clientKey.protocol.offset);
    key.writeUInt8(address.includes(':') ? 6 : 4, layout.clientKey.family.offset);
    key.writeUInt16LE(port, layout.clientKey.port.offset);
    const value = native().mapLookup(this.#map, key);
    if (!value) return null;
    return {
      run: value.readBigUInt64LE(layout.client.run.offset),
      pid: value.readUInt32LE(layout.client.pid.offset),
      time: value.readBigUInt64LE(layout.client.time.offset),
    };
  }
}
