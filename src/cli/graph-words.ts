import type { DeploymentCycle, Standing } from '../graph/deployment-cycles.ts';
import type { Caller, ObservedEdge } from '../graph/observed.ts';
import { type Edge, isUndeclared, neverSeen, type ServiceGraph } from '../graph/service-graph.ts';
import { plural } from './policy-options.ts';

export const ARROW = ' → ';

/** All there is to say of an edge: `allow (acyclic.yaml:9), seen 12 times on db-1, last 2026-11-25`. */
export function formatFacts(graph: ServiceGraph, edge: Edge): string {
  const facts = edge.declared.map(({ as, source, until }) => {
    const day = until === null ? '' : ` until ${until}`;
    return `${as}${day} (${source})`;
  });
  if (edge.seen.length > 0) facts.push(formatSeen(edge.seen));
  if (edge.deniedNow) facts.push('denied now');
  if (isUndeclared(graph, edge)) facts.push('nobody declared it');
  if (neverSeen(graph, edge)) facts.push('never seen');
  return facts.join(', ');
}

function formatSeen(seen: readonly ObservedEdge[]): string {
  const sum = (key: 'calls' | 'denied') => seen.reduce((total, edge) => total + edge[key], 0);
  const counts = [
    ...(sum('calls') > 0 ? [`seen ${plural(sum('calls'), 'time')}`] : []),
    ...(sum('denied') > 0 ? [`stopped ${plural(sum('denied'), 'time')}`] : []),
  ];
  const [{ host } = { host: '' }, ...others] = seen;
  const last = seen
    .map((edge) => edge.last.slice(0, 10))
    .sort()
    .at(-1);
  return `${counts.join(' and ')} on ${others.length === 0 ? host : `${seen.length} hosts`}, last ${last}`;
}

/** `github @web`; the name alone where nobody owns it. */
export function formatOwned(graph: ServiceGraph, service: string): string {
  const owner = graph.services.get(service)?.owner ?? null;
  return owner === null ? service : `${service} ${owner}`;
}

/** `deployment mysql`, or the service's name. */
export function formatParty({ kind, name }: Caller): string {
  return kind === 'deployment' ? `deployment ${name}` : name;
}

const STANDING: Readonly<Record<Standing, string>> = {
  standing: 'stands',
  'let-through': 'its first call is let through',
  recorded: 'its first call is let through and recorded (audit mode)',
  unknowable: 'its first call cannot be told: the service has no hosts and addresses',
  waived: 'its first call is waived',
  denied: 'its first call is denied',
};

/** How a cycle stands, with the waiver that opens it. */
export function formatStanding({ standing, first }: DeploymentCycle): string {
  const waiver = first?.declared.find(({ as }) => as === 'waiver');
  const where = standing === 'waived' && waiver ? ` until ${waiver.until} (${waiver.source})` : '';
  return STANDING[standing] + where;
}
