import type { Address } from '../model/address.ts';
import type { Name } from '../model/name.ts';

/** How much of a TCP stream is looked at; what has not said its name by then is not read further. */
export const MAX_OPENING_BYTES = 16_384;

/** Whom an opening names: a name or an address, or neither. Never both. */
export interface Named {
  /** In policy form. */
  readonly name: Name | null;
  readonly address: Address | null;
}

/** Not enough bytes to tell. */
export interface Incomplete {
  readonly kind: 'incomplete';
  /** Bytes of the stream wanted in all: more than there were, at most MAX_OPENING_BYTES. With fewer, nothing is decided. */
  readonly need: number;
  /** What it is for certain even so; null: it may still turn out to be anything. */
  readonly seems: 'tls' | 'http' | null;
}

/** Neither TLS nor HTTP/1: these bytes name nothing. */
export interface Other {
  readonly kind: 'other';
  /** `h2c`: HTTP/2 without TLS (RFC 9113 §3.3), which names its host later, compressed. */
  readonly protocol: 'h2c' | 'ssh' | 'unknown';
}

/** TLS or HTTP that no two readers need take alike, or that runs past the bound: whom it names cannot be known. */
export interface Unreadable {
  readonly kind: 'unreadable';
  readonly protocol: 'tls' | 'http';
  readonly fault: OpeningFault;
  /** For people: what is wrong. Holds no byte of the stream. */
  readonly text: string;
}

const FAULT_TEXT = {
  'too-long': 'names nobody within 16 KiB',
  malformed: 'is no well-formed ClientHello',
  name: 'names a host that is neither a plain host name nor an address',
  port: 'has a port that is not 1 to 65535 in plain decimal',
  userinfo: 'has a user name in its authority',
  'request-line': 'has a request line that is not method, target and version parted by single spaces',
  version: 'is not of version HTTP/1.0 or HTTP/1.1',
  target: 'has a target that fits no form of its method',
  'host-twice': 'has more than one Host field',
  'host-contradicts': 'has a Host field that contradicts its target',
  field: 'has a field line without a plain name before its colon',
  fold: 'has a field folded over lines',
  control: 'has a control character in a line',
} as const;

export type OpeningFault = keyof typeof FAULT_TEXT;

export function unreadable(protocol: Unreadable['protocol'], fault: OpeningFault): Unreadable {
  const what = protocol === 'tls' ? 'a TLS opening' : 'an HTTP request';
  return { kind: 'unreadable', protocol, fault, text: `${what} that ${FAULT_TEXT[fault]}` };
}

export function other(protocol: Other['protocol'] = 'unknown'): Other {
  return { kind: 'other', protocol };
}
