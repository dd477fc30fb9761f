import dgram from 'node:dgram';
import { once } from 'node:events';
import { isIPv4 } from 'node:net';
import type { Certificate } from '../../src/demo/certificate.ts';
import { listenPlain, sourceOf } from '../../src/demo/listen.ts';
import { listenDns, type Zone } from '../../src/demo/nameserver.ts';
import { PLACES } from '../../src/demo/places.ts';
import { demoServices, webServers } from '../../src/demo/services.ts';
import { listenWeb } from '../../src/demo/web.ts';
import type { Recorder, Server, StartServer } from '../../src/demo/world.ts';
import type { Zone as RecordZone } from './dns-zone.ts';
import { LAB_ADDRESSES } from './places.ts';
import { listenRecords, recordsOf } from './record-server.ts';
import { staticFiles } from './static-files.ts';

/** What the lab's servers are told. */
export interface LabPlan {
  readonly certificate: Certificate | null;
  readonly zone: Zone;
  /** Null: there are none but those of the zone. */
  readonly records: RecordZone | null;
  /** Folder of the web content. */
  readonly root: string;
  /** Addresses a test added: web servers and echoes listen on them. */
  readonly extra: readonly string[];
}

const ECHO_PORT = 7;
const SPEAKS_FIRST_PORT = 22;
export const VAULT_PORT = 8200;
const GREETING = 'SSH-2.0-lab\r\n';

/** The demo's servers with content to fetch on the web ones, and echoes. */
export function labServices(plan: LabPlan, record: Recorder): ReadonlyMap<string, StartServer> {
  const { certificate, zone, records, extra } = plan;
  const handle = staticFiles(plan.root);
  const web = (name: string, addresses: readonly string[]) =>
    webServers({ name, addresses, certificate, handle }, record);
  const echoes = [...LAB_ADDRESSES.echo, ...extra];
  const vault = { name: 'vault', addresses: PLACES.vault, certificate, port: VAULT_PORT, handle };
  return new Map<string, StartServer>([
    ...demoServices(plan, record),
    ...web('github', PLACES.github),
    ...web('github-api', PLACES.githubApi),
    ...web('mirror', PLACES.mirror),
    ...web('extra', extra),
    ['vault', () => listenWeb(vault, record)],
    [
      'dns',
      () =>
        records
          ? listenRecords('dns', PLACES.dns, { ...recordsOf(zone), ...records }, record)
          : listenDns('dns', PLACES.dns, zone, record),
    ],
    ['public-dns', () => listenDns('public-dns', LAB_ADDRESSES.publicDns, zone, record)],
    ['echo', () => listenPlain('echo', echoes, ECHO_PORT, record, (socket) => socket.pipe(socket))],
    ['udp-echo', () => listenUdpEcho('udp-echo', echoes, ECHO_PORT, record)],
    [
      'speaks-first',
      () =>
        listenPlain('speaks-first', LAB_ADDRESSES.echo, SPEAKS_FIRST_PORT, record, (socket) => {
          socket.write(GREETING);
          socket.pipe(socket);
        }),
    ],
  ]);
}

async function listenUdpEcho(
  name: string,
  addresses: readonly string[],
  port: number,
  record: Recorder,
): Promise<Server> {
  const sockets = addresses.map((address) => {
    const socket = dgram.createSocket(isIPv4(address) ? { type: 'udp4' } : { type: 'udp6', ipv6Only: true });
    socket.on('message', (message, peer) => {
      record({ kind: 'datagram', protocol: 'udp', address, port, source: sourceOf(peer), detail: null });
      socket.send(message, peer.port, peer.address);
    });
    socket.bind(port, address);
    return socket;
  });
  await Promise.all(sockets.map((socket) => once(socket, 'listening')));
  return {
    name,
    close: async () => {
      for (const socket of sockets) socket.close();
    },
  };
}
