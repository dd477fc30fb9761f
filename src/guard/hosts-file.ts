import { type Address, parseAddress } from '../model/address.ts';
import { type Name, normalizeName } from '../model/name.ts';

/** The entries of a hosts(5) file; lines that are none are passed over, as the resolver does. */
export function parseHosts(text: string): { address: Address; names: Name[] }[] {
  return text.split('\n').flatMap((line) => {
    const [first = '', ...rest] = line.replace(/#.*/, '').split(/\s+/).filter(Boolean);
    const address = parseAddress(first);
    const names = rest.map(normalizeName).filter((name) => name !== null);
    return address && names.length > 0 ? [{ address, names }] : [];
  });
}
