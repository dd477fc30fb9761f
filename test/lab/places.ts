import { PLACES } from '../../src/demo/places.ts';

/** Where everything in the lab lives, an address of each family; the demo's places and more. */
export const LAB_ADDRESSES = {
  ...PLACES,
  /** TCP and UDP port 7 echo; TCP port 22 speaks first. */
  echo: ['10.86.0.60', '2001:db8:86::60'],
  /** A second DNS server, as if it were a public one. */
  publicDns: ['203.0.113.53', '2001:db8:53::53'],
  /** Nobody listens on any port: a connection is refused at once. */
  refusing: ['192.0.2.99', '2001:db8:9::99'],
  /** Packets vanish: a connection hangs. */
  blackhole: ['192.0.2.66', '2001:db8:9::66'],
  /** No route from the client: a connection fails at once with EHOSTUNREACH. */
  unreachable: ['198.51.100.9', '2001:db8:ffff::9'],
} as const satisfies Record<string, readonly [string, string]>;

export const UNREACHABLE_PREFIXES = ['198.51.100.0/24', '2001:db8:ffff::/48'];

/** Names beside the demo's. */
export const LAB_HOSTS = {
  'git.mirror.internal': PLACES.mirror,
  'npm.mirror.internal': PLACES.mirror,
  'echo.internal': LAB_ADDRESSES.echo,
  'refusing.example': LAB_ADDRESSES.refusing,
  'blackhole.example': LAB_ADDRESSES.blackhole,
  'unreachable.example': LAB_ADDRESSES.unreachable,
  /** An alias of an alias of github.com. */
  'cdn.example': ['www.github.com'],
  /** Exists and has no address. */
  'empty.example': [],
  'v4.example': [LAB_ADDRESSES.github[0]],
  'v6.example': [LAB_ADDRESSES.github[1]],
} as const satisfies Record<string, readonly string[]>;
