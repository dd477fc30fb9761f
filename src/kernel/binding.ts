import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

declare const kind: unique symbol;
/** A native resource. Closing is idempotent; use after it throws EBADF; the collector closes what was forgotten. */
interface Handle<K extends string> {
  readonly [kind]: K;
}
export type BpfObject = Handle<'object'>;
export type BpfMap = Handle<'map'>;
export type BpfLink = Handle<'link'>;
export type BpfRing = Handle<'ring'>;
export type DatagramSet = Handle<'datagrams'>;

/** What every function of the addon throws. Misuse (a wrong type, a handle of another kind) is a TypeError with EINVAL. */
export interface NativeError extends Error {
  /** As `EPERM`. */
  readonly code: string;
  /** Positive. */
  readonly errno: number;
  /** The function of the addon that failed. */
  readonly syscall: string;
}

/** objectLoad: `program` and `log` (the verifier's, in full) are null when no program is to blame. */
export interface LoadError extends NativeError {
  readonly program: string | null;
  readonly log: string | null;
}

/** mapUpdateBatch, mapDeleteBatch: entries that went through before the failing one. */
export interface BatchError extends NativeError {
  readonly done: number;
}

/** spawn: how far the child came. It is reaped. */
export interface SpawnError extends NativeError {
  readonly stage: 'clone' | 'cgroup' | 'chdir' | 'exec';
}

export interface MapInfo {
  /** At most 15 bytes, as the kernel keeps it. */
  readonly name: string;
  readonly id: number;
  /** BPF_MAP_TYPE_*. */
  readonly type: number;
  readonly keySize: number;
  /** Of one value; a per-CPU map holds one for each possible CPU, each rounded up to 8 bytes. */
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
}

/** Text, or its bytes where they need not be UTF-8. A NUL is refused. */
export type Text = string | Uint8Array;

export interface SpawnOptions {
  /** A resolved path: PATH is not searched. */
  readonly file: Text;
  /** With argv[0]. */
  readonly args: readonly Text[];
  /** What /bin/sh is given where the kernel says that the file is no program (ENOEXEC), as execvp(3) has it. */
  readonly scriptArgs?: readonly Text[] | null;
  readonly env: readonly Text[];
  readonly cwd: Text | null;
  /** An open cgroup2 directory the child starts in; -1: the caller's. */
  readonly cgroupFd: number;
  /** Bit n - 1: signal n stays ignored, as in SigIgn of /proc/self/status. All others are at their default. */
  readonly ignoredSignals: bigint | number;
  /** Soft RLIMIT_NOFILE, at most the hard one; -1 keeps it. */
  readonly nofileSoft: number;
  /** What the command keeps, under the same numbers. Node marks all it inherits itself to be closed, 0 to 2 too. */
  readonly fds: readonly number[];
}

/** A child that has executed nothing yet. The descriptors are spawnRelease's or spawnAbandon's to close. */
export interface HeldChild {
  readonly pid: number;
  /** The caller's to close. */
  readonly pidfd: number;
  readonly holdFd: number;
  readonly reportFd: number;
}

export interface ChildState {
  readonly state: 'exited' | 'signaled' | 'stopped' | 'continued';
  /** The exit status, or the signal. */
  readonly value: number;
}

export interface Endpoint {
  /** 4 or 16 bytes, network order. */
  readonly address: Buffer;
  readonly port: number;
}

export interface SocketInfo {
  /** AF_*, SOCK_*, IPPROTO_*. */
  readonly domain: number;
  readonly type: number;
  readonly protocol: number;
  readonly listening: boolean;
  /** Null for families without ports, and a peer that is not there. */
  readonly local: Endpoint | null;
  readonly peer: Endpoint | null;
}

export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  /** Supplementary. */
  readonly groups: readonly number[];
}

export interface SocketKey {
  /** 6 or 17. */
  readonly protocol: number;
  /** AF_INET (2) or AF_INET6 (10): that of the socket. */
  readonly family: number;
  readonly source: Uint8Array;
  readonly sourcePort: number;
  readonly destination: Uint8Array;
  readonly destinationPort: number;
  /** SO_COOKIE, so that no later socket of the same addresses is meant; null: any. */
  readonly cookie: bigint | null;
}

export interface TestRunOptions {
  readonly dataIn?: Uint8Array | null;
  readonly ctxIn?: Uint8Array | null;
  /** 1 to 1,000,000. */
  readonly repeat?: number;
}

/** A program on a cgroup. */
export interface AttachedProgram {
  readonly id: number;
  /** At most 15 bytes. */
  readonly name: string;
}

/** The addon (native/), one function of it a method; all throw NativeError. All but objectLoad are synchronous. */
export interface Binding {
  objectOpen(path: Text): BpfObject;
  /** Before objectLoad, as all objectSet… and objectReuseMap (EBUSY after). `section` is `.rodata`, `.data` or `.bss`. */
  objectSetGlobals(object: BpfObject, section: string, value: Uint8Array, offset: number): void;
  objectSetAutoload(object: BpfObject, program: string, autoload: boolean): void;
  objectSetMaxEntries(object: BpfObject, map: string, entries: number): void;
  /** EINVAL when type, key, value or flags of the pinned map differ; its max entries are taken over. */
  objectReuseMap(object: BpfObject, map: string, pinnedPath: Text): void;
  /**
   * On another thread: the verifier takes its time. Rejects with LoadError. An object can be loaded once, whether that
   * succeeds or not, and is not to be touched meanwhile (EBUSY).
   */
  objectLoad(object: BpfObject): Promise<void>;
  objectPrograms(object: BpfObject): { name: string; section: string }[];
  /** Maps, links and rings opened from it live on. */
  objectClose(object: BpfObject): void;

  mapOpen(object: BpfObject, name: string): BpfMap;
  mapOpenPinned(path: Text): BpfMap;
  mapPin(map: BpfMap, path: Text): void;
  mapInfo(map: BpfMap): MapInfo;
  /** Null: no such key. Of a per-CPU map: all values, each rounded up to 8 bytes. */
  mapLookup(map: BpfMap, key: Uint8Array): Buffer | null;
  /** As mapLookup, and removes the entry in the same step: nothing a program writes to it falls between. */
  mapTake(map: BpfMap, key: Uint8Array): Buffer | null;
  /** `flags`: BPF_ANY 0 (default), BPF_NOEXIST 1, BPF_EXIST 2. */
  mapUpdate(map: BpfMap, key: Uint8Array, value: Uint8Array, flags?: number): void;
  /** False: no such key. */
  mapDelete(map: BpfMap, key: Uint8Array): boolean;
  /** Throws BatchError. */
  mapUpdateBatch(map: BpfMap, keys: Uint8Array, values: Uint8Array, count: number): void;
  /** Missing keys are passed over. Throws BatchError. */
  mapDeleteBatch(map: BpfMap, keys: Uint8Array, count: number): void;
  /** Keys one after another, from the first or past `after`; while others delete, one may come twice or be missed. */
  mapKeys(map: BpfMap, max: number, after?: Uint8Array | null): Buffer;
  /** The memory of a BPF_F_MMAPABLE array, each value rounded up to 8 bytes; mapped until collected. */
  mapMmap(map: BpfMap): ArrayBuffer;
  mapClose(map: BpfMap): void;

  linkAttachCgroup(object: BpfObject, program: string, cgroupFd: number): BpfLink;
  /**
   * Tracepoints, raw and BTF tracepoints, fentry, LSM and iterators, by the program's section. `over`: the
   * map an iterator walks.
   */
  linkAttach(object: BpfObject, program: string, over?: BpfMap): BpfLink;
  /**
   * Runs an iterator once, from its first element to its last; gives what it wrote. E2BIG: more than
   * `maxBytes`.
   */
  linkRead(link: BpfLink, maxBytes: number): Buffer;
  linkPin(link: BpfLink, path: Text): void;
  linkOpenPinned(path: Text): BpfLink;
  /** False: the program was taken off by force, or its cgroup is gone. */
  linkAttached(link: BpfLink): boolean;
  linkUpdate(link: BpfLink, object: BpfObject, program: string): void;
  /** Detaches the program, unless the link is pinned or open elsewhere. */
  linkClose(link: BpfLink): void;
  programPin(object: BpfObject, program: string, path: Text): void;
  /** To a sockhash, for every socket in it; for as long as the map lives. */
  programAttachMap(object: BpfObject, program: string, map: BpfMap): void;
  /** `retval` is unsigned; `dataOut` is empty without dataIn. */
  programRunTest(
    object: BpfObject,
    program: string,
    options: TestRunOptions,
  ): { retval: number; durationNs: number; dataOut: Buffer };

  /** One ring for a map: each record is consumed once. */
  ringOpen(map: BpfMap): BpfRing;
  /**
   * Records, in order, to be read with ringRecords. Stops after the record that reaches `maxBytes` (or the
   * ring's size). Empty: nothing there.
   */
  ringConsume(ring: BpfRing, maxBytes: number): Buffer;
  /** As ringConsume, but the kernel keeps the records until ringCommit: another process that opens the ring has them too. */
  ringLook(ring: BpfRing, maxBytes: number): Buffer;
  ringCommit(ring: BpfRing): void;
  /** After the last record that was looked at; it grows for as long as the map lives. */
  ringPosition(ring: BpfRing): bigint;
  /** Goes on from a position that ringPosition gave, here or in an earlier process; one that is behind changes nothing. */
  ringSkip(ring: BpfRing, position: bigint): void;
  /** Calls back on the loop while records wait: consume in it. Keeps the process alive until ringUnref. EALREADY when watched. */
  ringWatch(ring: BpfRing, callback: () => void): void;
  ringUnwatch(ring: BpfRing): void;
  ringRef(ring: BpfRing): void;
  ringUnref(ring: BpfRing): void;
  ringClose(ring: BpfRing): void;

  /** Returns once execve has succeeded; throws SpawnError. The pidfd is the caller's to close. */
  spawn(options: SpawnOptions): { pid: number; pidfd: number };
  /**
   * A child that waits to be put into its cgroup, with all signals blocked, and ends when this process does: it
   * executes nothing before spawnRelease.
   */
  spawnHeld(options: SpawnOptions): HeldChild;
  /** As spawn's end: returns once execve has succeeded, throws SpawnError. Once, as spawnAbandon. */
  spawnRelease(child: HeldChild): void;
  /** Ends the child and reaps it. Its pidfd stays the caller's. */
  spawnAbandon(child: HeldChild): void;
  /** Null: nothing new. Exited children are reaped. ECHILD: no such child. */
  waitChild(pid: number): ChildState | null;
  /** Calls back once, when the process has exited; keeps the loop alive until then. */
  pidfdWatch(pidfd: number, callback: () => void): void;
  pidfdSendSignal(pidfd: number, signal: number): void;
  closeFd(fd: number): void;

  /** One watch at a time (EALREADY). `code` is si_code: 0x80 from the kernel (a terminal), 0 from kill(2). Does not keep the loop alive. */
  signalWatch(
    signals: readonly number[],
    callback: (signal: number, code: number, pid: number, uid: number) => void,
  ): void;
  /** Calls back for all that was caught so far, before it returns. */
  signalRead(): void;
  /** Puts the dispositions back as they were. */
  signalUnwatch(): void;
  signalIgnore(signal: number): void;
  /** kill(2) to this process. */
  raiseSignal(signal: number): void;

  /** Null: not a socket, or not open. */
  socketInfo(fd: number): SocketInfo | null;
  /** Of another process's descriptor (pidfd_getfd); null: it is no socket, or not there any more. */
  socketInfoIn(pid: number, fd: number): SocketInfo | null;
  /** Of a connected UNIX socket, as it was when the peer connected; ENOTCONN for others. */
  peerCredentials(fd: number): PeerCredentials;
  /** The caller's to close. Null before Linux 6.5. An error when the peer is gone. */
  peerPidfd(fd: number): number | null;
  /** One datagram (sd_notify, the journal's) to a path, or `@` and an abstract name; EAGAIN when nobody reads them. */
  tellSystemd(socket: Text, text: Text): void;
  /** SOCK_DESTROY in this network namespace; false: no such socket. Never a TCP listener. */
  socketDestroy(socket: SocketKey): boolean;
  /** SO_NETNS_COOKIE of this network namespace. */
  netnsCookie(): bigint;

  datagramsOpen(): DatagramSet;
  /** A numeric address, in IPv6 with a zone if need be; `receiveBytes` may be past net.core.rmem_max. ENFILE: 1024 sockets. */
  datagramsBind(
    set: DatagramSet,
    address: string,
    port: number,
    receiveBytes: number,
  ): { socket: number; port: number };
  /** Takes over the descriptor of a bound UDP socket, which is closed with the set. EINVAL: it is none. */
  datagramsAdopt(set: DatagramSet, fd: number, receiveBytes: number): { socket: number; port: number };
  datagramsConnect(set: DatagramSet, address: string, port: number, receiveBytes: number): number;
  /** False: no such socket. */
  datagramsRemove(set: DatagramSet, socket: number): boolean;
  /** Messages the kernel dropped because its buffer was full. */
  datagramsDropped(set: DatagramSet, socket: number): number;
  /** Records (struct record of native/datagram.h), at most 64; those of a socket in order. Empty: nothing there. */
  datagramsReceive(set: DatagramSet): Buffer;
  /** Sends records of the same form. Null: all went; or for each that did not, its socket and errno, u32le each. */
  datagramsSend(set: DatagramSet, batch: Uint8Array): Buffer | null;
  /** As ringWatch. */
  datagramsWatch(set: DatagramSet, callback: () => void): void;
  datagramsClose(set: DatagramSet): void;

  /** Gives back pages of Node's own file, which are read anew when they are used, and free memory of malloc(3). */
  releaseMemory(): void;
  /** Nanoseconds, read back to back. */
  clocks(): { monotonic: bigint; realtime: bigint; boottime: bigint };
  mountFs(source: Text, target: Text, type: 'bpf' | 'tracefs'): void;
  /** flock(2). False: another holds it. */
  fileLock(fd: number, exclusive: boolean, wait?: boolean): boolean;
  /** Whether /sys/kernel/btf/vmlinux can be read. */
  kernelBtf(): boolean;
  /** The effective set: bit n is capability n. */
  capabilities(): bigint;
  libbpfVersion(): string;
  /** `attachType`: BPF_CGROUP_*. `flags`: BPF_F_ALLOW_*; the first 64 programs, an unknown name is empty. */
  cgroupPrograms(cgroupFd: number, attachType: number): { flags: number; programs: AttachedProgram[] };
  /** Nanoseconds, u32le, of `count` (to 4096) times socket, connect to 127.0.0.1 and close; who listens need not accept. */
  connectTimes(port: number, count: number): Buffer;
}

/** What build/acyclic-process.node has of it, which needs no libbpf. */
export type ProcessBinding = Pick<
  Binding,
  | 'spawn'
  | 'spawnHeld'
  | 'spawnRelease'
  | 'spawnAbandon'
  | 'waitChild'
  | 'pidfdWatch'
  | 'pidfdSendSignal'
  | 'closeFd'
  | 'signalWatch'
  | 'signalRead'
  | 'signalUnwatch'
  | 'signalIgnore'
  | 'raiseSignal'
  | 'socketInfo'
>;

/** The addon cannot be loaded; the message says what to do. */
export class BindingError extends Error {
  override readonly name = 'BindingError';
  readonly code: 'ADDON_MISSING' | 'LIBBPF_MISSING' | 'ADDON_UNUSABLE';

  constructor(code: BindingError['code'], message: string, cause: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

function explain(path: string, cause: unknown): BindingError {
  const text = cause instanceof Error ? (cause.message.split('\n', 1)[0] ?? '') : String(cause);
  const code = cause instanceof Error && 'code' in cause ? cause.code : null;
  if (text.includes('libbpf.so.1')) {
    return new BindingError(
      'LIBBPF_MISSING',
      `libbpf.so.1 is missing: apt-get install libbpf1 (${text})`,
      cause,
    );
  }
  if (code === 'MODULE_NOT_FOUND' || text.includes('No such file')) {
    return new BindingError('ADDON_MISSING', `the native addon is missing at ${path}: run make build`, cause);
  }
  return new BindingError(
    'ADDON_UNUSABLE',
    `the native addon cannot be loaded: ${text}: run make build`,
    cause,
  );
}

/** Loads the addon of a file; Node loads each file once. Throws BindingError. */
export function loadBinding(url: URL = new URL('../../build/acyclic.node', import.meta.url)): Binding {
  const path = fileURLToPath(url);
  try {
    return createRequire(import.meta.url)(path) as Binding;
  } catch (error) {
    throw explain(path, error);
  }
}

/** As loadBinding, of the part that needs no libbpf. */
export function loadProcessBinding(): ProcessBinding {
  return loadBinding(new URL('../../build/acyclic-process.node', import.meta.url));
}

const RECORD_HEADER = 8;

/**
 * The payloads in a Buffer of ringConsume, as views of it: each record is a u32le length, four zero bytes, and
 * the payload padded to 8 bytes, so that every payload starts on a multiple of 8.
 */
export function* ringRecords(buffer: Buffer): Generator<Buffer> {
  let offset = 0;
  while (offset + RECORD_HEADER <= buffer.length) {
    const length = buffer.readUInt32LE(offset);
    const start = offset + RECORD_HEADER;
    if (start + length > buffer.length)
      throw new RangeError(`record of ${length} bytes runs past its buffer`);
    yield buffer.subarray(start, start + length);
    offset = start + Math.ceil(length / 8) * 8;
  }
}
