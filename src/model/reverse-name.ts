import { type Address, addressFromBytes, parseAddress } from './address.ts';
import type { Name } from './name.ts';

const V4_ZONE = '.in-addr.arpa';
const V6_ZONE = '.ip6.arpa';
const NIBBLE = /^[0-9a-f]$/;

/**
 * The address a reverse name stands for (RFC 1035 §3.5, RFC 3596 §2.5), `7.2.0.192.in-addr.arpa`. Null for every
 * other name, and for those of prefixes: four octets in the one spelling they have, or 32 nibbles, no more, no less.
 *
 * @param name in policy form
 */
export function reversedAddress(name: Name): Address | null {
  if (name.endsWith(V4_ZONE)) {
    const octets = name.slice(0, -V4_ZONE.length).split('.');
    return parseAddress(octets.reverse().join('.'));
  }
  if (!name.endsWith(V6_ZONE)) return null;
  const nibbles = name.slice(0, -V6_ZONE.length).split('.').reverse();
  if (nibbles.length !== 32 || !nibbles.every((nibble) => NIBBLE.test(nibble))) return null;
  return addressFromBytes(Buffer.from(nibbles.join(''), 'hex'));
}
