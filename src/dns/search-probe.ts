import { RCODE } from '../wire/dns-code.ts';
import { encodeQuery } from '../wire/dns-encode.ts';
import { decodeQuery, type Query } from '../wire/dns-query.ts';
import type { ProxyCounters, Requester } from './hooks.ts';
import type { Quota } from './quota.ts';
import type { Upstream } from './upstream.ts';

/** Whom to ask, and for whom. */
interface Probe {
  readonly requester: Requester;
  readonly query: Query;
}

interface Means {
  upstreamOf(requester: Requester): Upstream;
  readonly inFlight: Quota;
  readonly counters: ProxyCounters;
}

/**
 * Whether one of these names, each allowed, exists: asked ahead of the client, so that a denial before them is either
 * told at once or not at all. A server that does not answer says no.
 */
export function anyExists(names: readonly string[], probe: Probe, means: Means): Promise<boolean> {
  const asked = names.map(async (name) => {
    if (!(await exists(name, probe, means))) throw new Error(`there is no ${name}`);
    return true;
  });
  return Promise.any(asked).catch(() => false);
}

async function exists(name: string, { requester, query }: Probe, means: Means): Promise<boolean> {
  const { inFlight, counters } = means;
  const packet = encodeQuery(name, query.type);
  const probe = decodeQuery(packet);
  if ('fault' in probe || !inFlight.enter(requester.run)) return false;
  counters.forwarded += 1;
  const answer = await means.upstreamOf(requester).ask(probe, packet, 'udp');
  inFlight.leave(requester.run);
  return 'response' in answer && answer.response.rcode === RCODE.NOERROR;
}
