import { CLASS_IN, type ExtendedError, HEADER_BYTES, TYPE } from './dns-code.ts';
import type { Query, QueryHead } from './dns-query.ts';
import { u16 } from './dns-record.ts';

const QR = 0x8000;
const TC = 0x0200;
const RD = 0x0100;
const RA = 0x0080;
/** Opcode, RD and CD go back as they came (RFC 1035 §4.1.1, RFC 4035 §3.2.2). */
const ECHOED = 0x7910;
const MAX_EDE_TEXT = 200;
/** The UDP payload this program takes itself; the DNS flag day 2020 value, which fits unfragmented. */
const OWN_UDP_SIZE = 1232;
const PLAIN_UDP_SIZE = 512;
/** The longest payload a UDP datagram over IPv4 can have. */
const MAX_UDP_PAYLOAD = 65_507;

/**
 * A reply without records: the question echoed as sent, and, if the query had an OPT, one with the Extended DNS
 * Error (RFC 8914; its text cut to 200 bytes of UTF-8). Never over 512 bytes.
 */
export function encodeFailure(
  query: QueryHead,
  reply: { readonly rcode: number; readonly ede: ExtendedError | null },
): Uint8Array {
  const flags = QR | (query.flags & ECHOED) | RA | (reply.rcode & 0xf);
  return encodeEmpty(query, flags, reply.ede);
}

/** A query of our own for a name in policy form, class IN, recursion desired, with an OPT; id 0. */
export function encodeQuery(name: string, type: number): Uint8Array {
  const labels = name.split('.').map((label) => Buffer.from(label, 'latin1'));
  const nameBytes = Buffer.concat([
    ...labels.flatMap((label) => [Buffer.of(label.length), label]),
    Buffer.of(0),
  ]);
  const end = HEADER_BYTES + nameBytes.length;
  const message = Buffer.alloc(end + 4 + 11);
  message.writeUInt16BE(RD, 2);
  message.writeUInt16BE(1, 4);
  message.writeUInt16BE(1, 10);
  message.set(nameBytes, HEADER_BYTES);
  message.writeUInt16BE(type, end);
  message.writeUInt16BE(CLASS_IN, end + 2);
  message.writeUInt16BE(TYPE.OPT, end + 5);
  message.writeUInt16BE(OWN_UDP_SIZE, end + 7);
  return message;
}

/** An answer too long for the client's UDP: TC, so that it asks again over TCP. `answer` gives the flags. */
export function encodeTruncated(query: Query, answer: Uint8Array): Uint8Array {
  return encodeEmpty(query, u16(answer, 2) | TC, null);
}

/** A copy of a message under another id. */
export function withId(bytes: Uint8Array, id: number): Uint8Array {
  const copy = Buffer.allocUnsafe(bytes.length);
  copy.set(bytes);
  copy.writeUInt16BE(id, 0);
  return copy;
}

/** Bytes of UDP payload the client takes (RFC 6891 §6.2.3: under 512 means 512). */
export function udpLimit(query: QueryHead): number {
  const asked = query.edns?.udpSize ?? PLAIN_UDP_SIZE;
  return Math.min(MAX_UDP_PAYLOAD, Math.max(PLAIN_UDP_SIZE, asked));
}

function encodeEmpty(query: QueryHead, flags: number, ede: ExtendedError | null): Uint8Array {
  const { question, edns } = query;
  const text = ede === null ? null : cutUtf8(ede.text);
  const optionBytes = ede === null || text === null ? 0 : 6 + text.length;
  const questionBytes = question?.length ?? 0;
  const message = Buffer.alloc(HEADER_BYTES + questionBytes + (edns === null ? 0 : 11 + optionBytes));
  message.writeUInt16BE(query.id, 0);
  message.writeUInt16BE(flags, 2);
  message.writeUInt16BE(question === null ? 0 : 1, 4);
  if (question !== null) message.set(question, HEADER_BYTES);
  if (edns === null) return message;
  message.writeUInt16BE(1, 10);
  let at = HEADER_BYTES + questionBytes + 1;
  at = message.writeUInt16BE(TYPE.OPT, at);
  at = message.writeUInt16BE(OWN_UDP_SIZE, at);
  at = message.writeUInt32BE(edns.dnssecOk ? 0x8000 : 0, at);
  at = message.writeUInt16BE(optionBytes, at);
  if (ede === null || text === null) return message;
  at = message.writeUInt16BE(15, at);
  at = message.writeUInt16BE(2 + text.length, at);
  at = message.writeUInt16BE(ede.code, at);
  message.set(text, at);
  return message;
}

function cutUtf8(text: string): Uint8Array {
  const room = new Uint8Array(MAX_EDE_TEXT);
  return room.subarray(0, new TextEncoder().encodeInto(text, room).written);
}
