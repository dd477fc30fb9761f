import {
  type Caller,
  compareTimes,
  edgeKey,
  formatEdge,
  type ObservedEdge,
  readEdge,
} from '../graph/observed.ts';
import type { AuditEvent } from '../model/event.ts';
import { AskedNames } from './asked.ts';
import { locate } from './evaluate.ts';
import { questionOf } from './question.ts';
import type { Tier } from './tier.ts';

/**
 * Makes observed edges of recorded events, one after the other: calls of a deployment's runs, or of an attached
 * service, to a service. A lookup is a call only where it was denied, since then no other comes.
 */
export class ObservedCalls {
  /** The services of a policy; null: events are taken at their word. */
  readonly #services: Tier | null;
  readonly #asked = new AskedNames();
  readonly #edges = new Map<string, ObservedEdge>();

  constructor(services: Tier | null) {
    this.#services = services;
  }

  add(event: AuditEvent): void {
    const question = questionOf(event);
    if (!question) return;
    const isLookup = question.kind === 'lookup';
    if (isLookup) this.#asked.remember(event, question.names[0] ?? '');
    const denied = event.verdict === 'deny';
    if (isLookup ? !denied : question.probe) return;
    const names = isLookup ? question.names : this.#asked.meant(event, question.destination.names);
    const to = this.#serviceAt(isLookup ? null : question.destination.address, names, event);
    const from = callerOf(event);
    if (from === null || to === null || (from.kind === 'service' && from.name === to)) return;
    this.#count({ from, to, host: event.host }, event, denied);
  }

  /** Those that can be told to others: an event may have any text for a host or a service. */
  edges(): ObservedEdge[] {
    return [...this.#edges.values()].filter((edge) => typeof readEdge(formatEdge(edge)) !== 'string');
  }

  /** The service of the closest pattern; where the policy has none, the one of the event. */
  #serviceAt(address: string | null, names: readonly string[], { destination }: AuditEvent): string | null {
    const identities = { address: address === null ? null : locate(address), names };
    const found = this.#services?.select(identities)[0]?.[0]?.[0]?.rule.service;
    return found ?? destination?.service ?? null;
  }

  #count(
    edge: Pick<ObservedEdge, 'from' | 'to' | 'host'>,
    { count, time }: AuditEvent,
    denied: boolean,
  ): void {
    const key = edgeKey(edge);
    const known = this.#edges.get(key) ?? { ...edge, calls: 0, denied: 0, first: time, last: time };
    this.#edges.set(key, {
      ...known,
      calls: known.calls + (denied ? 0 : count),
      denied: known.denied + (denied ? count : 0),
      first: compareTimes(time, known.first) < 0 ? time : known.first,
      last: compareTimes(time, known.last) > 0 ? time : known.last,
    });
  }
}

/** Who called: the attached service, or the deployment of the run; null if it has none. */
function callerOf({ attached, deployment }: AuditEvent): Caller | null {
  if (attached !== undefined) return { kind: 'service', name: attached };
  return deployment === null ? null : { kind: 'deployment', name: deployment };
}
