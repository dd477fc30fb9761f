import { CLASS_IN, type ExtendedError, HEADER_BYTES, RCODE, TYPE } from './dns-code.ts';
import { readName } from './dns-name.ts';
import type { Query, Question } from './dns-query.ts';
import { extendedRcodeBits, type RecordFrame, readExtendedError, readRecord, u16 } from './dns-record.ts';
import { readServiceBinding } from './dns-svcb.ts';

/** An address the answer gives. */
export interface AnsweredAddress {
  /** 16 bytes, network order; IPv4 is v4-mapped. */
  readonly address: Uint8Array;
  /** Seconds, of the record that holds the address. */
  readonly ttl: number;
  /** The question's name first, then every alias on the way to the address. */
  readonly names: readonly string[];
}

/** What an answer says, as far as a verdict needs it. */
export interface Response {
  /** With the extended bits of EDNS. */
  readonly rcode: number;
  readonly truncated: boolean;
  /** NOERROR with nothing in it, from a server that neither holds the zone nor recurses. */
  readonly lame: boolean;
  /** Every name the question leads to (CNAMEs, SVCB and HTTPS targets, owners of addresses), in order; never its own. */
  readonly aliases: readonly string[];
  readonly addresses: readonly AnsweredAddress[];
  readonly ede: ExtendedError | null;
  /** Its additional section has more than an OPT record: see withoutGlue. */
  readonly glue: boolean;
}

/** An answer that must not reach a client. */
export interface ResponseFault {
  readonly fault: 'malformed' | 'too-many-records' | 'alias-loop' | 'alias-chain' | 'alias-name';
  readonly text: string;
}

/** Aliases an answer may lead through. */
export const MAX_ALIASES = 16;
const MAX_RECORDS = 4096;
const MAX_ADDRESSES = 1024;

const AA = 0x0400;
const TC = 0x0200;
const RD = 0x0100;
const RA = 0x0080;

/** `other-case`: all is as it should be, but letters of the name came back in another case than they were sent. */
export type AnswerMatch = 'yes' | 'other-case' | 'no';

/** Whether these bytes answer the query forwarded under this id: same id, opcode and question. */
export function matchAnswer(bytes: Uint8Array, query: Query, id: number): AnswerMatch {
  if (bytes.length < HEADER_BYTES || u16(bytes, 0) !== id) return 'no';
  const flags = u16(bytes, 2);
  if ((flags & 0xf800) !== 0x8000) return 'no';
  const count = u16(bytes, 4);
  // Servers that could not read the question may leave it out, but only of an error.
  if (count === 0) return (flags & 0xf) !== RCODE.NOERROR && u16(bytes, 6) === 0 ? 'yes' : 'no';
  const { question } = query;
  if (count !== 1 || bytes.length < HEADER_BYTES + question.length) return 'no';
  const nameEnd = question.length - 4;
  let match: AnswerMatch = 'yes';
  for (let i = 0; i < question.length; i++) {
    const ours = question[i] as number;
    const theirs = bytes[HEADER_BYTES + i] as number;
    if (ours === theirs) continue;
    if (i >= nameEnd || lower(ours) !== lower(theirs)) return 'no';
    match = 'other-case';
  }
  return match;
}

/**
 * Decodes an answer to `question`. Total and bounded: any bytes give a Response or a ResponseFault. An address
 * of the answer section counts by the names that led to it: the question's, its aliases, and its owner. Addresses
 * of the other sections do not count, and do not reach a client.
 */
export function decodeResponse(bytes: Uint8Array, question: Question): Response | ResponseFault {
  const message = readSections(bytes);
  if ('fault' in message) return message;
  const chain = followAliases(message.answers, bytes, question);
  if ('fault' in chain) return chain;
  const facts = readAddresses(bytes, message.answers, chain.names, question);
  if ('fault' in facts) return facts;
  const aliases = [...chain.names.slice(1), ...facts.targets];
  if (aliases.length > MAX_ALIASES) return tooManyAliases(question);
  const flags = u16(bytes, 2);
  const rcode = (flags & 0xf) | message.rcodeBits;
  return {
    rcode,
    truncated: (flags & TC) !== 0,
    lame: rcode === RCODE.NOERROR && (flags & RD) !== 0 && (flags & (AA | RA)) === 0 && u16(bytes, 6) === 0,
    aliases,
    addresses: facts.addresses,
    ede: message.ede,
    glue: message.glue,
  };
}

interface Sections {
  readonly answers: readonly RecordFrame[];
  readonly rcodeBits: number;
  readonly ede: ExtendedError | null;
  readonly glue: boolean;
}

function readSections(bytes: Uint8Array): Sections | ResponseFault {
  const malformed: ResponseFault = { fault: 'malformed', text: 'malformed answer' };
  if (bytes.length < HEADER_BYTES || u16(bytes, 4) > 1) return malformed;
  let at = HEADER_BYTES;
  if (u16(bytes, 4) === 1) {
    const name = readName(bytes, at, 'refuse');
    if (name === null || name.end + 4 > bytes.length) return malformed;
    at = name.end + 4;
  }
  const answerCount = u16(bytes, 6);
  const additionalFrom = answerCount + u16(bytes, 8);
  const count = additionalFrom + u16(bytes, 10);
  if (count > MAX_RECORDS) return { fault: 'too-many-records', text: `${count} records in one answer` };
  const answers: RecordFrame[] = [];
  let rcodeBits = 0;
  let ede: ExtendedError | null = null;
  let glue = false;
  for (let i = 0; i < count; i++) {
    const record = readRecord(bytes, at);
    if (record === null) return malformed;
    at = record.end;
    if (i < answerCount && record.class === CLASS_IN) answers.push(record);
    if (i >= answerCount && record.type === TYPE.OPT) {
      rcodeBits = extendedRcodeBits(record);
      const error = readExtendedError(bytes, record);
      if (error === 'malformed') return malformed;
      ede ??= error;
    } else if (i >= additionalFrom) {
      glue = true;
    }
  }
  return at === bytes.length ? { answers, rcodeBits, ede, glue } : malformed;
}

/** The question's name and its CNAME chain. A DNAME shows through the CNAME its server made of it (RFC 6672 §3.1). */
function followAliases(
  answers: readonly RecordFrame[],
  bytes: Uint8Array,
  question: Question,
): { names: readonly string[] } | ResponseFault {
  const aliasOf = new Map<string, { text: string; plain: boolean }>();
  for (const record of answers) {
    if (record.type !== TYPE.CNAME) continue;
    const target = readName(bytes, record.data, 'follow');
    if (target === null || target.end !== record.end) return { fault: 'malformed', text: 'malformed CNAME' };
    const owner = record.owner.text;
    const known = aliasOf.get(owner);
    if (known !== undefined && known.text !== target.text) {
      return { fault: 'malformed', text: `two different aliases of ${owner}` };
    }
    aliasOf.set(owner, target);
  }
  const names = [question.name];
  let next = aliasOf.get(question.name);
  while (next !== undefined) {
    if (!next.plain) {
      // Classless reverse zones alias through names like 5.0/26.2.0.192.in-addr.arpa (RFC 2317); no address follows.
      if (question.type === TYPE.PTR) break;
      return { fault: 'alias-name', text: `${question.name} leads to ${next.text}, which is no host name` };
    }
    if (names.includes(next.text)) {
      return { fault: 'alias-loop', text: `the aliases of ${question.name} lead back to ${next.text}` };
    }
    names.push(next.text);
    if (names.length > MAX_ALIASES + 1) return tooManyAliases(question);
    next = aliasOf.get(next.text);
  }
  return { names };
}

/** Records that hold addresses, or lead to them beside the chain of aliases. */
const LEADS_ON: ReadonlySet<number> = new Set([TYPE.A, TYPE.AAAA, TYPE.SVCB, TYPE.HTTPS]);

interface Facts {
  readonly addresses: readonly AnsweredAddress[];
  /** Targets of SVCB and HTTPS records, and owners of addresses that were not asked for. */
  readonly targets: readonly string[];
}

function readAddresses(
  bytes: Uint8Array,
  answers: readonly RecordFrame[],
  chain: readonly string[],
  question: Question,
): Facts | ResponseFault {
  const addresses: AnsweredAddress[] = [];
  const targets = new Set<string>();
  for (const record of answers) {
    if (!LEADS_ON.has(record.type)) continue;
    const position = chain.indexOf(record.owner.text);
    let names: readonly string[] = chain.slice(0, position + 1);
    if (position < 0) {
      // Not asked for, but some clients take any address of an answer for one of the name they asked for (musl).
      const led = leadTo(record.owner, question, targets);
      if (led !== null) return led;
      names = [question.name, record.owner.text];
    }
    let found: readonly Uint8Array[];
    if (record.type === TYPE.A || record.type === TYPE.AAAA) {
      const data = bytes.subarray(record.data, record.end);
      if (data.length !== (record.type === TYPE.A ? 4 : 16)) {
        return { fault: 'malformed', text: `malformed address of ${record.owner.text}` };
      }
      found = [to16(data)];
    } else {
      const binding = readServiceBinding(bytes, record.data, record.end);
      if (binding === null) return { fault: 'malformed', text: `malformed HTTPS of ${record.owner.text}` };
      const { target } = binding;
      if (target.text !== '.' && !names.includes(target.text)) {
        const led = chain.includes(target.text) ? null : leadTo(target, question, targets);
        if (led !== null) return led;
        names = [...names, target.text];
      }
      found = binding.hints.map(to16);
    }
    const ttl = record.ttl > 0x7fffffff ? 0 : record.ttl; // RFC 2181 §8
    for (const address of found) addresses.push({ address, ttl, names });
    if (addresses.length > MAX_ADDRESSES) {
      return { fault: 'too-many-records', text: `over ${MAX_ADDRESSES} addresses in one answer` };
    }
  }
  return { addresses, targets: [...targets] };
}

/** Adds a name the answer leads to beside the chain of aliases. Null: it is in. */
function leadTo(
  to: { text: string; plain: boolean },
  question: Question,
  targets: Set<string>,
): ResponseFault | null {
  if (!to.plain) {
    return { fault: 'alias-name', text: `${question.name} leads to ${to.text}, which is no host name` };
  }
  targets.add(to.text);
  return targets.size > MAX_ALIASES ? tooManyAliases(question) : null;
}

function tooManyAliases(question: Question): ResponseFault {
  return { fault: 'alias-chain', text: `${question.name} leads through more than ${MAX_ALIASES} aliases` };
}

function to16(data: Uint8Array): Uint8Array {
  if (data.length === 16) return data.slice();
  const mapped = new Uint8Array(16);
  mapped.fill(0xff, 10, 12);
  mapped.set(data, 12);
  return mapped;
}

function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
}
