import { createMask, type Mask } from '../audit/mask.ts';
import type { Outcome } from '../dns/attempts.ts';
import type { AttemptRecord, ClosedRecord, EscapeRecord, ReturnRecord } from '../kernel/records.ts';
import type { Transport } from '../model/destination.ts';
import type { AuditEvent, EventDestination, EventKind, EventOutcome, EventRule } from '../model/event.ts';
import type { Name } from '../model/name.ts';
import type { Opening } from '../model/opening.ts';
import type { Answer, RuleReference, Verdict } from '../model/verdict.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { type Decision, evaluateLookup } from '../policy/evaluate.ts';
import { judgeWork } from '../policy/handed-on.ts';
import type { LookupCache } from '../policy/lookup-cache.ts';
import {
  type Call,
  type CallDecision,
  type Chains,
  evaluateCall,
  evaluateOpening,
} from '../policy/opening.ts';
import { mentions } from './asker.ts';
import type { Clock } from './clock.ts';
import { type Delegate, delegateAt, isNamed } from './delegates.ts';
import type { Dependencies } from './dependency.ts';
import { errnoName } from './errno.ts';
import type { EventOrigin } from './event-ids.ts';
import type { Facts } from './facts.ts';
import type { ProcessTable } from './processes.ts';

/** Names of one address that are looked for on a command line; a crowded address would take long. */
const MOST_SOUGHT = 32;

/** An event with what its message needs and its record does not hold. */
export interface Recorded {
  readonly event: AuditEvent;
  readonly rule: RuleReference | null;
  readonly cycle: readonly string[] | null;
  /** Errno or DNS answer the caller saw, as `connect() = EPERM`; null when it was let through. */
  readonly saw: string | null;
}

/** A lookup of a run, through the proxy or read in passing. */
export interface ObservedLookup {
  readonly pid: number;
  readonly time: bigint;
  /** The question's name, then its aliases. */
  readonly names: readonly string[];
  /** `A`, `HTTPS`, or `TYPE1234`. */
  readonly type: string;
  readonly transport: 'udp' | 'tcp';
  /** It came through the proxy, which acts on what policy says. */
  readonly enforced: boolean;
  /** The proxy found it denied. */
  readonly denied: boolean;
  /** Denied, and its resolver goes on. */
  readonly provisional: boolean;
  readonly rcode: string;
  readonly outcome: Outcome;
  readonly durationUs: number | null;
  readonly hook: string;
}

/** A policy as it is in this network namespace, and as from another, where this host's addresses are not its own. */
interface Placed {
  readonly policy: CompiledPolicy;
  readonly elsewhere: CompiledPolicy;
}

/** A policy evaluated beside the one in force, and never enforced. */
export interface StagedRun extends Placed {
  readonly id: string;
}

/** A policy in force, from when it was put there until another was. */
export interface Era extends Placed {
  /** What the kernel has its tables under. */
  readonly generation: number;
  readonly policyId: string | null;
  /** What it says of names. */
  readonly lookups: LookupCache;
  readonly staged: StagedRun | null;
}

/** IP protocol numbers, IANA; those not here go by number. */
const PROTOCOL_NAMES: Record<number, string> = {
  1: 'icmp',
  2: 'igmp',
  6: 'tcp',
  17: 'udp',
  47: 'gre',
  50: 'esp',
  51: 'ah',
  58: 'icmpv6',
  132: 'sctp',
  136: 'udplite',
};

const DNS_PORT = 53;
const NO_OUTCOME: EventOutcome = {
  errno: null,
  duration_us: null,
  result: null,
  bytes_sent: null,
  bytes_received: null,
};

/** Of sockets that reach outside by none of the hooks, as protocols of events. */
const FOREIGN: Readonly<Record<number, string>> = { 1: 'unix', 17: 'packet', 40: 'vsock' };

const EGRESS = 'cgroup_skb/egress';

/** How the verdict speaks of a protocol number; the same in bpf/verdict.bpf.h. */
function transportOf(protocol: number): Transport {
  return protocol === 6 ? 'tcp' : protocol === 17 ? 'udp' : 'other';
}

/** Makes events of what the kernel and the DNS proxy tell. */
export class Recorder {
  /** Policies by the generation the kernel has them under: a record read late is judged by what was in force. */
  readonly #eras = new Map<number, Era>();
  #era: Era;
  readonly #clock: Clock;
  readonly #processes: ProcessTable;
  readonly #facts: Facts;
  readonly #dependencies: Dependencies;
  readonly #common: Pick<AuditEvent, 'host' | 'run' | 'deployment' | 'attached'>;
  readonly #idOf: (origin: EventOrigin) => string;
  readonly #remembered = new LatestCall();
  readonly #mask: Mask;
  readonly #wentThrough: (path: string) => void;
  /** Calls the kernel decided otherwise than the policy says: a fault of this program. */
  disagreements = 0;

  constructor(options: {
    era: Era;
    clock: Clock;
    processes: ProcessTable;
    facts: Facts;
    dependencies: Dependencies;
    common: Pick<AuditEvent, 'host' | 'run' | 'deployment' | 'attached'>;
    idOf: (origin: EventOrigin) => string;
    mask?: Mask;
    /** Work was handed to a delegate whose socket ought to be closed. */
    wentThrough?: (path: string) => void;
  }) {
    this.#era = options.era;
    this.#eras.set(options.era.generation, options.era);
    this.#clock = options.clock;
    this.#processes = options.processes;
    this.#facts = options.facts;
    this.#dependencies = options.dependencies;
    this.#common = options.common;
    this.#idOf = options.idOf;
    this.#mask = options.mask ?? createMask();
    this.#wentThrough = options.wentThrough ?? (() => {});
  }

  /** Another policy is in force from now on. */
  begin(era: Era): void {
    this.#era = era;
    this.#eras.set(era.generation, era);
  }

  /** A policy that was in force before: records of it may still come. */
  recall(era: Era): void {
    this.#eras.set(era.generation, era);
  }

  /** No record of this generation is to come any more. */
  forget(generation: number): void {
    this.#eras.delete(generation);
  }

  /** A call as it was made. `chains`: what was known of its address then. */
  attempt(record: AttemptRecord, chains: Chains = this.known(record)): Recorded {
    const { address, port } = record;
    const protocol = transportOf(record.protocol);
    const names = this.#meantFirst([...new Set(chains.flat())].sort(), record);
    const call = { address, port, protocol, chains };
    const by = (policy: CompiledPolicy) => this.#remembered.of(policy, call);
    return this.#attempted(record, by, { address, names }, record.opening);
  }

  /** A TCP connection with what its first bytes say; in audit mode `record` is that of the call. */
  opened(record: AttemptRecord, says: Opening, chains: Chains = this.known(record)): Recorded {
    const { address, port } = record;
    const chainsAt = (other: string) => this.#facts.chainsAt(other);
    const call = { address, port, chains };
    const by = (policy: CompiledPolicy) => evaluateOpening(policy, call, says, chainsAt);
    // What a declared proxy is told to reach is the destination.
    const { opening } = this.#remembered.of(inNamespace(record, this.#eraOf(record)), {
      ...call,
      protocol: 'tcp',
    });
    const inner = opening === 'proxy' && (says.name !== null || says.address !== null);
    const known = inner ? [] : chains.flat().sort();
    const names = [...new Set([...(says.name === null ? [] : [says.name]), ...known])];
    const place = inner ? { address: says.address, port: says.port ?? port } : { address };
    return this.#attempted(record, by, { ...place, names }, 'none');
  }

  /** Of several names that lead there, those on the caller's command line come first: people know the call by them. */
  #meantFirst(names: Name[], { pid, time }: AttemptRecord): Name[] {
    const argv =
      names.length > 1 && names.length <= MOST_SOUGHT ? (this.#processes.at(pid, time)?.argv ?? []) : [];
    const meant = argv.length > 0 ? names.filter((name) => mentions(argv, name)) : [];
    return meant.length > 0 ? [...new Set([...meant, ...names])] : names;
  }

  /** What is known of a call's address: by the kernel when it decided, in audit mode now. */
  known(record: AttemptRecord): Chains {
    const enforced = this.#era.policy.mode === 'enforce';
    return enforced ? this.#facts.chainsOf(record.fact) : this.#facts.chainsAt(record.address);
  }

  /** Whose tables decided; of a call that none did, what is in force. */
  #eraOf({ generation }: { readonly generation?: number }): Era {
    return this.#eras.get(generation ?? 0) ?? this.#era;
  }

  #attempted(
    record: AttemptRecord,
    by: (policy: CompiledPolicy) => CallDecision,
    destination: Pick<EventDestination, 'address' | 'names'> & { readonly port?: number },
    opening: AttemptRecord['opening'],
  ): Recorded {
    const era = this.#eraOf(record);
    const decision = by(inNamespace(record, era));
    const caused = record.cause ? causeDecision(decision, record.cause) : asEnforced(era, record, decision);
    const verdict = this.#settle(record, caused, opening);
    const errno = errnoName(record.errno);
    const call = record.hook === 'sk_msg' || record.kind === 'send' ? 'send' : 'connect';
    const recorded = this.#recorded(record.kind, record, caused, verdict, {
      destination: {
        address: destination.address,
        port: transportOf(record.protocol) === 'other' ? null : (destination.port ?? record.port),
        protocol: PROTOCOL_NAMES[record.protocol] ?? String(record.protocol),
        names: destination.names.map((name) => this.#mask.name(name)),
        service: decision.service,
      },
      outcome: errno === null ? null : { ...NO_OUTCOME, errno },
      hook: record.hook,
      saw: errno ? `${call}() = ${errno}` : null,
      comm: record.comm,
      uid: record.uid,
      count: record.count,
      // What the guard could not do is no verdict of either policy.
      ...(record.cause === null ? stagedWord(era, (staged) => by(inNamespace(record, staged))) : {}),
    });
    const ambiguous = decision.ambiguous || decision.opening === 'wait';
    if (ambiguous && verdict !== 'allow')
      return { ...recorded, event: { ...recorded.event, ambiguous: true } };
    return recorded;
  }

  /** A call that no cgroup hook sees; null: it is of no consequence, or was seen by one. */
  foreign(record: ReturnRecord): Recorded | null {
    const protocol = FOREIGN[record.family];
    if (protocol === undefined || record.errno !== 0) return null;
    const delegate = record.path === null ? null : delegateAt(record.path);
    if (protocol === 'unix' && !delegate) return null;
    const decision = delegate
      ? this.#handedOn(delegate)
      : decisionOf('allow', builtIn('no hook of a cgroup sees what this socket sends'));
    if (delegate && record.path !== null && decision.answer === 'deny') this.#wentThrough(record.path);
    return this.#recorded(delegate ? 'exec-outside' : 'connect', record, decision, decision.verdict, {
      destination: {
        ...{ address: null, port: record.port, protocol, service: null },
        names: record.path === null ? [] : [record.path],
      },
      outcome: { ...NO_OUTCOME, duration_us: Math.round(Number(record.time - record.since) / 1000) },
      hook: `tracepoint/sys_exit_${record.call}`,
      saw: null,
      comm: record.comm,
      uid: record.uid,
      count: 1,
      ...(delegate ? stagedWork(this.#era, delegate) : {}),
    });
  }

  /** A call to a delegate whose socket is closed to the run: no policy was asked, and nothing was handed on. */
  closed(record: ClosedRecord): Recorded {
    const delegate = delegateAt(record.path) ?? { name: record.path, does: 'answers' };
    const said = this.#handedOn(delegate);
    const reason = `${delegate.name} ${delegate.does}, outside the run: its socket is closed to the run`;
    const denied = said.answer === 'deny';
    const decision = denied ? said : decisionOf('deny', builtIn(reason));
    const errno = errnoName(record.errno);
    return this.#recorded('exec-outside', record, decision, denied ? 'deny' : null, {
      destination: { address: null, port: null, protocol: 'unix', service: null, names: [record.path] },
      outcome: { ...NO_OUTCOME, errno },
      hook: 'cgroup/connect_unix',
      saw: denied ? `connect() = ${errno}` : null,
      comm: record.comm,
      uid: record.uid,
      count: 1,
      ...stagedWork(this.#era, delegate),
    });
  }

  /** What the policy says of work for a delegate; it has no word on those that only look up names and users. */
  #handedOn({ name, does }: Delegate): Decision {
    const said = isNamed(name) ? this.#era.policy.delegates.get(name) : undefined;
    if (said) return decisionOf(said.answer, said.rule);
    return decisionOf(
      'allow',
      builtIn(`${name} ${does}, outside the run: what it does for it is not guarded`),
    );
  }

  /** @param names what is known of the attempt it belongs to, the name asked for first */
  lookup(seen: ObservedLookup, names: readonly string[]): Recorded {
    const decision = this.#era.lookups.decide(seen.names);
    const verdict: Verdict = decision.answer === 'allow' ? 'allow' : seen.denied ? 'deny' : 'would-deny';
    return this.#recorded('dns', seen, decision, verdict, {
      destination: {
        address: null,
        port: DNS_PORT,
        protocol: seen.transport,
        names: names.map((name) => this.#mask.name(name)),
        service: decision.service,
      },
      outcome: { ...NO_OUTCOME, duration_us: seen.durationUs },
      hook: seen.hook,
      saw: seen.denied ? `lookup = ${seen.rcode}` : null,
      comm: null,
      uid: null,
      count: 1,
      ...stagedWord(this.#era, (staged) =>
        evaluateLookup(staged.policy, seen.names, (address) => this.#facts.chainsAt(address)),
      ),
    });
  }

  escape(record: EscapeRecord): Recorded {
    return this.#recorded('escape', record, null, null, {
      destination: null,
      outcome: null,
      hook: 'tp_btf/cgroup_attach_task',
      saw: null,
      comm: null,
      uid: null,
      count: 1,
    });
  }

  /** What happened is what the kernel did; where the policy says otherwise, that is counted. */
  #settle(record: AttemptRecord, decision: CallDecision, opening: AttemptRecord['opening']): Verdict {
    if (this.#era.policy.mode === 'audit') return decision.verdict;
    // A connection that waits for its first bytes is let through so far; a packet has none.
    const packet = record.hook === EGRESS;
    const answer = decision.opening === 'wait' && !packet ? 'allow' : decision.answer;
    const denied = record.decision === 'deny';
    if (record.decision !== answer || !(denied || packet || opening === decision.opening))
      this.disagreements++;
    return denied ? 'deny' : record.decision === 'audit' ? 'would-deny' : 'allow';
  }

  #recorded(
    kind: EventKind,
    at: { pid: number; time: bigint; generation?: number; cookie?: bigint },
    decision: Decision | null,
    verdict: Verdict | null,
    detail: Pick<AuditEvent, 'destination' | 'outcome' | 'hook' | 'staged'> & {
      saw: string | null;
      comm: string | null;
      uid: number | null;
      count: number;
    },
  ): Recorded {
    const { saw, comm, uid, ...fields } = detail;
    const cycle = decision?.cycle ?? null;
    const rule = decision?.rule ?? null;
    const process = this.#processes.at(at.pid, at.time) ?? {
      ...{ pid: at.pid, start: null, uid, comm, exe: null, argv: null },
      ancestry: [],
    };
    return {
      event: {
        v: 1,
        id: this.#idOf({
          kind,
          time: at.time,
          pid: at.pid,
          of: at.cookie ?? fields.destination?.names[0] ?? '',
        }),
        time: this.#clock.wall(at.time),
        ...this.#common,
        policy: this.#eraOf(at).policyId,
        kind,
        process: at.pid === 0 ? null : process,
        verdict,
        rule: rule && eventRule(rule),
        dependency: this.#dependencies.of({
          ...{ cycle, pid: at.pid, time: at.time },
          service: fields.destination?.service ?? null,
          names: fields.destination?.names ?? [],
          address: fields.destination?.address ?? null,
        }),
        ...fields,
      },
      rule,
      cycle,
      saw,
    };
  }
}

/** Where names are asked is nobody's rule: enforce turns the call to the proxy, and so judges only the names. */
function asEnforced(
  { policy }: Era,
  { port, protocol }: AttemptRecord,
  decision: CallDecision,
): CallDecision {
  if (policy.mode === 'enforce' || port !== DNS_PORT || transportOf(protocol) === 'other') return decision;
  const rule = { ...policy.fallback.rule, source: null, reason: 'a lookup, judged by its name' };
  return { ...decision, verdict: 'allow', answer: 'allow', rule, cycle: null };
}

function stagedWord({ staged }: Era, judge: (staged: StagedRun) => Decision): Pick<AuditEvent, 'staged'> {
  if (!staged) return {};
  const { verdict, rule } = judge(staged);
  return { staged: { policy: staged.id, verdict, rule: eventRule(rule) } };
}

function stagedWork(era: Era, { name }: Pick<Delegate, 'name'>): Pick<AuditEvent, 'staged'> {
  return isNamed(name) ? stagedWord(era, ({ policy }) => judgeWork(policy, name)) : {};
}

function inNamespace({ elsewhere }: AttemptRecord, placed: Placed): CompiledPolicy {
  return elsewhere ? placed.elsewhere : placed.policy;
}

/** Of what went through: a denial that could not be made is one that would be. */
function decisionOf(answer: Answer, rule: RuleReference): Decision {
  const verdict = answer === 'allow' ? 'allow' : 'would-deny';
  return { verdict, answer, rule, service: null, cycle: null };
}

/** What the guard itself has to say of a call. */
function builtIn(reason: string): RuleReference {
  return { kind: 'default', source: null, id: null, service: null, owner: null, instead: null, reason };
}

function eventRule({ source, kind, reason, owner }: RuleReference): EventRule {
  return { source, kind, reason, owner };
}

/** A call no rule decided: the guard could not do its part, and says which. */
function causeDecision(decision: CallDecision, cause: string): CallDecision {
  return {
    ...decision,
    verdict: 'deny',
    answer: 'deny',
    opening: 'none',
    cycle: null,
    rule: {
      ...decision.rule,
      kind: 'default',
      source: null,
      id: null,
      reason: cause,
      owner: null,
      instead: null,
    },
  };
}

/** What the policy said of the latest call, which is often the next one too, and may have thousands of names. */
class LatestCall {
  #latest: { policy: CompiledPolicy; call: Call; decision: CallDecision } | null = null;

  of(policy: CompiledPolicy, call: Call): CallDecision {
    const { policy: before, call: last, decision } = this.#latest ?? {};
    const { address, port, protocol, chains } = call;
    const same =
      before === policy &&
      last?.chains === chains &&
      last.address === address &&
      last.port === port &&
      last.protocol === protocol;
    if (same && decision) return decision;
    const found = evaluateCall(policy, call);
    this.#latest = { policy, call, decision: found };
    return found;
  }
}
