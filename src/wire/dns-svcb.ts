import { readName, type WireName } from './dns-name.ts';
import { u16 } from './dns-record.ts';

/** What an SVCB or HTTPS record leads to (RFC 9460 §2.2). */
export interface ServiceBinding {
  /** The root (`.`) stands for the record's owner. */
  readonly target: WireName;
  /** Addresses of ipv4hint (4 bytes each) and ipv6hint (16 bytes each). */
  readonly hints: readonly Uint8Array[];
}

const IPV4_HINT = 4;
const IPV6_HINT = 6;

/** Reads the data of an SVCB or HTTPS record at `start` to `end`; null when it is malformed. */
export function readServiceBinding(bytes: Uint8Array, start: number, end: number): ServiceBinding | null {
  const target = readName(bytes.subarray(0, end), start + 2, 'refuse');
  if (target === null) return null;
  const hints: Uint8Array[] = [];
  let at = target.end;
  let previous = -1;
  while (at < end) {
    if (at + 4 > end) return null;
    const key = u16(bytes, at);
    const size = u16(bytes, at + 2);
    at += 4;
    if (key <= previous || at + size > end) return null;
    previous = key;
    const width = key === IPV4_HINT ? 4 : key === IPV6_HINT ? 16 : 0;
    if (width > 0) {
      if (size === 0 || size % width !== 0) return null;
      for (let i = at; i < at + size; i += width) hints.push(bytes.slice(i, i + width));
    }
    at += size;
  }
  return { target, hints };
}
