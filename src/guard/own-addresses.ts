import { networkInterfaces } from 'node:os';
import { type Address, parseAddress } from '../model/address.ts';

/** fe80::/10 means another host on each link: ours on one may be a neighbour's on the next. */
const LINK_LOCAL = /^fe[89ab]/i;

/** This host's own addresses, in this network namespace. */
export function ownAddresses(): Address[] {
  const found = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return found
    .filter(({ address }) => !LINK_LOCAL.test(address))
    .map(({ address }) => parseAddress(address))
    .filter((address) => address !== null);
}
