import { constants } from 'node:os';
import type { AttemptRecord, EscapeRecord } from '../kernel/records.ts';
import type { Transport } from '../model/destination.ts';
import type { AuditEvent, EventDestination, EventKind } from '../model/event.ts';
import type { Opening } from '../model/opening.ts';
import type { RuleReference, Verdict } from '../model/verdict.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { type Decision, evaluateLookup } from '../policy/evaluate.ts';
import { type CallDecision, type Chains, evaluateCall, evaluateOpening } from '../policy/opening.ts';
import type { Clock } from './clock.ts';
import type { Dependencies } from './dependency.ts';
import type { Facts } from './facts.ts';
import type { ProcessTable } from './processes.ts';

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
  readonly transport: 'udp' | 'tcp';
  /** The answer was withheld. */
  readonly denied: boolean;
  readonly rcode: string;
  readonly durationUs: number | null;
  readonly hook: string;
}

const ERRNO_NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

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
const EGRESS = 'cgroup_skb/egress';

/** How the verdict speaks of a protocol number; the same in bpf/verdict.bpf.h. */
function transportOf(protocol: number): Transport {
  return protocol === 6 ? 'tcp' : protocol === 17 ? 'udp' : 'other';
}

/** Makes events of what the kernel and the DNS proxy tell. */
export class Recorder {
  readonly #policy: CompiledPolicy;
  readonly #policyElsewhere: CompiledPolicy;
  readonly #clock: Clock;
  readonly #processes: ProcessTable;
  readonly #facts: Facts;
  readonly #dependencies: Dependencies;
  readonly #common: Pick<AuditEvent, 'host' | 'run' | 'deployment' | 'policy'>;
  readonly #nextId: () => string;
  /** Calls the kernel decided otherwise than the policy says: a fault of this program. */
  disagreements = 0;

  constructor(options: {
    policy: CompiledPolicy;
    /** Compiled as from another network namespace, where this host's addresses are not the socket's own. */
    policyElsewhere: CompiledPolicy;
    clock: Clock;
    processes: ProcessTable;
    facts: Facts;
    dependencies: Dependencies;
    common: Pick<AuditEvent, 'host' | 'run' | 'deployment' | 'policy'>;
    nextId: () => string;
  }) {
    this.#policy = options.policy;
    this.#policyElsewhere = options.policyElsewhere;
    this.#clock = options.clock;
    this.#processes = options.processes;
    this.#facts = options.facts;
    this.#dependencies = options.dependencies;
    this.#common = options.common;
    this.#nextId = options.nextId;
  }

  /** A call as it was made. */
  attempt(record: AttemptRecord): Recorded {
    const chains = this.#chains(record);
    const { address, port } = record;
    const protocol = transportOf(record.protocol);
    const decision = evaluateCall(this.#policyFor(record), { address, port, protocol, chains });
    const names = [...new Set(chains.flat())].sort();
    return this.#attempted(record, decision, { address, names }, record.opening);
  }

  /** A TCP connection with what its first bytes say; in audit mode `record` is that of the call. */
  opened(record: AttemptRecord, says: Opening): Recorded {
    const chains = this.#chains(record);
    const { address, port } = record;
    const chainsAt = (other: string) => this.#facts.chainsAt(other);
    const call = { address, port, chains };
    const decision = evaluateOpening(this.#policyFor(record), call, says, chainsAt);
    // What a declared proxy is told to reach is the destination.
    const { opening } = evaluateCall(this.#policyFor(record), { ...call, protocol: 'tcp' });
    const inner = opening === 'proxy' && (says.name !== null || says.address !== null);
    const known = inner ? [] : chains.flat().sort();
    const names = [...new Set([...(says.name === null ? [] : [says.name]), ...known])];
    const place = inner ? { address: says.address, port: says.port ?? port } : { address };
    return this.#attempted(record, decision, { ...place, names }, 'none');
  }

  #chains(record: AttemptRecord): Chains {
    const enforced = this.#policy.mode === 'enforce';
    return enforced ? this.#facts.chainsOf(record.fact) : this.#facts.chainsAt(record.address);
  }

  #policyFor({ elsewhere }: AttemptRecord): CompiledPolicy {
    return elsewhere ? this.#policyElsewhere : this.#policy;
  }

  #attempted(
    record: AttemptRecord,
    decision: CallDecision,
    destination: Pick<EventDestination, 'address' | 'names'> & { readonly port?: number },
    opening: AttemptRecord['opening'],
  ): Recorded {
    const caused = record.cause ? causeDecision(decision, record.cause) : decision;
    const verdict = this.#settle(record, caused, opening);
    const errno = record.errno === 0 ? null : (ERRNO_NAMES.get(record.errno) ?? String(record.errno));
    const call = record.hook === 'sk_msg' || record.kind === 'send' ? 'send' : 'connect';
    const recorded = this.#recorded(record.kind, record, caused, verdict, {
      destination: {
        address: destination.address,
        port: transportOf(record.protocol) === 'other' ? null : (destination.port ?? record.port),
        protocol: PROTOCOL_NAMES[record.protocol] ?? String(record.protocol),
        names: destination.names,
        service: decision.service,
      },
      outcome: errno ? { errno, duration_us: null } : null,
      hook: record.hook,
      saw: errno ? `${call}() = ${errno}` : null,
      comm: record.comm,
      uid: record.uid,
      count: record.count,
    });
    const ambiguous = decision.ambiguous || decision.opening === 'wait';
    if (!ambiguous || verdict === 'allow') return recorded;
    return { ...recorded, event: { ...recorded.event, ambiguous: true } };
  }

  lookup(seen: ObservedLookup): Recorded {
    const decision = evaluateLookup(this.#policy, seen.names);
    const verdict: Verdict = decision.answer === 'allow' ? 'allow' : seen.denied ? 'deny' : 'would-deny';
    return this.#recorded('dns', seen, decision, verdict, {
      destination: {
        address: null,
        port: DNS_PORT,
        protocol: seen.transport,
        names: [...seen.names],
        service: decision.service,
      },
      outcome: { errno: null, duration_us: seen.durationUs },
      hook: seen.hook,
      saw: seen.denied ? `lookup = ${seen.rcode}` : null,
      comm: null,
      uid: null,
      count: 1,
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
    if (this.#policy.mode === 'audit') return decision.verdict;
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
    at: { pid: number; time: bigint },
    decision: Decision | null,
    verdict: Verdict | null,
    detail: Pick<AuditEvent, 'destination' | 'outcome' | 'hook'> & {
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
        id: this.#nextId(),
        time: this.#clock.wall(at.time),
        ...this.#common,
        kind,
        process: at.pid === 0 ? null : process,
        verdict,
        rule: rule && { source: rule.source, kind: rule.kind, reason: rule.reason, owner: rule.owner },
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
