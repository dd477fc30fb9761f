import { parsePrefix } from '../model/address.ts';
import { readHost } from './pattern.ts';
import type { Service } from './policy.ts';
import { isFault } from './problem.ts';

/** Well-known public resolvers: plain DNS, DNS over TLS and DNS over HTTPS, as their operators publish them. */
const PUBLIC_DNS_HOSTS = [
  'dns.google',
  'dns64.dns.google',
  'cloudflare-dns.com',
  '*.cloudflare-dns.com',
  'one.one.one.one',
  'dns.quad9.net',
  'dns9.quad9.net',
  'dns10.quad9.net',
  'dns11.quad9.net',
  'doh.opendns.com',
  'dns.opendns.com',
  'doh.familyshield.opendns.com',
  'dns.adguard-dns.com',
  'unfiltered.adguard-dns.com',
  'family.adguard-dns.com',
  'dns.nextdns.io',
  '*.dns.nextdns.io',
  'doh.cleanbrowsing.org',
  'dns.mullvad.net',
  'base.dns.mullvad.net',
  'freedns.controld.com',
  'dns.controld.com',
];

const PUBLIC_DNS_ADDRESSES = [
  '8.8.8.8',
  '8.8.4.4',
  '2001:4860:4860::8888',
  '2001:4860:4860::8844',
  '2001:4860:4860::64',
  '2001:4860:4860::6464',
  '1.1.1.1',
  '1.0.0.1',
  '1.1.1.2',
  '1.0.0.2',
  '1.1.1.3',
  '1.0.0.3',
  '2606:4700:4700::1111',
  '2606:4700:4700::1001',
  '2606:4700:4700::1112',
  '2606:4700:4700::1002',
  '2606:4700:4700::1113',
  '2606:4700:4700::1003',
  '9.9.9.9',
  '9.9.9.10',
  '9.9.9.11',
  '149.112.112.9',
  '149.112.112.10',
  '149.112.112.11',
  '149.112.112.112',
  '2620:fe::fe',
  '2620:fe::9',
  '2620:fe::10',
  '2620:fe::fe:10',
  '2620:fe::11',
  '2620:fe::fe:11',
  '208.67.222.222',
  '208.67.220.220',
  '208.67.222.123',
  '208.67.220.123',
  '2620:119:35::35',
  '2620:119:53::53',
  '94.140.14.14',
  '94.140.15.15',
  '94.140.14.140',
  '94.140.14.141',
  '2a10:50c0::ad1:ff',
  '2a10:50c0::ad2:ff',
  '45.90.28.0/24',
  '45.90.30.0/24',
  '185.228.168.9',
  '185.228.169.9',
  '194.242.2.2',
  '76.76.2.0/24',
  '76.76.10.0/24',
];

function publicDns(): Service {
  return {
    name: 'public-dns',
    source: null,
    hosts: PUBLIC_DNS_HOSTS.map(readHost).flatMap((host) => (isFault(host) ? [] : [host])),
    addresses: PUBLIC_DNS_ADDRESSES.map(parsePrefix).filter(
      (prefix) => typeof prefix === 'object' && 'bytes' in prefix,
    ),
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
