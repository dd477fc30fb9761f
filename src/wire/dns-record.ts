import type { ExtendedError } from './dns-code.ts';
import { readName, type WireName } from './dns-name.ts';

/** The frame of one resource record; its data is `bytes.subarray(data, end)`. */
export interface RecordFrame {
  readonly owner: WireName;
  readonly type: number;
  readonly class: number;
  /** Seconds (or, in OPT, flags); 32 bits unsigned. */
  readonly ttl: number;
  readonly data: number;
  readonly end: number;
}

/** What an OPT record says (RFC 6891). */
export interface Edns {
  /** UDP payload size the sender takes, bytes, as sent. */
  readonly udpSize: number;
  readonly dnssecOk: boolean;
}

const EDE_OPTION = 15;

/** 16 bits, network order; the caller has checked the bounds. */
export function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

/** 32 bits unsigned, network order; the caller has checked the bounds. */
function u32(bytes: Uint8Array, at: number): number {
  return u16(bytes, at) * 0x10000 + u16(bytes, at + 2);
}

/** The record at `at` (RFC 1035 §4.1.3); null when it does not fit into the message. */
export function readRecord(bytes: Uint8Array, at: number): RecordFrame | null {
  const owner = readName(bytes, at, 'follow');
  if (owner === null || owner.end + 10 > bytes.length) return null;
  const data = owner.end + 10;
  const end = data + u16(bytes, owner.end + 8);
  if (end > bytes.length) return null;
  return {
    owner,
    type: u16(bytes, owner.end),
    class: u16(bytes, owner.end + 2),
    ttl: u32(bytes, owner.end + 4),
    data,
    end,
  };
}

/** The EDNS header fields of an OPT record. */
export function readEdns(record: RecordFrame): Edns {
  return { udpSize: record.class, dnssecOk: (record.ttl & 0x8000) !== 0 };
}

/** The upper 8 bits of the response code, shifted into place. */
export function extendedRcodeBits(record: RecordFrame): number {
  return Math.floor(record.ttl / 0x1000000) << 4;
}

/** The first Extended DNS Error in an OPT record (RFC 8914 §2), or null; `malformed` when options overrun it. */
export function readExtendedError(
  bytes: Uint8Array,
  record: RecordFrame,
): ExtendedError | null | 'malformed' {
  let found: ExtendedError | null = null;
  let at = record.data;
  while (at < record.end) {
    if (at + 4 > record.end) return 'malformed';
    const code = u16(bytes, at);
    const size = u16(bytes, at + 2);
    at += 4;
    if (at + size > record.end) return 'malformed';
    if (code === EDE_OPTION && size >= 2 && found === null) {
      const text = new TextDecoder().decode(bytes.subarray(at + 2, at + size));
      found = { code: u16(bytes, at), text: text.replace(/[\p{Cc}\p{Cf}]/gu, ' ').trim() };
    }
    at += size;
  }
  return found;
}
