import { HEADER_BYTES } from './dns-code.ts';

/** A name as it stands in a DNS message. */
export interface WireName {
  /**
   * Lower case, no trailing dot. Bytes that host names do not have are escaped as in RFC 1035 §5.1
   * (`a\.b.example`), so two different names never read the same. The root is `.`.
   */
  readonly text: string;
  /** One label or more, each of letters, digits, `_` and inner `-`: a name policy can speak of. */
  readonly plain: boolean;
  /** Offset of the byte after the name. */
  readonly end: number;
}

const MAX_NAME_BYTES = 255;
const DOT = 0x2e;
const HYPHEN = 0x2d;

/**
 * Reads the name at `start` (RFC 1035 §4.1.4). A compression pointer must lead to before the labels that hold
 * it, so no chain of them can loop. Null when it is malformed, longer than 255 bytes, or compressed where
 * `compression` is `refuse`.
 */
export function readName(
  bytes: Uint8Array,
  start: number,
  compression: 'refuse' | 'follow',
): WireName | null {
  let at = start;
  let floor = start;
  let end = -1;
  let length = 1;
  let text = '';
  let plain = true;
  for (;;) {
    const size = bytes[at];
    if (size === undefined) return null;
    if (size === 0) break;
    if (size >= 0xc0) {
      const low = bytes[at + 1];
      if (compression === 'refuse' || low === undefined) return null;
      const target = ((size & 0x3f) << 8) | low;
      if (target >= floor || target < HEADER_BYTES) return null;
      if (end < 0) end = at + 2;
      floor = target;
      at = target;
      continue;
    }
    length += size + 1;
    const stop = at + 1 + size;
    if (size > 0x3f || length > MAX_NAME_BYTES || stop > bytes.length) return null;
    if (text !== '') text += '.';
    if (bytes[at + 1] === HYPHEN || bytes[stop - 1] === HYPHEN) plain = false;
    for (at += 1; at < stop; at++) {
      const byte = bytes[at] as number;
      if (isPlain(byte)) {
        text += String.fromCharCode(byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte);
      } else {
        plain = false;
        text += escapeByte(byte);
      }
    }
  }
  if (end < 0) end = at + 1;
  return text === '' ? { text: '.', plain: false, end } : { text, plain, end };
}

function isPlain(byte: number): boolean {
  return (
    (byte >= 0x61 && byte <= 0x7a) ||
    (byte >= 0x41 && byte <= 0x5a) ||
    (byte >= 0x30 && byte <= 0x39) ||
    byte === HYPHEN ||
    byte === 0x5f
  );
}

function escapeByte(byte: number): string {
  if (byte === DOT || byte === 0x5c) return `\\${String.fromCharCode(byte)}`;
  if (byte > 0x20 && byte < 0x7f) return String.fromCharCode(byte);
  return `\\${String(byte).padStart(3, '0')}`;
}
