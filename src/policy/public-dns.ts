/** One operator's public resolvers: plain DNS, DNS over TLS, over HTTPS and over QUIC, as it publishes them. */
interface Operator {
  readonly name: string;
  readonly hosts: readonly string[];
  readonly addresses: readonly string[];
}

/** The well-known ones, as published in 2026. Names shared with other services are left out. */
export const PUBLIC_DNS: readonly Operator[] = [
  {
    name: 'Google',
    hosts: ['dns.google', '*.dns.google', 'dns.google.com', '8888.google'],
    addresses: [
      ...['8.8.8.8', '8.8.4.4', '2001:4860:4860::8888', '2001:4860:4860::8844'],
      ...['2001:4860:4860::64', '2001:4860:4860::6464'],
    ],
  },
  {
    name: 'Cloudflare',
    hosts: ['one.one.one.one', 'cloudflare-dns.com', '*.cloudflare-dns.com', 'dns.cloudflare.com'],
    addresses: [
      ...['1.1.1.1', '1.0.0.1', '1.1.1.2', '1.0.0.2', '1.1.1.3', '1.0.0.3'],
      ...['2606:4700:4700::1111', '2606:4700:4700::1001', '2606:4700:4700::1112', '2606:4700:4700::1002'],
      ...['2606:4700:4700::1113', '2606:4700:4700::1003', '2606:4700:4700::64', '2606:4700:4700::6400'],
    ],
  },
  {
    name: 'Quad9',
    hosts: ['', '9', '10', '11', '12', '13', '-nosec'].map((kind) => `dns${kind}.quad9.net`),
    addresses: [
      ...['9.9.9.9', '9.9.9.10', '9.9.9.11', '9.9.9.12'],
      ...['149.112.112.9', '149.112.112.10', '149.112.112.11', '149.112.112.12', '149.112.112.112'],
      ...['2620:fe::fe', '2620:fe::9', '2620:fe::10', '2620:fe::11', '2620:fe::12'],
      ...['2620:fe::fe:9', '2620:fe::fe:10', '2620:fe::fe:11', '2620:fe::fe:12'],
    ],
  },
  {
    name: 'Cisco OpenDNS and Umbrella',
    hosts: [
      ...['dns.opendns.com', 'doh.opendns.com', '*.doh.opendns.com'],
      ...['familyshield.opendns.com', 'sandbox.opendns.com', 'doh.familyshield.opendns.com'],
      ...['doh.sandbox.opendns.com', 'dns.umbrella.com', 'doh.umbrella.com'],
    ],
    addresses: [
      ...['208.67.222.222', '208.67.220.220', '208.67.222.220', '208.67.220.222'],
      ...['208.67.222.123', '208.67.220.123', '208.67.222.2', '208.67.220.2'],
      ...['2620:119:35::35', '2620:119:53::53', '2620:119:35::123', '2620:119:53::123'],
      ...['2620:0:ccc::2', '2620:0:ccd::2'],
    ],
  },
  {
    name: 'AdGuard',
    hosts: [
      ...['dns.adguard-dns.com', 'family.adguard-dns.com', 'unfiltered.adguard-dns.com'],
      ...['dns.adguard.com', 'dns-family.adguard.com', 'dns-unfiltered.adguard.com', '*.d.adguard-dns.com'],
    ],
    addresses: [
      ...['94.140.14.14', '94.140.15.15', '94.140.14.15', '94.140.15.16', '94.140.14.140', '94.140.14.141'],
      ...['2a10:50c0::ad1:ff', '2a10:50c0::ad2:ff', '2a10:50c0::bad1:ff', '2a10:50c0::bad2:ff'],
      ...['2a10:50c0::1:ff', '2a10:50c0::2:ff'],
    ],
  },
  {
    name: 'NextDNS',
    hosts: ['dns.nextdns.io', '*.dns.nextdns.io'],
    addresses: ['45.90.28.0/24', '45.90.30.0/24', '2a07:a8c0::/32', '2a07:a8c1::/32'],
  },
  {
    name: 'Control D',
    hosts: ['freedns.controld.com', '*.freedns.controld.com', 'dns.controld.com', '*.dns.controld.com'],
    addresses: ['76.76.2.0/24', '76.76.10.0/24', '2606:1a40::/48', '2606:1a40:1::/48'],
  },
  {
    name: 'CleanBrowsing',
    hosts: [
      'doh.cleanbrowsing.org',
      ...['family', 'adult', 'security'].map((kind) => `${kind}-filter-dns.cleanbrowsing.org`),
    ],
    addresses: [
      ...['185.228.168.168', '185.228.169.168', '185.228.168.10', '185.228.169.11'],
      ...['185.228.168.9', '185.228.169.9', '2a0d:2a00:1::', '2a0d:2a00:2::'],
      ...['2a0d:2a00:1::1', '2a0d:2a00:2::1', '2a0d:2a00:1::2', '2a0d:2a00:2::2'],
    ],
  },
  {
    name: 'Mullvad',
    hosts: ['dns.mullvad.net', '*.dns.mullvad.net', 'doh.mullvad.net'],
    addresses: [2, 3, 4, 5, 6, 9].flatMap((last) => [`194.242.2.${last}`, `2a07:e340::${last}`]),
  },
  {
    name: 'DNS4EU',
    hosts: ['*.joindns4.eu'],
    addresses: [
      ...[1, 11, 12, 13, 100, 200, 201, 211, 212, 213].map((last) => `86.54.11.${last}`),
      ...['1', '11', '12', '13', '100', '200', '201', '211', '212', '213'].map(
        (last) => `2a13:1001::86:54:11:${last}`,
      ),
    ],
  },
  {
    name: 'DNS.SB',
    hosts: ['dot.sb', 'doh.sb', 'doh.dns.sb'],
    addresses: ['185.222.222.222', '45.11.45.11', '2a09::', '2a11::'],
  },
  { name: 'Hurricane Electric', hosts: ['ordns.he.net'], addresses: ['74.82.42.42', '2001:470:20::2'] },
  { name: 'Apple', hosts: ['doh.dns.apple.com'], addresses: [] },
  {
    name: 'Wikimedia',
    hosts: ['wikimedia-dns.org'],
    addresses: ['185.71.138.138', '2001:67c:930::1'],
  },
  {
    name: 'CIRA Canadian Shield',
    hosts: ['*.canadianshield.cira.ca'],
    addresses: [10, 20, 30].flatMap((last) => [
      ...[`149.112.121.${last}`, `149.112.122.${last}`],
      ...[`2620:10a:80bb::${last}`, `2620:10a:80bc::${last}`],
    ]),
  },
  {
    name: 'Vercara UltraDNS, formerly Neustar and Verisign',
    hosts: [],
    addresses: [
      ...[1, 2, 3, 4, 5].flatMap((last) => [
        ...[`156.154.70.${last}`, `156.154.71.${last}`],
        ...[`2610:a1:1018::${last}`, `2610:a1:1019::${last}`],
      ]),
      ...['64.6.64.6', '64.6.65.6', '2620:74:1b::1:1', '2620:74:1c::2:2'],
    ],
  },
  { name: 'Comodo', hosts: [], addresses: ['8.26.56.26', '8.20.247.20'] },
  {
    name: 'Digitale Gesellschaft',
    hosts: ['dns.digitale-gesellschaft.ch'],
    addresses: ['185.95.218.42', '185.95.218.43', '2a05:fc84::42', '2a05:fc84::43'],
  },
  {
    name: 'SWITCH',
    hosts: ['dns.switch.ch'],
    addresses: ['130.59.31.248', '130.59.31.251', '2001:620:0:ff::2', '2001:620:0:ff::3'],
  },
  {
    name: 'Yandex',
    hosts: ['*.dot.dns.yandex.net'],
    addresses: [
      ...['77.88.8.8', '77.88.8.1', '77.88.8.88', '77.88.8.2', '77.88.8.3', '77.88.8.7'],
      ...['2a02:6b8::feed:ff', '2a02:6b8:0:1::feed:ff', '2a02:6b8::feed:bad', '2a02:6b8:0:1::feed:bad'],
      ...['2a02:6b8::feed:a11', '2a02:6b8:0:1::feed:a11'],
    ],
  },
  {
    name: 'Alibaba',
    hosts: ['dns.alidns.com', '*.alidns.com'],
    addresses: ['223.5.5.5', '223.6.6.6', '2400:3200::1', '2400:3200:baba::1'],
  },
  {
    name: 'DNSPod',
    hosts: ['dns.pub', 'doh.pub', 'dot.pub', '*.doh.pub'],
    addresses: ['119.29.29.29', '1.12.12.12', '120.53.53.53', '2402:4e00::'],
  },
];
