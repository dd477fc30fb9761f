import type { ExtendedError } from '../wire/dns-code.ts';
import type { Question } from './attempts.ts';
import type { Server } from './exchange.ts';

/** Who asks. */
export interface Requester {
  readonly run: string;
  /** Asked in this order; null: those the proxy was started with. */
  readonly servers: readonly Server[] | null;
  /** What the proxy failed this run in. */
  readonly failures: RunFailures;
  /** The composer's own; opaque here. */
  readonly context: unknown;
}

/** Of the proxy's counters, those that are known to be of one run. */
export type RunFailures = Pick<ProxyCounters, 'overloaded' | 'unlearned' | 'internal'>;

/** Where a datagram or connection comes from. */
export interface Peer {
  readonly transport: 'udp' | 'tcp';
  readonly address: string;
  readonly port: number;
}

/** Policy's word on the names of a lookup. */
export interface Judgement {
  readonly denied: boolean;
  /** How a denied name is answered; `resolve` answers it as usual, and its connections are denied later. */
  readonly onDeny: 'nxdomain' | 'refuse' | 'resolve';
  /** For people: `denied by acyclic: circular (acyclic.yaml:14): mysql → github → mysql`. */
  readonly reason: string;
  /** The resolver goes on with its search list whatever comes of this name: it is answered NXDOMAIN, so that it does. */
  readonly provisional: boolean;
  /** Names of its search list that come next and are allowed: if one of them exists, the denial is provisional. */
  readonly later: readonly string[];
}

/** An address a name led to. */
export interface Fact {
  readonly address: string;
  /** The name asked for first, then every alias on the way. */
  readonly names: readonly string[];
  /** Seconds. */
  readonly ttl: number;
}

/** One lookup and its outcome. */
export interface Lookup {
  /** In policy form; `.` for the root; odd bytes escaped as `\ddd` in a name that was refused for them. */
  readonly name: string;
  /** `A`, `HTTPS`, or `TYPE1234`. */
  readonly type: string;
  readonly aliases: readonly string[];
  readonly addresses: readonly string[];
  /** What the client is told: `NOERROR`, `NXDOMAIN`, … */
  readonly rcode: string;
  readonly ede: ExtendedError | null;
  readonly denied: boolean;
  /** Denied, and its resolver goes on: what comes of it is told with what follows. */
  readonly provisional: boolean;
  /** `10.0.0.2:53`; null when no server was asked or none answered. */
  readonly server: string | null;
  readonly durationUs: number;
}

/** What the proxy asks of its composer. All are synchronous, on the event loop. */
export interface ProxyHooks {
  /** Null: not a run's socket; it is dropped and counted. Called once per datagram or connection. */
  identify(peer: Peer): Requester | null;
  /** Called once for every question, and again, with its aliases in order, when the answer brought some. */
  judge(requester: Requester, question: Question, aliases: readonly string[]): Judgement;
  /** Puts addresses into the kernel before the answer leaves. False: no room; the lookup fails. */
  learn(requester: Requester, facts: readonly Fact[]): boolean;
  /** Called before the answer leaves: the reader must see why first. */
  report(requester: Requester, lookup: Lookup): void;
}

/** What the proxy counts, from its start. */
export interface ProxyCounters {
  queries: number;
  /** Datagrams and connections of nobody's run: dropped. */
  unidentified: number;
  /** Messages that were no query this proxy takes. */
  malformed: number;
  denied: number;
  forwarded: number;
  /** Queries no server answered. */
  unanswered: number;
  /** Queries failed because too many were under way. */
  overloaded: number;
  /** Answers withheld because their addresses found no room in the kernel. */
  unlearned: number;
  /** Answers cut short because they were too long for the client's UDP. */
  truncated: number;
  /** Connections closed: too many, idle, or unreadable. */
  connectionsClosed: number;
  /** Answers that could not be sent. */
  unsent: number;
  /** Datagrams the kernel dropped because they came faster than they were read. */
  unread: number;
  /** Lookups failed because a hook threw. */
  internal: number;
}
