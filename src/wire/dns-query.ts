import { CLASS_IN, HEADER_BYTES, RCODE, TYPE } from './dns-code.ts';
import { readName, type WireName } from './dns-name.ts';
import { type Edns, readEdns, readRecord, u16 } from './dns-record.ts';

/** What a reply echoes of a query. */
export interface QueryHead {
  readonly id: number;
  /** The second 16-bit word of the header, as sent. */
  readonly flags: number;
  /** The question section as sent (the case of its letters kept); null when it could not be read. */
  readonly question: Uint8Array | null;
  readonly edns: Edns | null;
}

/** What is asked. */
export interface Question {
  /** In policy form, or `.` for the root. */
  readonly name: string;
  readonly type: number;
}

/** A query this program can judge and forward. */
export interface Query extends QueryHead, Question {
  readonly question: Uint8Array;
}

/** A message that is no query this program takes. */
export interface DnsFault {
  readonly fault: 'short' | 'not-a-query' | 'malformed' | 'opcode' | 'class' | 'name';
  /** For people: what is wrong. */
  readonly text: string;
  /** What to answer; null: nothing, since it is no query at all. */
  readonly rcode: number | null;
  readonly head: QueryHead | null;
  /** The name asked for, with what is odd in it escaped (see WireName.text); null when it could not be read. */
  readonly name: string | null;
}

const QR = 0x8000;
const OPCODE = 0x7800;

/**
 * Decodes a query (RFC 1035 §4.1, RFC 6891, RFC 9619): one uncompressed question of class IN, nothing in answer
 * and authority, at most an OPT after it, and no byte beyond. Total: any bytes give a Query or a DnsFault. The
 * name yielded is the one every reader of the raw labels sees: labels with a dot or an odd byte are a fault.
 */
export function decodeQuery(bytes: Uint8Array): Query | DnsFault {
  if (bytes.length < HEADER_BYTES) return { ...NOTHING, fault: 'short', text: 'shorter than a DNS header' };
  const flags = u16(bytes, 2);
  if ((flags & QR) !== 0) return { ...NOTHING, fault: 'not-a-query', text: 'a response, not a query' };
  const bare: QueryHead = { id: u16(bytes, 0), flags, question: null, edns: null };
  if ((flags & OPCODE) !== 0) {
    return fault('opcode', `opcode ${(flags & OPCODE) >> 11} is not QUERY`, RCODE.NOTIMP, bare);
  }
  if (u16(bytes, 4) !== 1) return malformed('not exactly one question', bare);
  const name = readName(bytes, HEADER_BYTES, 'refuse');
  if (name === null || name.end + 4 > bytes.length) return malformed('the question cannot be read', bare);
  const end = name.end + 4;
  const asked: QueryHead = { ...bare, question: bytes.slice(HEADER_BYTES, end) };
  if (u16(bytes, 6) !== 0 || u16(bytes, 8) !== 0) return malformed('a query with answers', asked);
  const edns = readAdditional(bytes, end);
  if (edns === 'malformed') return malformed('the additional section is not one OPT record', asked);
  const head: QueryHead = { ...asked, edns };
  return judgeQuestion(bytes, name, { ...head, question: asked.question as Uint8Array });
}

/** The question of a message of either direction, or null. For reading replies whose query was not seen. */
export function decodeQuestion(bytes: Uint8Array): Question | null {
  if (bytes.length < HEADER_BYTES || u16(bytes, 4) !== 1) return null;
  const name = readName(bytes, HEADER_BYTES, 'refuse');
  if (name === null || name.end + 4 > bytes.length || !speakable(name)) return null;
  return u16(bytes, name.end + 2) === CLASS_IN ? { name: name.text, type: u16(bytes, name.end) } : null;
}

const NOTHING = { rcode: null, head: null, name: null } as const;

function judgeQuestion(
  bytes: Uint8Array,
  name: WireName,
  head: QueryHead & { question: Uint8Array },
): Query | DnsFault {
  if (u16(bytes, name.end + 2) !== CLASS_IN) {
    return fault('class', 'only class IN is answered', RCODE.REFUSED, head, name.text);
  }
  if (!speakable(name)) {
    const text = 'the name has a label that is not letters, digits, - and _';
    return fault('name', text, RCODE.REFUSED, head, name.text);
  }
  return { ...head, name: name.text, type: u16(bytes, name.end) };
}

function speakable(name: WireName): boolean {
  return name.plain || name.text === '.';
}

function readAdditional(bytes: Uint8Array, start: number): Edns | null | 'malformed' {
  const count = u16(bytes, 10);
  if (count === 0) return start === bytes.length ? null : 'malformed';
  const record = count === 1 ? readRecord(bytes, start) : null;
  const isOpt = record !== null && record.type === TYPE.OPT && record.owner.text === '.';
  return isOpt && record.end === bytes.length ? readEdns(record) : 'malformed';
}

function malformed(text: string, head: QueryHead): DnsFault {
  return fault('malformed', text, RCODE.FORMERR, head);
}

function fault(
  code: DnsFault['fault'],
  text: string,
  rcode: number,
  head: QueryHead,
  name: string | null = null,
): DnsFault {
  return { fault: code, text, rcode, head, name };
}
