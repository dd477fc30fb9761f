import { type Authority, readAuthority } from './authority.ts';
import {
  beginsRequest,
  isRequestLine,
  type RequestLine,
  readRequestLine,
  type TargetForm,
} from './http-line.ts';
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

/** The head of an HTTP/1 request. Named by its target where that has an authority, else by Host, else by nothing. */
export interface HttpHead extends Named {
  readonly kind: 'http';
  /** As sent. */
  readonly method: string;
  /** `absolute` and `authority` (CONNECT) are said to a proxy: they name where it is to go. */
  readonly form: TargetForm;
  /** As given, or that of the target's scheme; null: the one connected to. */
  readonly port: number | null;
}

/** The part of the bytes that makes a line, without its end. */
interface Line {
  readonly start: number;
  readonly end: number;
}

const TAB = 0x09;
const LF = 0x0a;
const CR = 0x0d;
const SPACE = 0x20;
const COLON = 0x3a;
const DELETE = 0x7f;
const PREFACE = 'PRI * HTTP/2.0';

/**
 * Decodes the head of an HTTP/1 request (RFC 9112), strictly: what two servers could take differently is
 * `unreadable`, so that none reads a name this does not. A bare LF ends a line, as it does to every server that takes
 * it at all (§2.2), and scripts write it so. Total, and final: what it says of some
 * bytes, unless `incomplete`, it says of every stream that begins with them.
 */
export function decodeHttpHead(stream: Uint8Array): HttpHead | Unreadable | Incomplete | Other {
  const bytes = stream.subarray(0, MAX_OPENING_BYTES);
  const first = findRequestLine(bytes);
  if ('kind' in first) return first;
  const text = slice(bytes, first);
  if (!isRequestLine(text)) return other();
  if (text === PREFACE) return other('h2c');
  const request = readRequestLine(text);
  if (typeof request === 'string') return unreadable('http', request);
  let start = after(bytes, first.end);
  // After a bare LF some servers take another for the same end of line (llhttp, lenient), others for that of the head.
  const doubled = bytes[first.end] === LF && bytes[start] === LF;
  if (doubled) start++;
  const host = readHost(bytes, start);
  if (host === 'incomplete')
    return wait(bytes, doubled && start === bytes.length ? null : 'http') ?? unreadable('http', 'too-long');
  if (typeof host === 'string') return unreadable('http', host);
  return combine(request, host);
}

function combine(request: RequestLine, host: Authority | null): HttpHead | Unreadable {
  const { method, form, target } = request;
  const { name, address, port } = target ?? host ?? NOBODY;
  const agrees =
    host === null ||
    (host.name === name && host.address === address && (host.port === null || host.port === port));
  if (!agrees) return unreadable('http', 'host-contradicts');
  return { kind: 'http', method, form, name, address, port };
}

const NOBODY: Authority = { name: null, address: null, port: null };

/** Finds the first line that is not empty, and leaves as soon as it can be no request line. */
function findRequestLine(bytes: Uint8Array): Line | Unreadable | Incomplete | Other {
  let start = 0;
  while (bytes[start] === LF || bytes[start] === CR) start++;
  let inMethod = true;
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (inMethod) {
      if (at > start && (byte === SPACE || byte === TAB)) inMethod = false;
      else if (!isTokenByte(byte)) return other();
    } else if (byte === LF) {
      return { start, end: bytes[at - 1] === CR ? at - 1 : at };
    } else if (isControl(byte) && isMisplaced(byte, bytes[at + 1])) {
      const before = slice(bytes, { start, end: at });
      return isRequestLine(before) || beginsRequest(before) ? unreadable('http', 'control') : other();
    }
  }
  const waiting = wait(bytes, null);
  if (waiting !== null) return waiting;
  return beginsRequest(slice(bytes, { start, end: bytes.length })) ? unreadable('http', 'too-long') : other();
}

/** Of control characters, a line may have blanks, and a carriage return before its line feed. */
function isMisplaced(byte: number, next: number | undefined): boolean {
  return byte === CR ? next !== undefined && next !== LF : byte < TAB || byte > CR;
}

/** Null where the bound is reached. */
function wait(bytes: Uint8Array, seems: Incomplete['seems']): Incomplete | null {
  if (bytes.length >= MAX_OPENING_BYTES) return null;
  return { kind: 'incomplete', need: bytes.length + 1, seems };
}

/** Reads the field lines from `start` to the empty one; yields the Host field, null where it is absent or empty. */
function readHost(bytes: Uint8Array, start: number): Authority | null | OpeningFault | 'incomplete' {
  let host: Authority | null = null;
  let seen = false;
  for (let at = start; ; ) {
    if (bytes[at] === SPACE || bytes[at] === TAB) return 'fold';
    const end = fieldEnd(bytes, at);
    if (typeof end === 'string') return end;
    if (end === at) return host;
    const colon = readFieldName(bytes, at, end);
    if (typeof colon === 'string') return colon;
    if (isHost(bytes, at, colon)) {
      if (seen) return 'host-twice';
      seen = true;
      const value = slice(bytes, trim(bytes, colon + 1, end));
      const read = value === '' ? null : readAuthority(value);
      if (typeof read === 'string') return read;
      host = read;
    }
    at = after(bytes, end);
  }
}

/** Where the line after the one that ends at `end` begins. */
function after(bytes: Uint8Array, end: number): number {
  return end + (bytes[end] === CR ? 2 : 1);
}

/** Where the CRLF or LF is that ends the line from `start`; the line holds no control character but tabs. */
function fieldEnd(bytes: Uint8Array, start: number): number | OpeningFault | 'incomplete' {
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    if (!isControl(byte) || byte === TAB) continue;
    if (byte === LF) return at;
    const next = bytes[at + 1];
    if (byte !== CR || (next !== undefined && next !== LF)) return 'control';
    return next === LF ? at : 'incomplete';
  }
  return 'incomplete';
}

/** Where the colon of the field line is. */
function readFieldName(bytes: Uint8Array, start: number, end: number): number | OpeningFault {
  let colon = start;
  while (colon < end && isTokenByte(bytes[colon] as number)) colon++;
  return colon > start && bytes[colon] === COLON ? colon : 'field';
}

function isHost(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start === 4 && slice(bytes, { start, end }).toLowerCase() === 'host';
}

function trim(bytes: Uint8Array, from: number, to: number): Line {
  let start = from;
  let end = to;
  while (start < end && (bytes[start] === SPACE || bytes[start] === TAB)) start++;
  while (end > start && (bytes[end - 1] === SPACE || bytes[end - 1] === TAB)) end--;
  return { start, end };
}

function isControl(byte: number): boolean {
  return byte < SPACE || byte === DELETE;
}

/** RFC 9110 §5.6.2. */
function isTokenByte(byte: number): boolean {
  return byte > SPACE && byte < DELETE && !DELIMITERS.includes(String.fromCharCode(byte));
}

const DELIMITERS = '"(),/:;<=>?@[\\]{}';

/** One character a byte. */
function slice(bytes: Uint8Array, line: Line): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + line.start, line.end - line.start).toString('latin1');
}
