import { readHostName } from './authority.ts';
import {
  type Incomplete,
  MAX_OPENING_BYTES,
  type Named,
  type OpeningFault,
  type Other,
  other,
  type Unreadable,
  unreadable,
} from './opening.ts';

/** A ClientHello. Named by its server name indication; by nothing when it has none. */
export interface TlsHello extends Named {
  readonly kind: 'tls';
  /** An encrypted ClientHello is inside, or pretended (GREASE looks the same): the name is that of a front. */
  readonly ech: boolean;
}

const CHANGE_CIPHER_SPEC = 0x14;
const ALERT = 0x15;
const HANDSHAKE = 0x16;
const SSL_3 = 3;
/** An alert has two bytes, a change of cipher spec one. */
const MAX_SKIPPED = 2;
const MAX_FRAGMENT = 0x4000;
/** Records a hello may be spread over; clients use one. */
const MAX_PIECES = 8;
const RECORD_HEADER = 5;
const MESSAGE_HEADER = 4;
const CLIENT_HELLO = 1;
/** Version and random. */
const FIXED_PART = 34;
const SERVER_NAME = 0;
const HOST_NAME = 0;
/** One more than a name can have, its trailing dot included: what is longer stays too long. */
const MAX_NAME_TEXT = 255;
const NOBODY: Named = { name: null, address: null };

/**
 * Decodes a ClientHello (RFC 8446 §4.1.2, RFC 6066 §3), over up to eight records (§5.1). Total, and final:
 * what it says of some bytes, unless `incomplete`, it says of every stream that begins with them. An SSLv2-compatible
 * hello is `other`.
 */
export function decodeTlsHello(bytes: Uint8Array): TlsHello | Unreadable | Incomplete | Other {
  const message = gatherMessage(bytes.subarray(0, MAX_OPENING_BYTES));
  if ('kind' in message) return message;
  const hello = readHello(message.subarray(MESSAGE_HEADER));
  return typeof hello === 'string' ? unreadable('tls', hello) : hello;
}

/** The first handshake message, header included, its fragments joined. */
function gatherMessage(bytes: Uint8Array): Uint8Array | Unreadable | Incomplete | Other {
  const [type, major] = bytes;
  // Servers skip an alert before the hello: such an opening is TLS, and what comes after it is not looked at.
  const skipped = type === ALERT || type === CHANGE_CIPHER_SPEC;
  if (type !== undefined && type !== HANDSHAKE && !skipped) return other();
  if (major === undefined) return { kind: 'incomplete', need: bytes.length + 1, seems: null };
  // OpenSSL takes any record version, and skips empty records. Without version 3, the message has to look the part.
  let isTls = major === SSL_3;
  const refuse = (fault: OpeningFault) => (isTls ? unreadable('tls', fault) : other());
  const wait = (need: number): Incomplete | Unreadable | Other => {
    if (need > MAX_OPENING_BYTES) return refuse('too-long');
    return { kind: 'incomplete', need, seems: isTls && !skipped ? 'tls' : null };
  };

  const pieces: Uint8Array[] = [];
  let have = 0;
  let want = MESSAGE_HEADER;
  for (let at = 0; ; ) {
    const start = at + RECORD_HEADER;
    if (bytes.length < start) return wait(start);
    const length = u16(bytes, at + 3);
    if (skipped) return length <= MAX_SKIPPED ? unreadable('tls', 'malformed') : other();
    if (bytes[at] !== HANDSHAKE || length > MAX_FRAGMENT || pieces.length === MAX_PIECES)
      return refuse('malformed');
    const piece = bytes.subarray(start, start + length);
    pieces.push(piece);
    have += piece.length;
    if (want === MESSAGE_HEADER && have >= MESSAGE_HEADER) {
      const header = join(pieces, MESSAGE_HEADER);
      if (header[0] !== CLIENT_HELLO) return refuse('malformed');
      if (header[1] === 0) isTls = true;
      want += ((header[1] as number) << 16) | u16(header, 2);
      if (want + RECORD_HEADER > MAX_OPENING_BYTES) return refuse('too-long');
    }
    if (have >= want) return join(pieces, want);
    at = start + length;
    const inRecord = bytes.length + want - have;
    if (bytes.length < at) return wait(inRecord <= at ? inRecord : at + RECORD_HEADER);
  }
}

/** The first `length` bytes of the pieces laid end to end; a copy only where there is more than one piece. */
function join(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const [first] = pieces;
  if (first !== undefined && first.length >= length) return first.subarray(0, length);
  const joined = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    const part = piece.subarray(0, length - at);
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Reads the body of a ClientHello, all of it: a hello with a byte too many or too few is malformed. */
function readHello(body: Uint8Array): TlsHello | OpeningFault {
  const session = vectorEnd(body, FIXED_PART, 1);
  const suites = session < 0 ? -1 : vectorEnd(body, session, 2);
  const compression = suites < 0 ? -1 : vectorEnd(body, suites, 1);
  if (compression < 0 || session - FIXED_PART > 33) return 'malformed';
  const suiteBytes = suites - session - 2;
  if (suiteBytes === 0 || suiteBytes % 2 !== 0 || compression === suites + 1) return 'malformed';
  if (compression === body.length) return { kind: 'tls', ...NOBODY, ech: false };
  if (vectorEnd(body, compression, 2) !== body.length) return 'malformed';

  let named: Named | null = null;
  let ech = false;
  for (let at = compression + 2; at < body.length; ) {
    const end = vectorEnd(body, at + 2, 2);
    if (end < 0) return 'malformed';
    const type = u16(body, at);
    if (isEch(type)) ech = true;
    if (type === SERVER_NAME) {
      if (named !== null) return 'malformed';
      const read = readServerName(body.subarray(at + 4, end));
      if (typeof read === 'string') return read;
      named = read;
    }
    at = end;
  }
  return { kind: 'tls', ...(named ?? NOBODY), ech };
}

/** RFC 6066 §3: a list, in which every client there is puts one entry, of type host_name. */
function readServerName(list: Uint8Array): Named | OpeningFault {
  const oneEntry = vectorEnd(list, 0, 2) === list.length && vectorEnd(list, 3, 2) === list.length;
  if (!oneEntry || list[2] !== HOST_NAME) return 'malformed';
  return readHostName(String.fromCharCode(...list.subarray(5, 5 + MAX_NAME_TEXT))) ?? 'name';
}

/** RFC 9849, its drafts that were deployed, and ESNI before them. */
function isEch(type: number): boolean {
  return (type >= 0xfe08 && type <= 0xfe0d) || type === 0xffce;
}

/** Where the vector (RFC 8446 §3.4) at `at` ends that has a length of `size` bytes; -1 when that is past the end. */
function vectorEnd(bytes: Uint8Array, at: number, size: 1 | 2): number {
  const start = at + size;
  if (start > bytes.length) return -1;
  const end = start + (size === 1 ? (bytes[at] as number) : u16(bytes, at));
  return end <= bytes.length ? end : -1;
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}
