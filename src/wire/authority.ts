import { isIPv6 } from 'node:net';
import { parseAddress } from '../model/address.ts';
import { normalizeName } from '../model/name.ts';
import type { Named, OpeningFault } from './opening.ts';

/** A host and, where one is given, its port. */
export interface Authority extends Named {
  /** 1 to 65535, or null. */
  readonly port: number | null;
}

const MAX_ADDRESS_TEXT = 45;
/** WHATWG URL §3.5, "ends in a number": resolvers take `127.1` and `0x7f000001` for addresses, DNS does not. */
const NUMBER_LAST = /(^|\.)(\d+|0x[\da-f]*)\.?$/i;
/** The longest name the kernel's tables hold (bpf/event.h, NAME_KEY_SIZE). */
const MAX_NAME = 247;
const PORT = /^[1-9]\d{0,4}$/;

/** A host name or an IPv4 address in its one strict spelling; null for what two readers could take differently. */
export function readHostName(text: string): Named | null {
  if (NUMBER_LAST.test(text)) {
    const address = text.length <= MAX_ADDRESS_TEXT ? parseAddress(text) : null;
    return address === null ? null : { name: null, address };
  }
  const name = normalizeName(text);
  return name === null || name.length > MAX_NAME ? null : { name, address: null };
}

/** Reads `host`, `host:port`, `192.0.2.7:80`, `[2001:db8::1]:80` (RFC 3986 §3.2); userinfo is a fault. */
export function readAuthority(text: string): Authority | OpeningFault {
  if (text.includes('@')) return 'userinfo';
  const bracketed = text.startsWith('[');
  const colon = text.indexOf(':');
  const end = bracketed ? text.indexOf(']') + 1 : colon < 0 ? text.length : colon;
  const named = bracketed ? readBracketed(text.slice(0, end)) : readHostName(text.slice(0, end));
  if (named === null) return 'name';
  const rest = text.slice(end);
  if (rest === '' || rest === ':') return { ...named, port: null };
  if (!rest.startsWith(':')) return 'name';
  const port = PORT.test(rest.slice(1)) ? Number(rest.slice(1)) : 0;
  return port > 0 && port <= 65_535 ? { ...named, port } : 'port';
}

function readBracketed(text: string): Named | null {
  const inner = text.slice(1, -1);
  if (!text.endsWith(']') || inner.length > MAX_ADDRESS_TEXT || !isIPv6(inner)) return null;
  const address = parseAddress(inner);
  return address === null ? null : { name: null, address };
}
