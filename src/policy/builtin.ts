import { parsePrefix } from '../model/address.ts';
import { readHost } from './pattern.ts';
import type { Service } from './policy.ts';
import { isFault } from './problem.ts';
import { PUBLIC_DNS } from './public-dns.ts';

function publicDns(): Service {
  return {
    name: 'public-dns',
    source: null,
    hosts: PUBLIC_DNS.flatMap(({ hosts }) => hosts)
      .map(readHost)
      .flatMap((host) => (isFault(host) ? [] : [host])),
    addresses: PUBLIC_DNS.flatMap(({ addresses }) => addresses)
      .map(parsePrefix)
      .filter((prefix) => typeof prefix === 'object' && 'bytes' in prefix),
    ports: null,
    dependsOn: [],
    owner: null,
    instead: null,
    proxy: false,
    sniff: false,
  };
}

/** Services every policy has, by name. */
export const builtinServices: ReadonlyMap<string, Service> = new Map([['public-dns', publicDns()]]);
