import type { Zone } from './nameserver.ts';
import type { NetworkPlan } from './network.ts';

/** Where everything in the demo's world lives: an address of each family, in prefixes kept for documentation. */
export const PLACES = {
  github: ['192.0.2.7', '2001:db8:9::7'],
  githubApi: ['192.0.2.8', '2001:db8:9::8'],
  dns: ['10.86.0.53', '2001:db8:86::53'],
  mysql: ['10.86.0.10', '2001:db8:86::10'],
  mirror: ['10.86.0.20', '2001:db8:86::20'],
  migrations: ['10.86.0.30', '2001:db8:86::30'],
  vault: ['10.86.0.40', '2001:db8:86::40'],
} as const satisfies Record<string, readonly [string, string]>;

export const ZONE: Zone = {
  'github.com': PLACES.github,
  'www.github.com': ['github.com'],
  'api.github.com': PLACES.githubApi,
  'db-1.mysql.internal': PLACES.mysql,
  'apt.internal': PLACES.mirror,
  'tools.mirror.internal': PLACES.mirror,
  'migrations.internal': PLACES.migrations,
  'vault.internal': PLACES.vault,
};

/** Names that servers over TLS answer to. */
export const TLS_NAMES = [
  'github.com',
  '*.github.com',
  'apt.internal',
  '*.mirror.internal',
  'vault.internal',
];

export const MYSQL_PORT = 3306;
export const MIGRATIONS_PORT = 8080;

export const NETWORK: NetworkPlan = {
  addresses: Object.values(PLACES).flat(),
  blackholes: [],
  unreachable: [],
};
