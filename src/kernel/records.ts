import { type Address, addressFromBytes } from '../model/address.ts';
import type { Opening } from '../model/opening.ts';
import { ringRecords } from './binding.ts';
import * as layout from './layout.gen.ts';

/** An outbound attempt as a hook saw it. Times are CLOCK_MONOTONIC nanoseconds. */
export interface AttemptRecord {
  readonly type: 'attempt';
  readonly kind: 'connect' | 'send';
  readonly time: bigint;
  readonly run: bigint;
  readonly pid: number;
  readonly tid: number;
  /** Null where the caller was not running (softirq). */
  readonly uid: number | null;
  readonly comm: string | null;
  readonly address: Address;
  readonly port: number;
  /** IP protocol number. */
  readonly protocol: number;
  readonly socketType: number;
  /** Made in another network namespace than the engine's. */
  readonly elsewhere: boolean;
  readonly hook: string;
  readonly decision: 'allow' | 'audit' | 'deny';
  /** Why, where no rule decided; null where one did. */
  readonly cause: string | null;
  readonly generation: number;
  /** The fact that held for the address; 0: none was known. */
  readonly fact: number;
  /** Errno the caller got; 0 when let through. */
  readonly errno: number;
  readonly cookie: bigint;
  /** Identical attempts this stands for; at least 1. */
  readonly count: number;
  /** Not 0: the caller waits until this is told (EngineWords.told). */
  readonly ticket: number;
  /** What becomes of the connection's first bytes: more is told of it once they are known. */
  readonly opening: 'none' | 'read' | 'wait' | 'proxy';
  /** Where it is bound, where that is known: to find its socket by. */
  readonly source: { address: Address; port: number } | null;
}

/** A connection whose first bytes were judged. `attempt.hook` is `sk_msg`. */
export interface OpeningRecord {
  readonly type: 'opening';
  readonly attempt: AttemptRecord;
  readonly protocol: 'tls' | 'http' | null;
  readonly says: Opening;
}

/** A piece of a connection's first bytes (audit mode), in order and without gaps. */
export interface OpeningPieceRecord {
  readonly type: 'opening-piece';
  readonly time: bigint;
  readonly cookie: bigint;
  readonly offset: number;
  readonly payload: Uint8Array;
}

/** How a system call returned: a failure, or any call to what no hook of the run sees. */
export interface ReturnRecord {
  readonly type: 'return';
  /** When it returned. */
  readonly time: bigint;
  readonly since: bigint;
  readonly pid: number;
  readonly tid: number;
  readonly uid: number | null;
  readonly comm: string | null;
  readonly call: 'connect' | 'sendto' | 'sendmsg' | 'sendmmsg' | 'socket';
  /** AF_*. */
  readonly family: number;
  /** 0: it did not fail. */
  readonly errno: number;
  /** Of a UNIX socket, an abstract one beginning with `@`; null for others. */
  readonly path: string | null;
  /** Of AF_VSOCK; null for others. */
  readonly port: number | null;
}

/** What became of a TCP connection. */
export interface OutcomeRecord {
  readonly type: 'outcome';
  readonly time: bigint;
  readonly cookie: bigint;
  readonly state: 'connected' | 'closed';
  /** Closed: it was connected before. */
  readonly established: boolean;
  /** Of the socket; 0: none. */
  readonly errno: number;
  /** Payload bytes, retransmissions left out. */
  readonly sent: number;
  readonly received: number;
}

/** A UNIX socket that is closed to the run was called, and its caller got `errno`. */
export interface ClosedRecord {
  readonly type: 'closed';
  readonly time: bigint;
  readonly pid: number;
  readonly uid: number | null;
  readonly comm: string | null;
  readonly errno: number;
  /** As in ReturnRecord, without `//` and `/./`. */
  readonly path: string;
}

/** A DNS answer read in passing (audit mode): the UDP payload, or the start of a TCP segment. */
export interface DnsReplyRecord {
  readonly type: 'dns-reply';
  readonly time: bigint;
  readonly run: bigint;
  readonly pid: number;
  readonly server: Address;
  readonly protocol: number;
  readonly payload: Uint8Array;
}

export interface ForkRecord {
  readonly type: 'fork';
  readonly time: bigint;
  readonly pid: number;
  readonly parent: number;
  readonly uid: number;
  readonly comm: string;
}

export interface ExecRecord {
  readonly type: 'exec';
  readonly time: bigint;
  readonly pid: number;
  readonly parent: number;
  readonly uid: number;
  readonly comm: string;
  /** The program as the kernel opened it: for a script its interpreter. May be relative. */
  readonly exe: string;
  readonly argv: readonly string[];
  /** argv was longer than the record holds. */
  readonly truncated: boolean;
}

export interface ExitRecord {
  readonly type: 'exit';
  readonly time: bigint;
  readonly pid: number;
}

/** A process of a run that was moved, or born, outside the run's cgroup. */
export interface EscapeRecord {
  readonly type: 'escape';
  readonly time: bigint;
  readonly run: bigint;
  readonly pid: number;
  /** Who moved it. */
  readonly by: number;
  readonly cgroup: bigint;
}

export type KernelRecord =
  | AttemptRecord
  | OpeningRecord
  | OpeningPieceRecord
  | ReturnRecord
  | OutcomeRecord
  | ClosedRecord
  | DnsReplyRecord
  | ForkRecord
  | ExecRecord
  | ExitRecord
  | EscapeRecord;

const HOOKS: Record<number, string> = {
  [layout.hook.HOOK_CONNECT4]: 'cgroup/connect4',
  [layout.hook.HOOK_CONNECT6]: 'cgroup/connect6',
  [layout.hook.HOOK_SENDMSG4]: 'cgroup/sendmsg4',
  [layout.hook.HOOK_SENDMSG6]: 'cgroup/sendmsg6',
  [layout.hook.HOOK_EGRESS]: 'cgroup_skb/egress',
  [layout.hook.HOOK_INGRESS]: 'cgroup_skb/ingress',
  [layout.hook.HOOK_MESSAGE]: 'sk_msg',
};

const CAUSES: Record<number, string> = {
  [layout.cause.CAUSE_NO_RUN]: 'no-run',
  [layout.cause.CAUSE_NO_ENTRY]: 'no-entry',
  [layout.cause.CAUSE_DNS_PROXY_DOWN]: 'dns-proxy-down',
  [layout.cause.CAUSE_DNS_OTHER_NETNS]: 'dns-other-netns',
  [layout.cause.CAUSE_NO_MEMORY]: 'no-memory',
  [layout.cause.CAUSE_LOOPBACK_BY_LINK]: 'loopback-by-link',
  [layout.cause.CAUSE_UNREAD]: 'first-bytes-unread',
};

const OPENINGS: Record<number, AttemptRecord['opening']> = {
  [layout.openingUse.OPENING_READ]: 'read',
  [layout.openingUse.OPENING_WAIT]: 'wait',
  [layout.openingUse.OPENING_PROXY]: 'proxy',
};

const UNKNOWN_UID = 0xffffffff;

/** Takes a record in. `run`: whose it is, by the id of its cgroup. */
export type TakeRecord = (record: KernelRecord, run: bigint) => void;

/** Decodes a drained batch. Calls `fault` for a record this build does not know, and goes on. */
export function decodeBatch(batch: Buffer, each: TakeRecord, fault: () => void): void {
  for (const bytes of ringRecords(batch)) {
    const record = decode(bytes);
    if (record) each(record, bytes.readBigUInt64LE(layout.eventHeader.run.offset));
    else fault();
  }
}

function decode(bytes: Buffer): KernelRecord | null {
  if (bytes.length < layout.eventHeader.size) return null;
  const { EVENT_CONNECT, EVENT_SEND, EVENT_DNS_REPLY, EVENT_FORK, EVENT_EXEC, EVENT_EXIT, EVENT_ESCAPE } =
    layout.eventKind;
  const { EVENT_OPENING, EVENT_OPENING_PIECE, EVENT_RETURN, EVENT_OUTCOME, EVENT_CLOSED } = layout.eventKind;
  switch (bytes.readUInt32LE(layout.eventHeader.kind.offset)) {
    case EVENT_CONNECT:
      return decodeAttempt(bytes, 'connect');
    case EVENT_SEND:
      return decodeAttempt(bytes, 'send');
    case EVENT_OPENING:
      return decodeOpening(bytes);
    case EVENT_OPENING_PIECE:
      return decodeOpeningPiece(bytes);
    case EVENT_RETURN:
      return decodeReturn(bytes);
    case EVENT_OUTCOME:
      return decodeOutcome(bytes);
    case EVENT_CLOSED:
      return decodeClosed(bytes);
    case EVENT_DNS_REPLY:
      return decodeDnsReply(bytes);
    case EVENT_EXEC:
      return decodeExec(bytes);
    case EVENT_FORK:
    case EVENT_EXIT:
    case EVENT_ESCAPE:
      return decodeProcess(bytes);
    default:
      return null;
  }
}

function header(bytes: Buffer) {
  const uid = bytes.readUInt32LE(layout.eventHeader.uid.offset);
  return {
    time: bytes.readBigUInt64LE(layout.eventHeader.time.offset),
    run: bytes.readBigUInt64LE(layout.eventHeader.run.offset),
    pid: bytes.readUInt32LE(layout.eventHeader.pid.offset),
    tid: bytes.readUInt32LE(layout.eventHeader.tid.offset),
    uid: uid === UNKNOWN_UID ? null : uid,
  };
}

function text(bytes: Buffer, field: { offset: number; size: number }): string {
  const raw = bytes.subarray(field.offset, field.offset + field.size);
  const end = raw.indexOf(0);
  return raw.toString('utf8', 0, end < 0 ? raw.length : end);
}

function address(bytes: Buffer, field: { offset: number; size: number }): Address {
  return addressFromBytes(bytes.subarray(field.offset, field.offset + field.size));
}

function decodeAttempt(bytes: Buffer, kind: 'connect' | 'send'): AttemptRecord | null {
  const at = layout.attemptEvent;
  if (bytes.length < at.size) return null;
  const decision = bytes.readUInt8(at.decision.offset);
  const { DECISION_ALLOW, DECISION_AUDIT } = layout.decision;
  const hook = bytes.readUInt8(at.hook.offset);
  return {
    type: 'attempt',
    kind,
    ...header(bytes),
    comm: text(bytes, at.comm) || null,
    address: address(bytes, at.address),
    port: bytes.readUInt16LE(at.port.offset),
    protocol: bytes.readUInt8(at.protocol.offset),
    socketType: bytes.readUInt8(at.socketType.offset),
    elsewhere: bytes.readUInt8(at.elsewhere.offset) !== 0,
    hook: HOOKS[hook] ?? String(hook),
    decision: decision === DECISION_ALLOW ? 'allow' : decision === DECISION_AUDIT ? 'audit' : 'deny',
    cause: CAUSES[bytes.readUInt8(at.cause.offset)] ?? null,
    generation: bytes.readUInt32LE(at.generation.offset),
    fact: bytes.readUInt32LE(at.fact.offset),
    errno: bytes.readUInt16LE(at.errno.offset),
    cookie: bytes.readBigUInt64LE(at.cookie.offset),
    count: bytes.readUInt32LE(at.count.offset),
    ticket: bytes.readUInt32LE(at.ticket.offset),
    opening: OPENINGS[bytes.readUInt8(at.opening.offset)] ?? 'none',
    source:
      hook === layout.hook.HOOK_EGRESS || hook === layout.hook.HOOK_MESSAGE
        ? { address: address(bytes, at.source), port: bytes.readUInt16LE(at.sourcePort.offset) }
        : null,
  };
}

function decodeOpening(bytes: Buffer): OpeningRecord | null {
  const at = layout.openingEvent;
  if (bytes.length < at.size) return null;
  const attempt = decodeAttempt(bytes.subarray(0, layout.attemptEvent.size), 'connect');
  if (!attempt) return null;
  const says = bytes.readUInt32LE(at.says.offset);
  const has = (flag: number) => (says & flag) !== 0;
  const { SAYS_TLS, SAYS_HTTP, SAYS_PROXIED, SAYS_ENCRYPTED, SAYS_UNREADABLE } = layout.openingSays;
  const { SAYS_NAME, SAYS_ADDRESS, SAYS_PORT } = layout.openingSays;
  const length = Math.min(bytes.readUInt16LE(at.nameLength.offset), at.name.size);
  return {
    type: 'opening',
    attempt,
    protocol: has(SAYS_TLS) ? 'tls' : has(SAYS_HTTP) ? 'http' : null,
    says: {
      readable: !has(SAYS_UNREADABLE),
      proxied: has(SAYS_PROXIED),
      encrypted: has(SAYS_ENCRYPTED),
      name: has(SAYS_NAME) ? bytes.toString('latin1', at.name.offset, at.name.offset + length) : null,
      address: has(SAYS_ADDRESS) ? address(bytes, at.inner) : null,
      port: has(SAYS_PORT) ? bytes.readUInt16LE(at.innerPort.offset) : null,
    },
  };
}

function decodeOpeningPiece(bytes: Buffer): OpeningPieceRecord | null {
  const at = layout.openingPieceEvent;
  if (bytes.length < at.payload.offset) return null;
  const end = at.payload.offset + bytes.readUInt32LE(at.length.offset);
  if (end > bytes.length) return null;
  return {
    type: 'opening-piece',
    time: header(bytes).time,
    cookie: bytes.readBigUInt64LE(at.cookie.offset),
    offset: bytes.readUInt32LE(at.offset.offset),
    payload: Uint8Array.from(bytes.subarray(at.payload.offset, end)),
  };
}

const AF_UNIX = 1;
const AF_VSOCK = 40;
/** Of svm_port in struct sockaddr_vm. */
const VSOCK_PORT = 4;

const CALLS: Record<number, ReturnRecord['call']> = {
  [layout.syscall.CALL_CONNECT]: 'connect',
  [layout.syscall.CALL_SENDTO]: 'sendto',
  [layout.syscall.CALL_SENDMSG]: 'sendmsg',
  [layout.syscall.CALL_SENDMMSG]: 'sendmmsg',
  [layout.syscall.CALL_SOCKET]: 'socket',
};

function decodeReturn(bytes: Buffer): ReturnRecord | null {
  const at = layout.returnEvent;
  if (bytes.length < at.size) return null;
  const call = CALLS[bytes.readUInt32LE(at.call.offset)];
  if (!call) return null;
  const { time, pid, tid, uid } = header(bytes);
  const family = bytes.readUInt16LE(at.family.offset);
  const path = pathBytes(bytes, at);
  return {
    ...{ type: 'return', time, pid, tid, uid, call, family },
    since: bytes.readBigUInt64LE(at.since.offset),
    comm: text(bytes, at.comm) || null,
    errno: bytes.readUInt16LE(at.errno.offset),
    path: family === AF_UNIX ? unixPath(path) : null,
    port: family === AF_VSOCK && path.length >= VSOCK_PORT + 4 ? path.readUInt32LE(VSOCK_PORT) : null,
  };
}

function pathBytes(bytes: Buffer, at: typeof layout.returnEvent | typeof layout.closedEvent): Buffer {
  const length = Math.min(bytes.readUInt32LE(at.length.offset), at.path.size);
  return bytes.subarray(at.path.offset, at.path.offset + length);
}

/** unix(7): a path ends at its 0; an abstract name begins with one, and may hold more. */
function unixPath(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  if (end !== 0) return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
  return `@${bytes.toString('utf8', 1).replaceAll('\0', '@')}`;
}

function decodeClosed(bytes: Buffer): ClosedRecord | null {
  const at = layout.closedEvent;
  if (bytes.length < at.size) return null;
  const { time, pid, uid } = header(bytes);
  return {
    ...{ type: 'closed', time, pid, uid },
    comm: text(bytes, at.comm) || null,
    errno: bytes.readUInt32LE(at.errno.offset),
    path: unixPath(pathBytes(bytes, at)),
  };
}

function decodeOutcome(bytes: Buffer): OutcomeRecord | null {
  const at = layout.outcomeEvent;
  if (bytes.length < at.size) return null;
  const state = bytes.readUInt32LE(at.state.offset);
  return {
    type: 'outcome',
    time: header(bytes).time,
    cookie: bytes.readBigUInt64LE(at.cookie.offset),
    state: state === layout.outcomeState.OUTCOME_CONNECTED ? 'connected' : 'closed',
    established: bytes.readUInt32LE(at.established.offset) !== 0,
    errno: bytes.readUInt32LE(at.errno.offset),
    sent: Number(bytes.readBigUInt64LE(at.sent.offset)),
    received: Number(bytes.readBigUInt64LE(at.received.offset)),
  };
}

function decodeDnsReply(bytes: Buffer): DnsReplyRecord | null {
  const at = layout.dnsEvent;
  if (bytes.length < at.payload.offset) return null;
  const length = bytes.readUInt32LE(at.length.offset);
  if (at.payload.offset + length > bytes.length) return null;
  const { time, run, pid } = header(bytes);
  return {
    type: 'dns-reply',
    time,
    run,
    pid,
    server: address(bytes, at.address),
    protocol: bytes.readUInt8(at.protocol.offset),
    payload: Uint8Array.from(bytes.subarray(at.payload.offset, at.payload.offset + length)),
  };
}

function decodeExec(bytes: Buffer): ExecRecord | null {
  const at = layout.execEvent;
  if (bytes.length < at.argv.offset) return null;
  const { time, pid, uid } = header(bytes);
  const length = Math.min(bytes.readUInt32LE(at.argvLength.offset), bytes.length - at.argv.offset);
  const argv = bytes.toString('utf8', at.argv.offset, at.argv.offset + length);
  return {
    type: 'exec',
    time,
    pid,
    uid: uid ?? 0,
    parent: bytes.readUInt32LE(at.parent.offset),
    comm: text(bytes, at.comm),
    exe: text(bytes, at.exe),
    argv: argv.replace(/\0$/, '').split('\0'),
    truncated: bytes.readUInt32LE(at.truncated.offset) !== 0,
  };
}

function decodeProcess(bytes: Buffer): ForkRecord | ExitRecord | EscapeRecord | null {
  const at = layout.processEvent;
  if (bytes.length < at.size) return null;
  const { time, run, pid, uid } = header(bytes);
  const child = bytes.readUInt32LE(at.child.offset);
  const kind = bytes.readUInt32LE(layout.eventHeader.kind.offset);
  if (kind === layout.eventKind.EVENT_EXIT) return { type: 'exit', time, pid: child };
  if (kind === layout.eventKind.EVENT_ESCAPE)
    return {
      type: 'escape',
      time,
      run,
      pid: child,
      by: pid,
      cgroup: bytes.readBigUInt64LE(at.cgroup.offset),
    };
  const parent = bytes.readUInt32LE(at.parent.offset);
  return { type: 'fork', time, pid: child, parent, uid: uid ?? 0, comm: text(bytes, at.comm) };
}
