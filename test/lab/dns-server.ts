import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import dnsPacket, { type Packet } from 'dns-packet';
import { lookUp, type Zone } from './dns-zone.ts';

/**
 * How the server misbehaves for a name: `silent`; `slow:MS`; `wrong-id` and `wrong-question` (nothing else comes);
 * `other-address` and `other-port` (a forged answer from elsewhere, and nothing else over UDP);
 * `spoofed-then-right` (over UDP, wrong ones first); `flood:N` (N with wrong ids, and over UDP nothing else); `other-case`
 * (the question comes back in lower case over UDP); `truncated` (TC over UDP, right over TCP); `truncated-always`;
 * `no-tcp` (TC over UDP, TCP closed); `garbage`; `short` (cut in the middle of the answer); `echo` (the query comes
 * back); `bare-formerr` (a header only); `lame`; or an error code, with EDE if text follows (`servfail:bogus`).
 */
export type Fault = string;

export interface SeenQuery {
  readonly name: string;
  readonly type: string;
  readonly transport: 'udp' | 'tcp';
  readonly id: number;
  /** The asker's port. */
  readonly port: number;
  readonly bytes: Buffer;
}

export interface DnsServer {
  readonly port: number;
  /** Every query that came, in order; a test may empty it. */
  readonly queries: SeenQuery[];
  close(): Promise<void>;
}

export interface DnsServerOptions {
  /** Of 127/8, the last number under 100. */
  readonly address: string;
  /** 0 or absent: one that is free. */
  readonly port?: number;
  /** Read at each query, so a test may change it. */
  readonly zone: Zone;
  /** By name in lower case; `*` for every other name. */
  readonly faults?: Readonly<Record<string, Fault>>;
}

const RCODES: Readonly<Record<string, number>> = {
  formerr: 1,
  servfail: 2,
  nxdomain: 3,
  notimp: 4,
  refused: 5,
};
const QR = 0x8000;
const AA = 0x0400;
const TC = 0x0200;
const RD = 0x0100;
const RA = 0x0080;

/** A small authoritative DNS server on UDP and TCP that misbehaves on demand. */
export async function startDnsServer(options: DnsServerOptions): Promise<DnsServer> {
  const { address } = options;
  const queries: SeenQuery[] = [];
  const udp = await bindUdp(address, options.port ?? 0);
  const { port } = udp.address();
  const connections = new Set<Socket>();
  let closing = false;
  const elsewhere = await Promise.all([bindUdp(elsewhereOf(address), port), bindUdp(address, 0)]);

  udp.on('message', async (bytes, peer) => {
    const from = ELSEWHERE.indexOf(faultFor(bytes) ?? '');
    for (const reply of await respond(bytes, 'udp', peer.port)) {
      if (!closing) (elsewhere[from] ?? udp).send(reply, peer.port, peer.address);
    }
  });
  const tcp = createServer((socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
    socket.on('error', () => socket.destroy());
    let held = Buffer.alloc(0);
    socket.on('data', async (chunk) => {
      held = Buffer.concat([held, chunk]);
      while (held.length >= 2 && held.length >= 2 + held.readUInt16BE(0)) {
        const bytes = held.subarray(2, 2 + held.readUInt16BE(0));
        held = held.subarray(2 + bytes.length);
        if (faultFor(bytes) === 'no-tcp') return socket.destroy();
        for (const reply of await respond(bytes, 'tcp', socket.remotePort ?? 0)) {
          const size = Buffer.alloc(2);
          size.writeUInt16BE(reply.length);
          if (!socket.destroyed) socket.write(Buffer.concat([size, reply]));
        }
      }
    });
  });
  tcp.listen({ host: address, port });
  await once(tcp, 'listening');

  function faultFor(bytes: Buffer): Fault | null {
    const name = dnsPacket.decode(bytes).questions?.[0]?.name.toLowerCase() ?? '';
    return options.faults?.[name] ?? options.faults?.['*'] ?? null;
  }

  async function respond(bytes: Buffer, transport: 'udp' | 'tcp', from: number): Promise<Buffer[]> {
    const query = dnsPacket.decode(bytes);
    const [question] = query.questions ?? [];
    if (question === undefined) return [];
    const type = question.type as string;
    const id = query.id ?? 0;
    queries.push({
      name: question.name,
      type: type === 'UNKNOWN_65' ? 'HTTPS' : type,
      transport,
      id,
      port: from,
      bytes,
    });
    const [fault = '', detail = ''] = (faultFor(bytes) ?? '').split(/:(.*)/s);
    if (fault === 'slow') await sleep(Number(detail));
    return misbehave(fault, detail, { bytes, query, transport, right: () => answer(query, options.zone) });
  }

  return {
    port,
    queries,
    async close() {
      closing = true;
      const closed = [once(udp, 'close'), once(tcp, 'close')];
      for (const socket of connections) socket.destroy();
      for (const socket of [udp, ...elsewhere]) socket.close();
      tcp.close();
      await Promise.all(closed);
    },
  };
}

const ELSEWHERE = ['other-address', 'other-port'];

async function bindUdp(address: string, port: number): Promise<UdpSocket> {
  const udp = createSocket('udp4');
  udp.bind({ address, port });
  await once(udp, 'listening');
  return udp;
}

/** Another loopback address. */
function elsewhereOf(address: string): string {
  return address.replace(/\d+$/, (last) => String(Number(last) + 100));
}

interface Asked {
  readonly bytes: Buffer;
  readonly query: Packet;
  readonly transport: 'udp' | 'tcp';
  readonly right: () => Packet;
}

function misbehave(fault: string, detail: string, { bytes, query, transport, right }: Asked): Buffer[] {
  const id = query.id ?? 0;
  const encode = (packet: Packet): Buffer => fitted(dnsPacket.encode(packet), query, transport);
  const wrongId = (): Buffer => encode({ ...right(), id: id ^ 0x5555 });
  const wrongQuestion = (): Buffer => {
    const answers = [{ name: 'other.test', type: 'A', data: '198.51.100.66' }] as const;
    return encode({ ...right(), questions: [{ name: 'other.test', type: 'A' }], answers: [...answers] });
  };
  const rcode = RCODES[fault];
  if (rcode !== undefined) return [encode(failure(query, rcode, detail))];
  const empty = { ...right(), answers: [] };
  switch (fault) {
    case 'silent':
      return [];
    case 'wrong-id':
      return [wrongId()];
    case 'wrong-question':
      return [wrongQuestion()];
    case 'spoofed-then-right':
      // Nobody else gets a word into a TCP connection.
      if (transport === 'tcp') return [encode(right())];
      return [wrongId(), wrongQuestion(), Buffer.from('junk'), encode(right())];
    case 'other-address':
    case 'other-port':
      return [encode(transport === 'udp' ? forged(right()) : right())];
    case 'flood':
      return transport === 'tcp' ? [encode(right())] : Array.from({ length: Number(detail) }, wrongId);
    case 'other-case':
      return [transport === 'tcp' ? encode(right()) : encode(lowered(right()))];
    case 'truncated':
    case 'no-tcp':
      return [encode(transport === 'udp' ? { ...empty, flags: (empty.flags ?? 0) | TC } : right())];
    case 'truncated-always':
      return [encode({ ...empty, flags: (empty.flags ?? 0) | TC })];
    case 'garbage':
      return [Buffer.concat([bytes.subarray(0, 2), Buffer.from([0x81, 0x80]), Buffer.alloc(40, 0xff)])];
    case 'short':
      return [encode(right()).subarray(0, -3)];
    case 'echo':
      return [bytes];
    case 'bare-formerr':
      return [Buffer.concat([bytes.subarray(0, 2), Buffer.from([0x81, 0x81]), Buffer.alloc(8)])];
    case 'lame':
      return [encode({ ...empty, flags: QR | RD })];
    default:
      return [encode(right())];
  }
}

/** Right in all but what it says. */
function forged(packet: Packet): Packet {
  const [question] = packet.questions ?? [];
  const answers = [{ name: question?.name ?? '', type: 'A', data: '198.51.100.66' }] as const;
  return { ...packet, answers: [...answers] };
}

function lowered(packet: Packet): Packet {
  const questions = (packet.questions ?? []).map((one) => ({ ...one, name: one.name.toLowerCase() }));
  return { ...packet, questions };
}

function answer(query: Packet, zone: Zone): Packet {
  const [question] = query.questions ?? [];
  const asked = question?.type as string;
  const type = asked === 'UNKNOWN_65' ? 'HTTPS' : asked;
  const answers = lookUp(zone, question?.name ?? '', type);
  const rcode = answers === null ? 3 : 0;
  return { ...reply(query, QR | AA | RA | ((query.flags ?? 0) & RD) | rcode), answers: answers ?? [] };
}

function failure(query: Packet, rcode: number, text: string): Packet {
  const packet = reply(query, QR | RA | ((query.flags ?? 0) & RD) | rcode);
  const [opt] = packet.additionals ?? [];
  if (opt?.type !== 'OPT' || text === '') return packet;
  const data = Buffer.concat([Buffer.from([0, 6]), Buffer.from(text)]);
  return { ...packet, additionals: [{ ...opt, options: [{ code: 15, data }] }] } as unknown as Packet;
}

function reply(query: Packet, flags: number): Packet {
  const opt = (query.additionals ?? []).find((record) => record.type === 'OPT');
  const questions = (query.questions ?? []).map((question) => {
    // dns-packet reads type 65 as UNKNOWN_65 or HTTPS and can write only the former.
    const type = (question.type as string) === 'HTTPS' ? 'UNKNOWN_65' : question.type;
    return { ...question, type } as typeof question;
  });
  const additionals = opt === undefined ? [] : [{ ...opt, udpPayloadSize: 4096, options: [] }];
  return { type: 'response', id: query.id ?? 0, flags, questions, additionals };
}

/** Over UDP, what is longer than the asker takes becomes TC without records. */
function fitted(encoded: Buffer, query: Packet, transport: 'udp' | 'tcp'): Buffer {
  const opt = (query.additionals ?? []).find((record) => record.type === 'OPT');
  const limit = opt?.type === 'OPT' ? Math.max(512, opt.udpPayloadSize) : 512;
  if (transport === 'tcp' || encoded.length <= limit) return encoded;
  const decoded = dnsPacket.decode(encoded);
  const flags = (decoded.flags ?? 0) | QR | TC;
  return dnsPacket.encode({ ...reply(query, flags), answers: [] });
}
