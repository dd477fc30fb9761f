import { type Address, parseAddress } from '../model/address.ts';
import { type Name, normalizeName } from '../model/name.ts';
import { UNKNOWN } from './text.ts';

/** A host as a script names it; `below`: a name below this one, of which the first labels are not known. */
export type Host =
  | { readonly kind: 'name'; readonly name: Name }
  | { readonly kind: 'address'; readonly address: Address }
  | { readonly kind: 'below'; readonly name: Name };

/** Ports that URLs mean without saying so, by scheme; null: the scheme has hosts, and no port of its own. */
const SCHEMES: Readonly<Record<string, number | null>> = {
  amqp: 5672,
  amqps: 5671,
  etcd: 2379,
  ftp: 21,
  ftps: 990,
  git: 9418,
  'git+http': 80,
  'git+https': 443,
  'git+ssh': 22,
  grpc: null,
  h2c: 80,
  http: 80,
  https: 443,
  imap: 143,
  imaps: 993,
  irc: 6667,
  kafka: 9092,
  ldap: 389,
  ldaps: 636,
  mariadb: 3306,
  mongodb: 27017,
  'mongodb+srv': null,
  mqtt: 1883,
  mqtts: 8883,
  mssql: 1433,
  mysql: 3306,
  nats: 4222,
  nfs: 2049,
  oci: 443,
  pgsql: 5432,
  postgres: 5432,
  postgresql: 5432,
  redis: 6379,
  rediss: 6379,
  rsync: 873,
  scp: 22,
  sftp: 22,
  smb: 445,
  smtp: 25,
  smtps: 465,
  socks4: 1080,
  socks4a: 1080,
  socks5: 1080,
  socks5h: 1080,
  sqlserver: 1433,
  ssh: 22,
  'svn+ssh': 22,
  svn: 3690,
  tcp: null,
  telnet: 23,
  tls: null,
  udp: null,
  vnc: 5900,
  ws: 80,
  wss: 443,
};

/** What follows a dot in names of files, and so makes no host of `deploy.sh:12` by itself. */
const FILE_ENDINGS = new Set(
  `bak bash bin bz2 c cfg cjs conf cpp crt csv deb diff env ini jar java js json jsonl key list local lock log md
   mjs old out patch pem php pid pl properties py rb rpm rs service sh socket sock sql status sum tar template
   tf tgz timer tmp toml ts txt unit war xml xz yaml yml zip zst gz go h html`.split(/\s+/),
);
const NUMBER_LAST = /(?:^|\.)(?:\d+|0x[\da-f]*)$/i;
const LONGEST = 300;

/** Whether a scheme's authority is a host, and the port it means. */
export function schemePort(scheme: string): number | null | undefined {
  return SCHEMES[scheme.toLowerCase()];
}

/** Reads a host: a name, an address (IPv6 bare or in brackets), or a name whose first labels are not known. */
export function readHost(text: string): Host | null {
  if (text.length > LONGEST) return null;
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  const address = /^[\d.]+$/.test(bare) || bare.includes(':') ? parseAddress(bare) : null;
  if (address !== null) return { kind: 'address', address };
  if (text.includes(UNKNOWN)) return readBelow(text);
  const name = NUMBER_LAST.test(bare.replace(/\.$/, '')) ? null : normalizeName(bare);
  return name === null ? null : { kind: 'name', name };
}

/** What is known for certain of a host that is not known whole: whole labels at its end, at least two. */
function readBelow(text: string): Host | null {
  const rest = text.slice(text.lastIndexOf(UNKNOWN) + 1);
  const dot = rest.indexOf('.');
  const name = dot < 0 ? null : normalizeName(rest.slice(dot + 1));
  if (name === null || !name.includes('.') || NUMBER_LAST.test(name)) return null;
  return { kind: 'below', name };
}

/** Whether a dotted word could as well be the name of a file. */
export function looksLikeFile(name: string): boolean {
  return FILE_ENDINGS.has(name.slice(name.lastIndexOf('.') + 1).toLowerCase());
}

/** Reads `443`; null for what is no port. */
export function readPort(text: string): number | null {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port > 0 && port <= 65_535 ? port : null;
}

/** A host as people write it: `github.com`, `*.github.com`, `2001:db8::1`. */
export function formatHost(host: Host): string {
  if (host.kind === 'address') return host.address;
  return host.kind === 'below' ? `*.${host.name}` : host.name;
}
