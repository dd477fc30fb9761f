import dgram from 'node:dgram';
import { once } from 'node:events';
import { isIPv4 } from 'node:net';
import dnsPacket, { type Answer, type Packet } from 'dns-packet';
import { listenPlain, sourceOf } from '../../src/demo/listen.ts';
import type { Zone as Hosts } from '../../src/demo/nameserver.ts';
import type { Recorder, Server } from '../../src/demo/world.ts';
import { FrameReader, frame } from '../../src/dns/frame.ts';
import { lookUp, type Zone } from './dns-zone.ts';

const PORT = 53;
const NXDOMAIN = 3;
const PLAIN_SIZE = 512;
const LONGEST = 65_535;

/** Hosts of the lab as records: addresses, or one other name. */
export function recordsOf(hosts: Hosts): Zone {
  const line = (entry: string): string =>
    isIPv4(entry) ? `A ${entry}` : entry.includes(':') ? `AAAA ${entry}` : `CNAME ${entry}`;
  return Object.fromEntries(Object.entries(hosts).map(([name, entries]) => [name, entries.map(line)]));
}

/**
 * A DNS server on port 53 of each address for records of any type, with the addresses of the names they hold in the
 * additional section, as name servers give them.
 */
export async function listenRecords(
  name: string,
  addresses: readonly string[],
  zone: Zone,
  record: Recorder,
): Promise<Server> {
  const answer = (message: Buffer, protocol: 'tcp' | 'udp', address: string, source: string): Buffer => {
    const query = dnsPacket.decode(message);
    const [question] = query.questions ?? [];
    const detail = `${question?.name} ${typeOf(question?.type)}`;
    record({ kind: 'query', protocol, address, port: PORT, source, detail });
    return answerQuery(zone, query, protocol);
  };
  const sockets = addresses.map((address) => {
    const socket = dgram.createSocket(isIPv4(address) ? { type: 'udp4' } : { type: 'udp6', ipv6Only: true });
    socket.on('message', (message, peer) => {
      socket.send(answer(message, 'udp', address, sourceOf(peer)), peer.port, peer.address);
    });
    socket.bind(PORT, address);
    return socket;
  });
  await Promise.all(sockets.map((socket) => once(socket, 'listening')));
  const tcp = await listenPlain(name, addresses, PORT, record, (socket) => {
    const source = sourceOf({ address: socket.remoteAddress, port: socket.remotePort });
    const reader = new FrameReader(LONGEST);
    socket.on('data', (chunk: Buffer) => {
      for (const message of reader.push(chunk) ?? [])
        socket.write(frame(answer(message, 'tcp', socket.localAddress ?? '?', source)));
    });
  });
  return {
    name,
    close: async () => {
      for (const socket of sockets) socket.close();
      await tcp.close();
    },
  };
}

function answerQuery(zone: Zone, query: Packet, protocol: 'tcp' | 'udp'): Buffer {
  const [question] = query.questions ?? [];
  const answers = lookUp(zone, question?.name ?? '', typeOf(question?.type));
  const opt = (query.additionals ?? []).find((one) => one.type === 'OPT');
  const flags =
    dnsPacket.AUTHORITATIVE_ANSWER |
    dnsPacket.RECURSION_AVAILABLE |
    ((query.flags ?? 0) & dnsPacket.RECURSION_DESIRED);
  // dns-packet reads type 65 as HTTPS, and can write it only as a number.
  const type = (question?.type as string) === 'HTTPS' ? 'UNKNOWN_65' : question?.type;
  const own = opt ? [{ ...opt, udpPayloadSize: 1232, options: [] } as unknown as Answer] : [];
  const packet = {
    type: 'response',
    id: query.id ?? 0,
    flags: flags | (answers ? 0 : NXDOMAIN),
    questions: question ? [{ ...question, type } as typeof question] : [],
    answers: answers ?? [],
    additionals: [...glueOf(zone, answers ?? []), ...own],
  } as const satisfies Packet;
  const whole = dnsPacket.encode(packet);
  const room = opt?.type === 'OPT' ? Math.max(PLAIN_SIZE, opt.udpPayloadSize) : PLAIN_SIZE;
  if (protocol === 'tcp' || whole.length <= room) return whole;
  return dnsPacket.encode({
    ...packet,
    flags: packet.flags | dnsPacket.TRUNCATED_RESPONSE,
    answers: [],
    additionals: own,
  });
}

/** Addresses of the names that mail exchanges, SRV targets and name servers have. */
function glueOf(zone: Zone, answers: readonly Answer[]): Answer[] {
  const targets = answers.flatMap((answer) => {
    if (answer.type === 'MX') return answer.data.exchange;
    if (answer.type === 'SRV') return answer.data.target;
    return answer.type === 'NS' ? answer.data : [];
  });
  return targets.flatMap((target) => ['A', 'AAAA'].flatMap((type) => lookUp(zone, target, type) ?? []));
}

function typeOf(type: string | undefined): string {
  return type === 'UNKNOWN_65' ? 'HTTPS' : (type ?? '?').replace(/^UNKNOWN_/, 'TYPE');
}
