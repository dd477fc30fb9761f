import ipaddr from 'ipaddr.js';

/**
 * An IP address in canonical text (RFC 5952 for IPv6). A v4-mapped IPv6 address
 * (`::ffff:a.b.c.d`) is the IPv4 address `a.b.c.d`: two spellings, one destination.
 */
export type Address = string;

/** A prefix of one family: `::/0` is all of IPv6 and none of IPv4. Host bits are zero. */
export interface Prefix {
  readonly family: 4 | 6;
  /** Canonical text in the address's own family, as `10.0.0.0/8`; a lone address has no `/`. */
  readonly text: string;
  /** 16 bytes, network order; IPv4 is v4-mapped. */
  readonly bytes: Uint8Array;
  /** Length in the 128-bit space, 0 to 128: `10.0.0.0/8` has 104. */
  readonly length: number;
}

const V4_MAPPED_BITS = 96;

function parse(text: string): ipaddr.IPv4 | ipaddr.IPv6 | null {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  if (!text.includes(':') || text.includes('%') || !ipaddr.IPv6.isValid(text)) return null;
  const tail = text.slice(text.lastIndexOf(':') + 1);
  if (tail.includes('.') && !ipaddr.IPv4.isValidFourPartDecimal(tail)) return null;
  const address = ipaddr.IPv6.parse(text);
  return address.isIPv4MappedAddress() ? address.toIPv4Address() : address;
}

/** Strict: no octal, no short forms (`127.1`), no zone. Null when it is not an address. */
export function parseAddress(text: string): Address | null {
  const parsed = parse(text);
  if (!parsed) return null;
  return parsed.kind() === 'ipv4' ? parsed.toString() : (parsed as ipaddr.IPv6).toRFC5952String();
}

/** 16 bytes in network order; IPv4 comes as v4-mapped. Throws RangeError on what is no address. */
export function addressBytes(address: Address): Uint8Array {
  const parsed = parse(address);
  if (!parsed) throw new RangeError(`not an IP address: ${address}`);
  return bytesOf(parsed);
}

function bytesOf(parsed: ipaddr.IPv4 | ipaddr.IPv6): Uint8Array {
  const own = parsed.toByteArray();
  if (own.length === 16) return Uint8Array.from(own);
  const bytes = new Uint8Array(16);
  bytes.fill(0xff, 10, 12);
  bytes.set(own, 12);
  return bytes;
}

/** The address held in 16 bytes of network order (v4-mapped becomes IPv4), or in 4. */
export function addressFromBytes(bytes: Uint8Array): Address {
  if (bytes.length === 4) return bytes.join('.');
  if (isMapped(bytes)) return `${bytes[12]}.${bytes[13]}.${bytes[14]}.${bytes[15]}`;
  return (ipaddr.fromByteArray([...bytes]) as ipaddr.IPv6).toRFC5952String();
}

/** 4 for IPv4, 6 for IPv6. */
export function addressFamily(address: Address): 4 | 6 {
  return address.includes(':') ? 6 : 4;
}

export type PrefixFault = 'not-an-address' | 'bad-length' | { hostBitsSet: string };

/** An address or `address/length` in canonical form; a fault says what is wrong and, for host bits, what was meant. */
export function parsePrefix(text: string): Prefix | PrefixFault {
  const slash = text.indexOf('/');
  const addressText = slash < 0 ? text : text.slice(0, slash);
  const parsed = parse(addressText);
  if (!parsed) return 'not-an-address';
  const own = parsed.kind() === 'ipv4' ? 32 : 128;
  let length = own;
  if (slash >= 0) {
    const digits = text.slice(slash + 1);
    if (!/^(0|[1-9]\d{0,2})$/.test(digits)) return 'bad-length';
    length = Number(digits);
    const mapped = own === 32 && addressText.includes(':');
    if (mapped) length -= V4_MAPPED_BITS;
    if (length < 0 || length > own) return 'bad-length';
  }
  const bytes = bytesOf(parsed);
  const full = own === 32 ? length + V4_MAPPED_BITS : length;
  const network = maskBytes(bytes, full);
  const canonical = addressFromBytes(network);
  const canonicalText = length === own ? canonical : `${canonical}/${length}`;
  if (network.some((byte, i) => byte !== bytes[i])) return { hostBitsSet: canonicalText };
  return { family: own === 32 ? 4 : 6, text: canonicalText, bytes: network, length: full };
}

/** The first `length` bits kept, the rest zero. */
export function maskBytes(bytes: Uint8Array, length: number): Uint8Array {
  const masked = new Uint8Array(bytes.length);
  const whole = length >> 3;
  for (let i = 0; i < whole; i++) masked[i] = bytes[i] as number;
  const rest = length & 7;
  if (rest > 0) masked[whole] = (bytes[whole] as number) & (0xff << (8 - rest));
  return masked;
}

/** Bytes as text, a character each, for keys. */
export function bytesText(bytes: Uint8Array): string {
  return String.fromCharCode.apply(null, bytes as unknown as number[]);
}

/** Whether 16 bytes in network order are a v4-mapped address, that is, IPv4. */
function isMapped(bytes: Uint8Array): boolean {
  if (bytes[10] !== 0xff || bytes[11] !== 0xff) return false;
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false;
  return true;
}

/** Whether the prefix holds the address given as 16 bytes. */
export function prefixHolds(prefix: Prefix, bytes: Uint8Array): boolean {
  if ((prefix.family === 4) !== isMapped(bytes)) return false;
  const whole = prefix.length >> 3;
  for (let i = 0; i < whole; i++) if (prefix.bytes[i] !== bytes[i]) return false;
  const rest = prefix.length & 7;
  if (rest === 0) return true;
  const mask = (0xff << (8 - rest)) & 0xff;
  return ((prefix.bytes[whole] as number) & mask) === ((bytes[whole] as number) & mask);
}
