import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { createMask, type Mask } from '../audit/mask.ts';
import { type Proxy as DnsProxy, startProxy } from '../dns/proxy.ts';
import { parseResolvConf } from '../dns/resolv.ts';
import { type Cgroup, createCgroup, isThere, ownCgroup, processesIn } from '../kernel/cgroup.ts';
import { ClientTable } from '../kernel/clients.ts';
import { readConnections } from '../kernel/connections.ts';
import { openDatagrams } from '../kernel/datagrams.ts';
import { SetupFailure } from '../kernel/failure.ts';
import { readLosses } from '../kernel/losses.ts';
import { native } from '../kernel/native.ts';
import { preflight } from '../kernel/preflight.ts';
import { loadPrograms, type Programs } from '../kernel/programs.ts';
import type { AttemptRecord, KernelRecord } from '../kernel/records.ts';
import { RecordStream } from '../kernel/stream.ts';
import { Tables } from '../kernel/tables.ts';
import { EngineWords } from '../kernel/words.ts';
import { type Address, addressBytes } from '../model/address.ts';
import type { LeftProcess } from '../model/summary.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { addressTable, segmentsOfPrefix } from '../policy/flatten.ts';
import { nameTable } from '../policy/flatten-names.ts';
import { LookupCache } from '../policy/lookup-cache.ts';
import { AliasTable } from './alias-table.ts';
import { mentions, readHabits } from './asker.ts';
import { type Attachment, Residents } from './attachment.ts';
import { Calls } from './calls.ts';
import { Clock } from './clock.ts';
import { Dependencies } from './dependency.ts';
import { eventIds } from './event-ids.ts';
import { FactTable } from './fact-table.ts';
import { Facts } from './facts.ts';
import { parseHosts } from './hosts-file.ts';
import { keepLapsing } from './lapsing.ts';
import { LEASE_SETTINGS, type LeaseSettings } from './lease-settings.ts';
import { kill, release, removeWhenEmpty } from './leftover.ts';
import { Listeners } from './listeners.ts';
import { LookupBook } from './lookup-book.ts';
import { lookupLosses, proxyHooks, readReply } from './lookups.ts';
import type { GivenCommand } from './naming.ts';
import { outsideResolver } from './outside-resolver.ts';
import { ProcessTable } from './processes.ts';
import { type Recorded, Recorder, type StagedRun } from './recorder.ts';
import { identify, type RunEntry, removeEntry, writeEntry } from './registry.ts';
import { UndoList } from './undo.ts';

/** One guarded run, from the outside. */
export interface SessionOptions {
  /** ULID. */
  readonly id: string;
  readonly host: string;
  readonly deployment: string | null;
  readonly policy: CompiledPolicy;
  /** Compiled as from another network namespace, where this host's addresses are not the socket's own. */
  readonly policyElsewhere: CompiledPolicy;
  readonly policyId: string | null;
  /** Evaluated beside the policy, and recorded. */
  readonly staged: StagedRun | null;
  readonly leftover: 'release' | 'kill';
  /** An existing cgroup, which is left as it is; without, the run has one of its own. */
  readonly attach?: Attachment;
  /** What is going to run, so that what it names can be read before; without, that is not known. */
  readonly command?: GivenCommand;
  /** Takes secrets out of command lines and names; without, those that are known by themselves. */
  readonly mask?: Mask;
  /** Whether to watch how system calls return, at a small cost to every process of the host. */
  readonly syscalls: boolean;
  /** Default: the product's. Others are for tests, which cannot wait for a minute. */
  readonly leases?: LeaseSettings;
  /** What is to be told at once: denied calls before they return, denied lookups before their answer leaves. */
  readonly onDenied: (recorded: Recorded) => void;
  /** Every event, when it is over; of a lookup, when its resolver is done. */
  readonly onEvent: (recorded: Recorded) => void;
  /** Part of what was asked for cannot be watched here. */
  readonly onUnwatched: (what: string) => void;
  /** The programs were taken off by somebody else: what the run calls from now on is not guarded. */
  readonly onLost: () => void;
}

/** A guard in place. The command is started in `cgroup`, and `finish` ends it all. */
export interface Session {
  readonly cgroup: Cgroup;
  /** Puts the command on file, so that a killed engine's remains can be told from a run in progress. */
  commandStarted(pid: number): void;
  /** Reads what is still to be read, deals with what the command left, and takes the guard away. */
  finish(): Promise<Finished>;
}

export interface Finished {
  readonly leftover: readonly LeftProcess[];
  /** Events lost, by cause. */
  readonly lost: Readonly<Record<string, number>>;
  /** Somebody took the programs off while the run went on. */
  readonly guardLost: boolean;
  /** What could not be taken away, by name. */
  readonly failures: readonly string[];
}

/** Where the DNS proxy of runs listens. */
export const PROXY_ADDRESSES = ['127.86.0.1', '::1'] as const;
const HEARTBEAT_MS = 500;
/** A single policy is in force for the whole of an embedded run. */
const GENERATION = 1;
const RESOLV_CONF = '/etc/resolv.conf';
const HOSTS = '/etc/hosts';
const DNS_PORT = 53;
const SOCK_STREAM = 1;
const AF_INET = 2;
const AF_INET6 = 10;

/** Sets up the guard, all or nothing: what was done is undone when a step fails. Throws SetupFailure. */
export async function startSession(options: SessionOptions): Promise<Session> {
  const undo = new UndoList();
  try {
    return await setUp(options, undo);
  } catch (error) {
    await undo.run();
    throw error;
  }
}

async function setUp(options: SessionOptions, undo: UndoList): Promise<Session> {
  const { policy, id, attach, mask = createMask() } = options;
  preflight();
  if (policy.mode === 'enforce') await refuseOutsideResolver();
  const origin = ownCgroup();
  const entry = registerRun(options, origin);
  undo.add('run entry', () => removeEntry(id));
  const clock = new Clock(() => native().clocks());
  const processes = new ProcessTable(clock, mask);
  const dependencies = new Dependencies({ policy, processes, command: options.command ?? null });
  undo.add('dependencies', () => dependencies.close());
  const residents = attach && new Residents(attach.cgroup, processes, dependencies);
  const cgroup = attach?.cgroup ?? createCgroup(origin, `acyclic-${id}`);
  if (!attach)
    undo.add('cgroup', async () => {
      if (!(await removeWhenEmpty(cgroup.path))) throw new Error(`${cgroup.path} is still in use`);
    });
  const programs = loadPrograms([policy.mode], { syscalls: options.syscalls });
  undo.add('eBPF programs', () => programs.close());
  const words = new EngineWords(programs.map('engine'));
  words.setLevel(cgroup.level);
  words.setRun(cgroup.id);
  words.setNetns(native().netnsCookie());
  const tables = installPolicy(programs, options, cgroup.id);

  const { policyElsewhere, leases = LEASE_SETTINGS } = options;
  const facts = new Facts({
    table: new FactTable({ tables, policy, policyElsewhere, run: cgroup.id, generation: GENERATION }),
    aliases:
      policy.mode === 'enforce'
        ? new AliasTable({ tables, policy, run: cgroup.id, generation: GENERATION })
        : null,
    policy,
    run: cgroup.id,
    connections: () => readConnections(programs),
    settings: leases,
  });
  knowHosts(facts);
  undo.add(
    'leases',
    keepLapsing(() => facts.lapse(), leases.every),
  );
  const lookups = new LookupCache(policy, (address) => facts.chainsAt(address));
  const recorder = new Recorder({
    policy,
    policyElsewhere: options.policyElsewhere,
    staged: options.staged,
    clock,
    processes,
    facts,
    lookups,
    dependencies,
    common: {
      ...{ host: options.host, run: id, deployment: options.deployment, policy: options.policyId },
      ...(attach?.service == null ? {} : { attached: attach.service }),
    },
    nextId: eventIds(),
    mask,
  });
  const calls = new Calls({
    recorder,
    listeners: new Listeners({ cgroup: cgroup.path, own: policy.ownAddresses }),
    syscalls: options.syscalls,
    tell: options.onDenied,
    record: options.onEvent,
  });
  const stream = new RecordStream(
    { events: programs.map('events'), processes: programs.map('processes') },
    words,
    (record) => {
      if (residents?.admit(record) === false) return;
      const { onEvent } = options;
      dispatch(record, { words, processes, dependencies, facts, book, recorder, calls, onEvent });
    },
  );
  const book = new LookupBook({
    enforced: policy.mode === 'enforce',
    say: (names) => {
      const { answer, rule } = lookups.decide(names);
      return { denied: answer === 'deny', byRule: rule.kind !== 'default' };
    },
    habits: readHabits,
    mentions: ({ pid, time }, name) => mentions(processes.at(pid, time)?.argv ?? [], name),
    event: (lookup, names) => recorder.lookup(lookup, names),
    catchUp: () => stream.drainProcesses(),
    tell: options.onDenied,
    record: options.onEvent,
  });
  undo.add('lookups', () => book.close());
  undo.add('record stream', () => stream.close());

  const proxy =
    policy.mode === 'enforce'
      ? await startDns(options, {
          run: cgroup.id,
          lookups,
          clients: new ClientTable(programs.map('clients')),
          facts,
          book,
        })
      : null;
  if (proxy) {
    undo.add('DNS proxy', () => proxy.close());
    words.setProxy(proxy.port);
  }
  words.beat();
  let lost = false;
  let gone = false;
  const checkGuard = () => {
    if (attach && !gone && !isThere(cgroup)) {
      gone = true;
      attach.onGone();
    }
    if (lost || gone || programs.intact()) return;
    lost = true;
    options.onLost();
  };
  const heart = setInterval(() => {
    words.beat();
    clock.refresh();
    calls.flush();
    checkGuard();
  }, HEARTBEAT_MS);
  undo.add('heartbeat', () => clearInterval(heart));
  programs.attach(cgroup, id);
  residents?.adoptAll(cgroup.path);
  if (options.syscalls && !programs.attachSyscalls())
    options.onUnwatched(
      'how system calls return, and UNIX, packet and vsock sockets: tracefs cannot be mounted',
    );
  await dependencies.ready();

  return {
    cgroup,
    commandStarted(pid) {
      writeEntry({ ...entry, command: identify(pid) });
    },
    async finish() {
      checkGuard();
      stream.drainAll();
      const left = attach ? [] : processesIn(cgroup.path);
      const leftover = left.map((pid) => describeLeft(pid, mask));
      if (!attach && options.leftover === 'kill') await kill(cgroup.path);
      await lastOutcomes(stream, calls);
      book.close();
      calls.close();
      const losses = {
        ...lossesOf(programs, stream, recorder, facts),
        ...(proxy ? lookupLosses(proxy.counters) : {}),
      };
      // The guard goes before what it guards is let go: a released process is not half guarded.
      programs.detach();
      if (!attach)
        undo.add('leftover processes', async () => {
          await release(cgroup.path, origin.path);
        });
      return { leftover, lost: losses, guardLost: lost, failures: await undo.run() };
    },
  };
}

/** How long connections that end with the command are waited for, so that what they carried is known. */
const LAST_OUTCOMES_MS = 30;

async function lastOutcomes(stream: RecordStream, calls: Calls): Promise<void> {
  const until = performance.now() + LAST_OUTCOMES_MS;
  stream.drainAll();
  while (calls.open > 0 && performance.now() < until) {
    await sleep(2);
    stream.drainAll();
  }
}

function registerRun(options: SessionOptions, origin: Cgroup): RunEntry {
  const { attach, deployment, policy } = options;
  const engine = identify(process.pid);
  if (!engine) throw new SetupFailure('state', 'cannot read /proc/self/stat', 'check that /proc is mounted');
  const entry: RunEntry = {
    v: 1,
    id: options.id,
    engine,
    command: null,
    cgroup: attach?.cgroup.path ?? `${origin.path}/acyclic-${options.id}`,
    origin: origin.path,
    leftover: options.leftover,
    ...(attach && {
      attached: { id: String(attach.cgroup.id), service: attach.service, deployment, mode: policy.mode },
    }),
  };
  writeEntry(entry);
  return entry;
}

function installPolicy(programs: Programs, options: SessionOptions, run: bigint): Tables {
  const { policy } = options;
  const tables = new Tables({
    addresses: programs.map('addresses'),
    ports: programs.map('ports'),
    facts: programs.map('facts'),
    factEntries: programs.map('fact_entries'),
    runs: programs.map('runs'),
    names: programs.map('names'),
    chains: programs.map('chains'),
  });
  if (policy.mode === 'enforce') {
    tables.installPolicy(
      GENERATION,
      addressTable(policy).map(({ prefix, segments, ownAddress }) => ({
        prefix,
        answers: segments,
        elsewhere: ownAddress ? segmentsOfPrefix(options.policyElsewhere, prefix) : null,
      })),
    );
    tables.installNames(GENERATION, nameTable(policy));
  }
  tables.publish(run, GENERATION, {
    mode: policy.mode,
    errno: constants.errno[policy.onDeny],
    defaultDeny: policy.fallback.answer === 'deny',
    reads: policy.mode === 'enforce' && policy.denies,
  });
  return tables;
}

function dispatch(
  record: KernelRecord,
  to: {
    words: EngineWords;
    processes: ProcessTable;
    dependencies: Dependencies;
    facts: Facts;
    book: LookupBook;
    recorder: Recorder;
    calls: Calls;
    onEvent: SessionOptions['onEvent'];
  },
): void {
  const { words, processes, dependencies, facts, book, recorder, calls, onEvent } = to;
  switch (record.type) {
    case 'fork':
    case 'exec':
      processes.apply(record);
      if (record.type === 'exec') dependencies.executed(record.pid, record.time);
      break;
    case 'exit':
      processes.apply(record);
      book.ended(record.pid);
      break;
    case 'escape':
      onEvent(recorder.escape(record));
      break;
    case 'dns-reply':
      readReply(record, facts, book);
      break;
    case 'attempt':
      // The kernel has marked the use, unless it had no fact yet, or was just being given another one.
      if (record.decision !== 'deny') facts.use(record.address, Number(record.time) / 1e6);
      if (record.decision === 'deny') endSilentSocket(record);
      calls.take(record);
      if (record.ticket !== 0) words.told(record.ticket);
      break;
    case 'opening':
      calls.take(record);
      if (record.attempt.ticket !== 0) words.told(record.attempt.ticket);
      // Not before: its caller holds it until then. Some clients do not look at what send() says, and would wait.
      if (record.attempt.decision === 'deny') endSilentSocket(record.attempt);
      break;
    case 'opening-piece':
    case 'return':
    case 'outcome':
      calls.take(record);
  }
}

/** A connection that is denied after it was made may leave its caller waiting: it is ended, so that it is told at once. */
function endSilentSocket(record: AttemptRecord): void {
  const { source, socketType, cookie } = record;
  if (!source || socketType !== SOCK_STREAM) return;
  const ipv4 = !record.address.includes(':');
  const bytes = (address: Address) => addressBytes(address).subarray(ipv4 ? 12 : 0);
  try {
    native().socketDestroy({
      protocol: record.protocol,
      family: ipv4 ? AF_INET : AF_INET6,
      source: bytes(source.address),
      sourcePort: source.port,
      destination: bytes(record.address),
      destinationPort: record.port,
      cookie,
    });
  } catch {
    // It is gone already, or the kernel cannot end sockets: its caller then waits for the kernel's own time-out.
  }
}

function lossesOf(
  programs: Programs,
  stream: RecordStream,
  recorder: Recorder,
  facts: Facts,
): Record<string, number> {
  const lost = { ...readLosses(programs.map('losses')), ...facts.lost };
  if (stream.faults > 0) lost['decode error'] = stream.faults;
  if (recorder.disagreements > 0) lost['kernel and policy disagree'] = recorder.disagreements;
  return lost;
}

/** A process that still runs, as /proc has it now: it may have been forked or have run another program since. */
function describeLeft(pid: number, mask: Mask): LeftProcess {
  const read = (file: string) => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, 'utf8');
    } catch {
      return null;
    }
  };
  // Of one that is ending there is no command line any more.
  const argv = read('cmdline')?.replace(/\0$/, '').split('\0') ?? [''];
  return { pid, comm: read('comm')?.trimEnd() ?? null, argv: argv.join('') === '' ? null : mask.argv(argv) };
}

/** A hosts file may have a hundred thousand names for one address: they are learned at one stroke. */
function knowHosts(facts: Facts): void {
  const lines = Map.groupBy(parseHosts(readIfThere(HOSTS)), ({ address }) => address);
  for (const [address, of] of lines) {
    const names = of.flatMap((line) => line.names);
    facts.know(address, names);
  }
}

/** The text of a file; empty where there is none. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Names asked outside the run would be unknown here, and their addresses wrongly judged. */
async function refuseOutsideResolver(): Promise<void> {
  const found = await outsideResolver(readIfThere('/etc/nsswitch.conf'));
  if (found?.anyName)
    throw new SetupFailure(
      'outside-resolver',
      `${found.name} would answer the run's lookups from outside, where they cannot be guarded`,
      found.remedy,
    );
}

async function startDns(
  options: SessionOptions,
  parts: Pick<Parameters<typeof proxyHooks>[0], 'run' | 'lookups' | 'clients' | 'facts' | 'book'>,
): Promise<DnsProxy> {
  const { policy, id } = options;
  const servers = policy.dns.servers?.map((address) => ({ address, port: DNS_PORT }));
  try {
    return await startProxy({
      addresses: PROXY_ADDRESSES,
      servers: servers ?? parseResolvConf(readFileSync(RESOLV_CONF, 'utf8')).servers,
      hooks: proxyHooks({ runId: id, policy, ...parts }),
      openDatagrams,
    });
  } catch (error) {
    throw new SetupFailure(
      'dns-proxy',
      `the DNS proxy cannot start: ${(error as Error).message}`,
      'name servers under `dns` in the policy, or in /etc/resolv.conf, and check that lo is up',
      { cause: error },
    );
  }
}
