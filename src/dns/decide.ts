import { addressFromBytes } from '../model/address.ts';
import { EDE, type ExtendedError, RCODE, rcodeName, TYPE, typeName } from '../wire/dns-code.ts';
import { encodeFailure, encodeTruncated, udpLimit } from '../wire/dns-encode.ts';
import { withoutGlue } from '../wire/dns-glue.ts';
import { type DnsFault, decodeQuery, type Query } from '../wire/dns-query.ts';
import type { Question } from './attempts.ts';
import type { Fact, Judgement, Lookup, ProxyCounters, ProxyHooks, Requester } from './hooks.ts';
import type { Quota } from './quota.ts';
import { anyExists } from './search-probe.ts';
import type { Answered, Upstream } from './upstream.ts';

/** What every decision needs; one for the life of a proxy. */
export interface Desk {
  readonly hooks: ProxyHooks;
  upstreamOf(requester: Requester): Upstream;
  readonly inFlight: Quota;
  readonly counters: ProxyCounters;
}

/** One message of a run. */
export interface Incoming {
  readonly requester: Requester;
  readonly transport: 'udp' | 'tcp';
  readonly packet: Uint8Array;
}

/** A query on its way through the steps. */
interface Turn extends Incoming {
  readonly query: Query;
  readonly began: number;
  answer: Answered | null;
  facts: readonly Fact[];
  denied: boolean;
  provisional: boolean;
}

/** The bytes to answer with, and what to report of them. */
interface Reply {
  readonly bytes: Uint8Array;
  readonly rcode: number;
  readonly ede: ExtendedError | null;
}

type Step = (turn: Turn, desk: Desk) => Reply | null | Promise<Reply | null>;

/**
 * In this order; the first step that replies ends the turn. A denied name is answered before `forward`, so it never
 * leaves the host; addresses are learned before `deliver`, so the client cannot connect ahead of the kernel.
 */
const STEPS: readonly Step[] = [refuseTransfer, judgeQuestion, forward, judgeAliases, learn, deliver];

/** The answer to one message, reported; null: no answer is due. Never rejects. */
export async function decide(incoming: Incoming, desk: Desk): Promise<Uint8Array | null> {
  const began = performance.now();
  desk.counters.queries += 1;
  const query = decodeQuery(incoming.packet);
  try {
    if ('fault' in query) return refuseFault(query, incoming, desk, began);
    const turn: Turn = {
      ...incoming,
      query,
      began,
      answer: null,
      facts: [],
      denied: false,
      provisional: false,
    };
    for (const step of STEPS) {
      const pending = step(turn, desk);
      const reply = pending instanceof Promise ? await pending : pending;
      if (reply === null) continue;
      desk.hooks.report(turn.requester, lookupOf(turn, reply));
      return reply.bytes;
    }
    throw new Error('no step replied');
  } catch (error) {
    desk.counters.internal += 1;
    incoming.requester.failures.internal += 1;
    const text = `acyclic failed: ${error instanceof Error ? error.message : String(error)}`;
    const head = 'fault' in query ? query.head : query;
    return head && encodeFailure(head, { rcode: RCODE.SERVFAIL, ede: { code: EDE.OTHER, text } });
  }
}

/** Transfers are many messages of whole zones; nothing a deploy's lookup needs. */
function refuseTransfer({ query }: Turn): Reply | null {
  if (query.type !== TYPE.AXFR && query.type !== TYPE.IXFR) return null;
  return fail(query, RCODE.NOTIMP, { code: EDE.NOT_SUPPORTED, text: 'acyclic forwards no zone transfers' });
}

function judgeQuestion(turn: Turn, desk: Desk): Reply | null | Promise<Reply | null> {
  return deny(turn, desk, desk.hooks.judge(turn.requester, questionOf(turn.query), []));
}

async function forward(turn: Turn, { upstreamOf, inFlight, counters }: Desk): Promise<Reply | null> {
  const { query, packet, transport, requester } = turn;
  const { run, failures } = requester;
  if (!inFlight.enter(run)) {
    counters.overloaded += 1;
    failures.overloaded += 1;
    const text = 'acyclic: too many lookups under way';
    return fail(query, RCODE.SERVFAIL, { code: EDE.OTHER, text });
  }
  counters.forwarded += 1;
  const answer = await upstreamOf(requester).ask(query, packet, transport);
  inFlight.leave(run);
  if ('response' in answer) {
    turn.answer = answer;
    turn.facts = answer.response.addresses.map((given) => ({
      address: addressFromBytes(given.address),
      names: given.names,
      ttl: given.ttl,
    }));
    return null;
  }
  counters.unanswered += 1;
  return fail(query, RCODE.SERVFAIL, answer.ede);
}

/** An alias that is denied denies the whole answer: its addresses are the alias's too. */
function judgeAliases(turn: Turn, desk: Desk): Reply | null | Promise<Reply | null> {
  const aliases = turn.answer?.response.aliases ?? [];
  if (turn.denied || aliases.length === 0) return null;
  return deny(turn, desk, desk.hooks.judge(turn.requester, questionOf(turn.query), aliases));
}

function learn(turn: Turn, { hooks, counters }: Desk): Reply | null {
  if (turn.facts.length === 0 || hooks.learn(turn.requester, turn.facts)) return null;
  counters.unlearned += 1;
  turn.requester.failures.unlearned += 1;
  const text = 'acyclic: no room for the addresses of this answer';
  return fail(turn.query, RCODE.SERVFAIL, { code: EDE.OTHER, text });
}

function deliver({ query, answer, transport }: Turn, { counters }: Desk): Reply | null {
  if (answer === null) return null;
  const { rcode, ede, glue } = answer.response;
  const bytes = glue ? withoutGlue(answer.bytes) : answer.bytes;
  if (transport === 'tcp' || bytes.length <= udpLimit(query)) return { bytes, rcode, ede };
  counters.truncated += 1;
  return { bytes: encodeTruncated(query, bytes), rcode, ede };
}

function deny(turn: Turn, desk: Desk, judgement: Judgement): Reply | null | Promise<Reply | null> {
  if (!judgement.denied) return null;
  turn.denied = true;
  desk.counters.denied += 1;
  const { onDeny, provisional, later, reason } = judgement;
  if (onDeny === 'resolve') {
    // Where its answer shows that there is no such name, what comes later may be what is found.
    turn.provisional = provisional || later.length > 0;
    return null;
  }
  const withhold = (goesOn: boolean): Reply => {
    turn.provisional = goesOn;
    const rcode = onDeny === 'refuse' && !goesOn ? RCODE.REFUSED : RCODE.NXDOMAIN;
    return fail(turn.query, rcode, { code: EDE.BLOCKED, text: reason });
  };
  if (provisional || later.length === 0) return withhold(provisional);
  return anyExists(later, turn, desk).then(withhold);
}

function questionOf({ name, type, id }: Query): Question {
  return { name, type: typeName(type), id };
}

function fail(query: Query, rcode: number, ede: ExtendedError): Reply {
  return { bytes: encodeFailure(query, { rcode, ede }), rcode, ede };
}

/** A name that cannot be judged is refused and reported; what is no query at all is only counted. */
function refuseFault(
  fault: DnsFault,
  { requester }: Incoming,
  { hooks, counters }: Desk,
  began: number,
): Uint8Array | null {
  counters.malformed += 1;
  if (fault.rcode === null || fault.head === null) return null;
  const ede = { code: EDE.NOT_SUPPORTED, text: `acyclic: ${fault.text}` };
  const { question } = fault.head;
  if (fault.name !== null && question !== null) {
    hooks.report(requester, {
      name: fault.name,
      type: typeName(((question.at(-4) ?? 0) << 8) | (question.at(-3) ?? 0)),
      aliases: [],
      addresses: [],
      rcode: rcodeName(fault.rcode),
      ede,
      denied: false,
      provisional: false,
      server: null,
      durationUs: elapsedUs(began),
    });
  }
  return encodeFailure(fault.head, { rcode: fault.rcode, ede });
}

function lookupOf(turn: Turn, reply: Reply): Lookup {
  return {
    name: turn.query.name,
    type: typeName(turn.query.type),
    aliases: turn.answer?.response.aliases ?? [],
    addresses: [...new Set(turn.facts.map((fact) => fact.address))],
    rcode: rcodeName(reply.rcode),
    ede: reply.ede,
    denied: turn.denied,
    provisional: turn.provisional,
    server: turn.answer?.server ?? null,
    durationUs: elapsedUs(turn.began),
  };
}

function elapsedUs(began: number): number {
  return Math.round((performance.now() - began) * 1000);
}
