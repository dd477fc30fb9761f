import type { Outcome, Question } from '../dns/attempts.ts';
import type { Server } from '../dns/exchange.ts';
import type { ProxyCounters, ProxyHooks, Requester, RunFailures } from '../dns/hooks.ts';
import type { ClientTable } from '../kernel/clients.ts';
import type { DnsReplyRecord } from '../kernel/records.ts';
import { addressFromBytes } from '../model/address.ts';
import type { RuleReference } from '../model/verdict.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import type { LookupCache } from '../policy/lookup-cache.ts';
import type { DnsDenial } from '../policy/policy.ts';
import { rcodeName, typeName } from '../wire/dns-code.ts';
import { decodeQuestion } from '../wire/dns-query.ts';
import { u16 } from '../wire/dns-record.ts';
import { decodeResponse } from '../wire/dns-response.ts';
import type { Facts } from './facts.ts';
import type { Asker, LookupBook } from './lookup-book.ts';
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
export function lookupLosses(counters: Readonly<Partial<ProxyCounters>>): Record<string, number> {
  const entries = Object.entries(LOOKUP_LOSSES) as [keyof typeof LOOKUP_LOSSES, string][];
  return Object.fromEntries(
    entries
      .map(([counter, name]) => [name, counters[counter] ?? 0] as const)
      .filter(([, count]) => count > 0),
  );
}

/** What the proxy asks of a run. */
export interface RunLookups {
  /** ULID. */
  readonly id: string;
  readonly policy: CompiledPolicy;
  readonly lookups: LookupCache;
  readonly facts: Facts;
  readonly book: LookupBook;
  /** Asked in place of those of resolv.conf. */
  readonly servers: readonly Server[] | null;
  readonly failures: RunFailures;
  /** Told of what the book takes in, before it does. */
  note(note: LookupNote): void;
}

/** What a run's book was told, as JSON can hold it: times are in digits. */
export type LookupNote =
  | { readonly do: 'question'; pid: number; time: string; question: Question }
  | { readonly do: 'answer'; time: string; lookup: Omit<ObservedLookup, 'time'> };

/** Who asks, and of which run. */
interface Context {
  readonly asker: Asker;
  readonly of: RunLookups;
}

/** The proxy's questions, each answered by the run that asks. `lookupsOf`: by the id of its cgroup; null: no run. */
export function proxyHooks(clients: ClientTable, lookupsOf: (run: bigint) => RunLookups | null): ProxyHooks {
  return {
    identify(peer) {
      const client = clients.find(peer.transport, peer.address, peer.port);
      const of = client && lookupsOf(client.run);
      if (!client || !of) return null;
      const context: Context = { asker: { pid: client.pid, time: client.time }, of };
      return { run: of.id, servers: of.servers, failures: of.failures, context };
    },
    judge(requester, question, aliases) {
      const { asker, of } = contextOf(requester);
      const { policy, lookups, book } = of;
      // With aliases it is the same question again, and what exists and is denied is not passed over for another.
      const first = aliases.length === 0;
      if (first) of.note({ do: 'question', pid: asker.pid, time: `${asker.time}`, question });
      const attempt = first ? book.question(asker, question) : null;
      const { answer, rule, cycle } = lookups.decide([question.name, ...aliases]);
      if (answer !== 'deny') return ALLOWED;
      const outlook = attempt && book.outlook(attempt, asker, question.name);
      return {
        denied: true,
        onDeny: answerTo(policy, rule),
        reason: explain(rule, cycle),
        ...(outlook ?? FINAL),
      };
    },
    learn(requester, learned) {
      const { asker, of } = contextOf(requester);
      const { facts, book } = of;
      return learned
        .map(({ address, names, ttl }) => facts.learn(address, book.withShortNames(asker, names), ttl))
        .every(Boolean);
    },
    report(requester, lookup) {
      const { asker, of } = contextOf(requester);
      const { pid, time } = asker;
      const observed = {
        pid,
        names: [lookup.name, ...lookup.aliases],
        type: lookup.type,
        transport: 'udp',
        enforced: true,
        denied: lookup.denied,
        provisional: lookup.provisional,
        rcode: lookup.rcode,
        outcome: outcomeOf(lookup.type, lookup.rcode, lookup.addresses.length),
        durationUs: lookup.durationUs,
        hook: 'dns',
      } as const;
      of.note({ do: 'answer', time: `${time}`, lookup: observed });
      of.book.answered({ ...observed, time });
    },
  };
}

const FINAL = { provisional: false, later: [] } as const;
const ALLOWED = { denied: false, onDeny: 'nxdomain', reason: '', ...FINAL } as const;

/** A name that only the default denies is not resolved: lookups are no way to carry names out of the host. */
function answerTo({ dns }: CompiledPolicy, rule: RuleReference): DnsDenial {
  return dns.onDeny === 'resolve' && rule.kind === 'default' ? 'nxdomain' : dns.onDeny;
}

function outcomeOf(type: string, rcode: string, addresses: number): Outcome {
  if (rcode === 'NXDOMAIN') return 'absent';
  if (rcode !== 'NOERROR') return 'failed';
  return addresses === 0 && (type === 'A' || type === 'AAAA') ? 'empty' : 'found';
}

function contextOf(requester: Requester): Context {
  return requester.context as Context;
}

/** What a denied lookup's Extended DNS Error says. */
function explain(rule: RuleReference, cycle: readonly string[] | null): string {
  const where = rule.source === null ? '' : ` (${rule.source})`;
  const path = cycle ? `: ${cycle.join(' → ')}` : '';
  const instead = rule.instead === null ? '' : `; ${rule.instead}`;
  return `denied by acyclic: ${rule.kind}${where}${path}${instead}`;
}

/** Reads an answer seen in passing: learns its addresses, and tells it as a lookup. What is no answer is passed over. */
export function readReply(record: DnsReplyRecord, facts: Facts, book: LookupBook): void {
  const tcp = record.protocol === 6;
  const message = tcp ? record.payload.subarray(2) : record.payload;
  const query = decodeQuestion(message);
  if (!query) return;
  const response = decodeResponse(message, query);
  if ('fault' in response) return;
  const { pid, time } = record;
  const [type, rcode] = [typeName(query.type), rcodeName(response.rcode)];
  const asker: Asker = { pid, time };
  book.question(asker, { name: query.name, type, id: u16(message, 0) });
  for (const { address, names, ttl } of response.addresses)
    facts.learn(addressFromBytes(address), book.withShortNames(asker, names), ttl);
  book.answered({
    pid,
    time,
    names: [query.name, ...response.aliases],
    type,
    transport: tcp ? 'tcp' : 'udp',
    enforced: false,
    denied: false,
    // Nothing is withheld and nobody waits to be told: what comes of the attempt is known when it is over.
    provisional: true,
    rcode,
    outcome: outcomeOf(type, rcode, response.addresses.length),
    durationUs: null,
    hook: 'cgroup_skb/ingress',
  });
}
