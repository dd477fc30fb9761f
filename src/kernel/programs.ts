import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Mode } from '../model/verdict.ts';
import type { BpfLink, BpfMap, BpfObject } from './binding.ts';
import { type Cgroup, withCgroupFd } from './cgroup.ts';
import { SetupFailure } from './failure.ts';
import { describeForeign, type ForeignProgram, foreignPrograms } from './foreign-programs.ts';
import { ensureTracefs } from './mounts.ts';
import { native } from './native.ts';
import {
  bringPin,
  EnginePins,
  isPinned,
  makePinDirectory,
  pinDirectory,
  removeLeftPins,
  removeOlderEngines,
  removePins,
} from './pins.ts';

const OBJECT_PATH = fileURLToPath(new URL('../../build/acyclic.bpf.o', import.meta.url));

/** Programs on the cgroup, and when each is needed: nothing is attached that has nothing to do. */
const CGROUP_PROGRAMS: readonly { name: string; modes: readonly Mode[] }[] = [
  { name: 'sock_create', modes: ['enforce', 'audit'] },
  { name: 'sock_release', modes: ['enforce', 'audit'] },
  { name: 'connect4', modes: ['enforce', 'audit'] },
  { name: 'connect6', modes: ['enforce', 'audit'] },
  { name: 'sendmsg4', modes: ['enforce', 'audit'] },
  { name: 'sendmsg6', modes: ['enforce', 'audit'] },
  { name: 'recvmsg4', modes: ['enforce', 'audit'] },
  { name: 'recvmsg6', modes: ['enforce', 'audit'] },
  { name: 'getpeername4', modes: ['enforce'] },
  { name: 'getpeername6', modes: ['enforce'] },
  { name: 'egress', modes: ['enforce', 'audit'] },
  { name: 'established', modes: ['enforce'] },
  { name: 'ingress', modes: ['audit'] },
];

/** Refuses UNIX sockets in the map `closed_sockets`; in the kernel where `hasUnixConnect` says so. */
const CLOSING_PROGRAM = { name: 'connect_unix', modes: ['enforce'] } as const;

/** Reads what sockets in this map send; `established` puts them there. */
const MESSAGE_PROGRAM = { name: 'message', map: 'opening_sockets', mode: 'enforce' } as const;

/**
 * Of a run that is taken over from an engine of another layout this one stays beside the new: what was connected then and
 * has said nothing yet is read by the old programs.
 */
const STAYING_PROGRAM = 'established';

/**
 * These first, one right after the other: a connection that one of them judged by the old maps and another by the new
 * ones has first bytes that nobody reads, and is cut.
 */
const CONNECTING_PROGRAMS: readonly string[] = [STAYING_PROGRAM, 'egress', 'connect4', 'connect6'];

/** Programs on the kernel's tracepoints: a run's processes, and what became of its connections. */
const TRACE_PROGRAMS = ['process_fork', 'process_exec', 'process_exit', 'process_move', 'outcome'] as const;

/** Programs on system calls, which every process of the host pays for while they are attached. */
const SYSCALL_PROGRAMS = ['connect', 'sendto', 'sendmsg', 'sendmmsg', 'socket'].flatMap(
  (call) => [`enter_${call}`, `exit_${call}`] as const,
);

/** What an engine that outlives its process keeps of records it has read; others need none. */
const JOURNAL = 'journal';
const JOURNAL_PAGES = 4096;

/** 2 million connections. */
const MAX_WALK_BYTES = 64 << 20;

/** Loaded programs and their maps, for any number of runs. */
export interface Programs {
  /** What runs can be in. */
  readonly modes: readonly Mode[];
  /** Whether they can close UNIX sockets. */
  readonly closes: boolean;
  map(name: string): BpfMap;
  /**
   * Walks the sockets of runs now: a `struct connection` (bpf/event.h) for each address one is connected to.
   */
  walkConnections(): Buffer;
  /** Attaches the programs on tracepoints of the scheduler and of sockets. */
  watch(): void;
  /** Attaches the programs on system calls, pinned. False: this host has no tracefs for them. */
  watchSyscalls(pinName: string): boolean;
  /** Takes those off again. Twice is no error. */
  unwatchSyscalls(): void;
  /** The maps are those of an earlier engine, with what it had in them. */
  readonly adopted: boolean;
  /**
   * Attaches what runs of these modes need to a cgroup and pins the links, so that they outlive this process. What is
   * pinned under the name already, by whichever version, is taken over: it decides by these programs from then on,
   * without a gap.
   */
  attach(cgroup: Cgroup, pinName: string, needs: Needs): AttachedPrograms;
  /** All that an earlier engine had attached was taken over: a later one of this build need not replace it. */
  settle(): void;
  /** Whether every program on a tracepoint is still attached. */
  intact(): boolean;
  /** Takes all programs off, and their pins away, and unloads. Where maps are pinned, all goes on as it is. */
  close(): void;
}

/** What programs on a cgroup are for. */
export interface Needs {
  readonly modes: readonly Mode[];
  /** Whether UNIX sockets are closed to the run. */
  readonly closes: boolean;
}

/** Programs on one cgroup. */
export interface AttachedPrograms {
  /** Whether every program is still where it was put. */
  intact(): boolean;
  /** Takes the programs off the cgroup, and their pins away. Twice is no error. */
  detach(): void;
  /** Lets them go on without this process. */
  leave(): void;
}

/**
 * Loads the object, on another thread, with what runs of these modes need. `closes`: with the program that closes UNIX
 * sockets, which not every kernel takes. `pinned`: maps and links outlive this process, and are those of an earlier one
 * where it left any; there is one such engine on a host. `journalPages`: for tests that cannot fill the product's. Rejects with SetupFailure `no-object` or
 * `load-refused` with the verifier's cause.
 */
export async function loadPrograms(
  modes: readonly Mode[],
  { syscalls = false, closes = false, pinned = false, journalPages = JOURNAL_PAGES } = {},
): Promise<Programs> {
  if (!existsSync(OBJECT_PATH))
    throw new SetupFailure('no-object', `the eBPF object ${OBJECT_PATH} is missing`, 'build it: make build');
  const wanted = wantedBy({ modes, closes });
  const reads = modes.includes(MESSAGE_PROGRAM.mode);
  const pins = pinned ? new EnginePins(OBJECT_PATH) : null;
  const names = [
    ...wanted.map(({ name }) => name),
    ...(reads ? [MESSAGE_PROGRAM.name] : []),
    ...(syscalls ? SYSCALL_PROGRAMS : []),
  ];
  const object = await load(names, pins, pinned ? journalPages : 1);
  const maps = new Map<string, BpfMap>();
  const openMap = (name: string) => {
    const map = maps.get(name) ?? native().mapOpen(object, name);
    maps.set(name, map);
    return map;
  };
  const links: BpfLink[] = [];
  const onSyscalls: BpfLink[] = [];
  const onSyscallsPinned: string[] = [];
  const attachments = new Set<AttachedPrograms>();
  try {
    pins?.keep(openMap);
    if (reads) attachMessage(object, openMap(MESSAGE_PROGRAM.map));
  } catch (error) {
    native().objectClose(object);
    throw error;
  }
  const walk = attachWalk(object, openMap('sockets'));
  const unwatchSyscalls = () => {
    // Closed first, so that unpinning is what detaches them: then the kernel waits for its grace period by itself.
    for (const link of onSyscalls.splice(0)) native().linkClose(link);
    for (const directory of onSyscallsPinned.splice(0)) removePins(directory);
    pins?.drop('syscalls');
  };
  return {
    modes,
    closes,
    adopted: pins?.adopted ?? false,
    map: openMap,
    walkConnections: () => native().linkRead(walk, MAX_WALK_BYTES),
    watch() {
      const attach = (name: string) => attachTrace(object, name);
      links.push(...(pins?.links('trace', TRACE_PROGRAMS, attach) ?? TRACE_PROGRAMS.map(attach)));
    },
    watchSyscalls(pinName) {
      if (!ensureTracefs()) return false;
      const attach = (name: string) => attachTrace(object, name);
      if (pins) {
        onSyscalls.push(...pins.links('syscalls', SYSCALL_PROGRAMS, attach));
        return true;
      }
      const directory = makePinDirectory(pinDirectory(pinName));
      onSyscallsPinned.push(directory);
      for (const name of SYSCALL_PROGRAMS) {
        const link = attachTrace(object, name);
        onSyscalls.push(link);
        native().linkPin(link, join(directory, name));
      }
      return true;
    },
    unwatchSyscalls,
    attach(cgroup, pinName, needs) {
      const names = wantedBy(needs);
      const attached = attachPinned(object, cgroup, {
        ...{ pinName, names: names.map(({ name }) => name) },
        adopts: pins !== null,
      });
      attachments.add(attached);
      return {
        intact: attached.intact,
        detach() {
          attachments.delete(attached);
          attached.detach();
        },
        leave() {
          attachments.delete(attached);
          attached.leave();
        },
      };
    },
    settle() {
      pins?.settle();
      if (pins) removeOlderEngines();
    },
    intact: () => links.every((link) => native().linkAttached(link)),
    close() {
      if (pins) for (const link of onSyscalls.splice(0)) native().linkClose(link);
      else unwatchSyscalls();
      for (const attachment of attachments) {
        if (pins) attachment.leave();
        else attachment.detach();
      }
      for (const link of [...links.splice(0), walk]) native().linkClose(link);
      for (const map of maps.values()) native().mapClose(map);
      native().objectClose(object);
    },
  };
}

function wantedBy({ modes, closes }: Needs): { readonly name: string }[] {
  const known = closes ? [...CGROUP_PROGRAMS, CLOSING_PROGRAM] : CGROUP_PROGRAMS;
  return known.filter((program) => program.modes.some((mode) => modes.includes(mode)));
}

function attachPinned(
  object: BpfObject,
  cgroup: Cgroup,
  { pinName, names, adopts }: { pinName: string; names: readonly string[]; adopts: boolean },
): AttachedPrograms {
  const isTakenOver = adopts && isPinned(pinName);
  const pins = makePinDirectory(pinDirectory(pinName));
  const links: BpfLink[] = [];
  const leave = () => {
    for (const link of links.splice(0)) native().linkClose(link);
  };
  const detach = () => {
    if (adopts) removeLeftPins(pinName);
    else removePins(pins);
    // The last attached first: packets are let go before calls, so that none is judged by half a guard.
    for (const link of links.splice(0).reverse()) native().linkClose(link);
  };
  try {
    for (const name of isTakenOver ? connectingFirst(names) : names) {
      const pin = join(pins, name);
      if (adopts && (existsSync(pin) || (name !== STAYING_PROGRAM && bringPin(pinName, name)))) {
        const link = native().linkOpenPinned(pin);
        links.push(link);
        native().linkUpdate(link, object, name);
        continue;
      }
      const link = attachCgroup(object, name, cgroup);
      links.push(link);
      native().linkPin(link, pin);
    }
  } catch (error) {
    // In place of each that could not be taken over the one before is still there: what was guarded stays so.
    if (isTakenOver) leave();
    else detach();
    throw error;
  }
  return { intact: () => links.every((link) => native().linkAttached(link)), detach, leave };
}

function connectingFirst(names: readonly string[]): string[] {
  const isConnecting = (name: string) => CONNECTING_PROGRAMS.includes(name);
  return [
    ...CONNECTING_PROGRAMS.filter((name) => names.includes(name)),
    ...names.filter((name) => !isConnecting(name)),
  ];
}

async function load(
  wanted: readonly string[],
  pins: EnginePins | null,
  journalPages: number,
): Promise<BpfObject> {
  const object = native().objectOpen(OBJECT_PATH);
  try {
    const optional = [...CGROUP_PROGRAMS, CLOSING_PROGRAM, MESSAGE_PROGRAM].map(({ name }) => name);
    for (const name of [...optional, ...SYSCALL_PROGRAMS])
      if (!wanted.includes(name)) native().objectSetAutoload(object, name, false);
    native().objectSetMaxEntries(object, JOURNAL, journalPages);
    pins?.reuse(object);
    await native().objectLoad(object);
    return object;
  } catch (error) {
    native().objectClose(object);
    throw new SetupFailure(
      'load-refused',
      `the kernel refused the eBPF programs: ${(error as Error).message}`,
      'run acyclic doctor to see what this kernel lacks (6.1 or newer with BTF is needed)',
      { cause: error },
    );
  }
}

function attachCgroup(object: BpfObject, name: string, cgroup: Cgroup): BpfLink {
  try {
    return withCgroupFd(cgroup, (fd) => native().linkAttachCgroup(object, name, fd));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT')
      throw new SetupFailure(
        'attach-refused',
        `cannot attach to ${cgroup.path}: it was removed meanwhile`,
        'try again when what is meant runs',
        { cause: error },
      );
    // On one and the same cgroup none of another kind is let in beside it, whatever it allows below.
    const forbids = ({ effect, cgroup: on }: ForeignProgram) => effect === 'forbids' || on === cgroup.path;
    const foreign = code === 'EPERM' ? foreignPrograms(cgroup, name).find(forbids) : undefined;
    throw new SetupFailure(
      'attach-refused',
      foreign
        ? `cannot attach ${name} to ${cgroup.path}: ${describeForeign(foreign)} forbids others ${foreign.cgroup === cgroup.path ? 'there' : 'below it'}`
        : `cannot attach ${name} to ${cgroup.path}: ${message}`,
      foreign
        ? 'have its owner attach it with BPF_F_ALLOW_MULTI, or run acyclic in a cgroup that is not below it'
        : 'run acyclic doctor to see what this kernel lacks',
      { cause: error },
    );
  }
}

function attachMessage(object: BpfObject, map: BpfMap): void {
  try {
    native().programAttachMap(object, MESSAGE_PROGRAM.name, map);
  } catch (error) {
    throw new SetupFailure(
      'attach-refused',
      `cannot attach ${MESSAGE_PROGRAM.name} to the map of connections: ${(error as Error).message}`,
      'run acyclic doctor to see what this kernel lacks',
      { cause: error },
    );
  }
}

function attachWalk(object: BpfObject, sockets: BpfMap): BpfLink {
  try {
    return attachTrace(object, 'connections', sockets);
  } catch (error) {
    native().objectClose(object);
    throw error;
  }
}

function attachTrace(object: BpfObject, name: string, over?: BpfMap): BpfLink {
  try {
    return native().linkAttach(object, name, over);
  } catch (error) {
    throw new SetupFailure(
      'attach-refused',
      `cannot attach ${name}: ${(error as Error).message}`,
      'run acyclic doctor to see what this kernel lacks',
      { cause: error },
    );
  }
}
