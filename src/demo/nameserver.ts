import dgram from 'node:dgram';
import { once } from 'node:events';
import type net from 'node:net';
import { isIP, isIPv4 } from 'node:net';
import dnsPacket from 'dns-packet';
import { listenPlain, sourceOf } from './listen.ts';
import type { Recorder, Server } from './world.ts';

/**
 * Names and what they lead to: addresses, or one other name (a CNAME). `*.example` holds names below it.
 * A name that is not there does not exist; one with an empty list exists and has no address.
 */
export type Zone = Readonly<Record<string, readonly string[]>>;

const NXDOMAIN = 3;
const TTL_SECONDS = 60;
const MAX_ALIASES = 8;
const TCP_IDLE_MS = 10_000;

function lookUp(zone: Zone, name: string): readonly string[] | undefined {
  const exact = zone[name];
  if (exact) return exact;
  for (let dot = name.indexOf('.'); dot >= 0; dot = name.indexOf('.', dot + 1)) {
    const above = zone[`*${name.slice(dot)}`];
    if (above) return above;
  }
  return undefined;
}

/** The answer to one query, with the whole alias chain; null for what is no query (it gets no answer). */
export function answerQuery(zone: Zone, message: Buffer): { reply: Buffer; asked: string } | null {
  let query: dnsPacket.Packet;
  try {
    query = dnsPacket.decode(message);
  } catch {
    return null;
  }
  const question = query.questions?.[0];
  if (query.type !== 'query' || !question) return null;
  const answers: dnsPacket.Answer[] = [];
  let owner = question.name;
  let found = lookUp(zone, owner.toLowerCase());
  for (let step = 0; step < MAX_ALIASES && found?.[0] !== undefined && isIP(found[0]) === 0; step++) {
    answers.push({ type: 'CNAME', name: owner, ttl: TTL_SECONDS, data: found[0] });
    owner = found[0];
    found = lookUp(zone, owner);
  }
  for (const address of found ?? []) {
    const type = isIPv4(address) ? 'A' : 'AAAA';
    if (type === question.type) answers.push({ type, name: owner, ttl: TTL_SECONDS, data: address });
  }
  const reply = dnsPacket.encode({
    type: 'response',
    id: query.id ?? 0,
    flags:
      dnsPacket.AUTHORITATIVE_ANSWER |
      ((query.flags ?? 0) & dnsPacket.RECURSION_DESIRED) |
      dnsPacket.RECURSION_AVAILABLE |
      (found ? 0 : NXDOMAIN),
    questions: [question],
    answers,
  });
  return { reply, asked: `${question.name} ${question.type}` };
}

/** A DNS server for one zone, on port 53 of each address, UDP and TCP. */
export async function listenDns(
  name: string,
  addresses: readonly string[],
  zone: Zone,
  record: Recorder,
): Promise<Server> {
  const port = 53;
  const answer = (message: Buffer, protocol: 'tcp' | 'udp', address: string, source: string) => {
    const answered = answerQuery(zone, message);
    if (answered) record({ kind: 'query', protocol, address, port, source, detail: answered.asked });
    return answered?.reply;
  };
  const udp = addresses.map((address) => {
    const socket = dgram.createSocket(isIPv4(address) ? { type: 'udp4' } : { type: 'udp6', ipv6Only: true });
    socket.on('message', (message, peer) => {
      const source = sourceOf(peer);
      record({ kind: 'datagram', protocol: 'udp', address, port, source, detail: null });
      const reply = answer(message, 'udp', address, source);
      if (reply) socket.send(reply, peer.port, peer.address);
    });
    socket.bind(port, address);
    return socket;
  });
  await Promise.all(udp.map((socket) => once(socket, 'listening')));
  const tcp = await listenPlain(name, addresses, port, record, (socket) => {
    const address = socket.localAddress ?? '?';
    const source = sourceOf({ address: socket.remoteAddress, port: socket.remotePort });
    socket.setTimeout(TCP_IDLE_MS, () => socket.destroy());
    serveFrames(socket, (message) => answer(message, 'tcp', address, source));
  });
  return {
    name,
    close: async () => {
      for (const socket of udp) socket.close();
      await tcp.close();
    },
  };
}

/** DNS over TCP: each message after its length in two bytes (RFC 1035 §4.2.2). */
function serveFrames(socket: net.Socket, answer: (message: Buffer) => Buffer | undefined): void {
  let pending = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
      const end = 2 + pending.readUInt16BE(0);
      const reply = answer(pending.subarray(2, end));
      pending = pending.subarray(end);
      if (!reply) {
        socket.destroy();
        return;
      }
      const length = Buffer.alloc(2);
      length.writeUInt16BE(reply.length);
      socket.write(Buffer.concat([length, reply]));
    }
  });
}
