import type { ProxyCounters, ProxyHooks, Requester } from '../dns/hooks.ts';
import type { ClientTable } from '../kernel/clients.ts';
import type { DnsReplyRecord } from '../kernel/records.ts';
import { addressFromBytes } from '../model/address.ts';
import type { RuleReference } from '../model/verdict.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { LookupCache } from '../policy/lookup-cache.ts';
import { rcodeName } from '../wire/dns-code.ts';
import { decodeQuestion } from '../wire/dns-query.ts';
import { decodeResponse } from '../wire/dns-response.ts';
import type { Facts } from './facts.ts';
import type { ObservedLookup } from './recorder.ts';

/** What the proxy failed a run in, as the summary's losses name it. */
const LOOKUP_LOSSES = {
  overloaded: 'DNS lookups over the limit',
  unlearned: 'DNS answers without room for their addresses',
  internal: 'DNS lookups failed inside acyclic',
  unread: 'DNS queries dropped unread',
  unsent: 'DNS answers that could not be sent',
} as const;

/** The losses of a proxy, by cause; causes that never struck are left out. */
export function lookupLosses(counters: Readonly<ProxyCounters>): Record<string, number> {
  const entries = Object.entries(LOOKUP_LOSSES) as [keyof typeof LOOKUP_LOSSES, string][];
  return Object.fromEntries(
    entries.map(([counter, name]) => [name, counters[counter]] as const).filter(([, count]) => count > 0),
  );
}

/** Who asked, as the proxy carries it. */
interface Asker {
  readonly pid: number;
  readonly time: bigint;
}

/** The proxy's questions, answered for one run. */
export function proxyHooks(options: {
  runId: string;
  run: bigint;
  policy: CompiledPolicy;
  clients: ClientTable;
  facts: Facts;
  record: (lookup: ObservedLookup) => void;
}): ProxyHooks {
  const { runId, run, policy, clients, facts, record } = options;
  const lookups = new LookupCache(policy);
  return {
    identify(peer) {
      const client = clients.find(peer.transport, peer.address, peer.port);
      if (!client || client.run !== run) return null;
      const asker: Asker = { pid: client.pid, time: client.time };
      return { run: runId, context: asker };
    },
    judge(_, names) {
      const { answer, rule, cycle } = lookups.decide(names);
      return {
        denied: answer === 'deny',
        onDeny: policy.dns.onDeny,
        reason: explain(rule, cycle),
      };
    },
    learn: (_, learned) => learned.map(({ address, names }) => facts.learn(address, names)).every(Boolean),
    report(requester, lookup) {
      const { pid, time } = askerOf(requester);
      record({
        pid,
        time,
        names: [lookup.name, ...lookup.aliases],
        transport: 'udp',
        denied: lookup.denied,
        rcode: lookup.rcode,
        durationUs: lookup.durationUs,
        hook: 'dns',
      });
    },
  };
}

function askerOf(requester: Requester): Asker {
  return requester.context as Asker;
}

/** What a denied lookup's Extended DNS Error says. */
function explain(rule: RuleReference, cycle: readonly string[] | null): string {
  const where = rule.source === null ? '' : ` (${rule.source})`;
  const path = cycle ? `: ${cycle.join(' → ')}` : '';
  const instead = rule.instead === null ? '' : `; ${rule.instead}`;
  return `denied by acyclic: ${rule.kind}${where}${path}${instead}`;
}

/** Reads an answer seen in passing: learns its addresses, and tells it as a lookup. Null: it was no answer. */
export function readReply(record: DnsReplyRecord, facts: Facts): ObservedLookup | null {
  const tcp = record.protocol === 6;
  const message = tcp ? record.payload.subarray(2) : record.payload;
  const query = decodeQuestion(message);
  if (!query) return null;
  const response = decodeResponse(message, query);
  if ('fault' in response) return null;
  for (const { address, names } of response.addresses) facts.learn(addressFromBytes(address), names);
  return {
    pid: record.pid,
    time: record.time,
    names: [query.name, ...response.aliases],
    transport: tcp ? 'tcp' : 'udp',
    denied: false,
    rcode: rcodeName(response.rcode),
    durationUs: null,
    hook: 'cgroup_skb/ingress',
  };
}
