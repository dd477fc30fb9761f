import { AuditFailure } from '../audit/failure.ts';
import { stateDirectory } from '../audit/state-directory.ts';
import { mergeEdges, type ObservedEdge, seenSince } from '../graph/observed.ts';
import { type MappedDeployment, ServiceGraph } from '../graph/service-graph.ts';
import { keptEdges, readEdgeFile } from '../guard/observed-file.ts';
import type { LoadedPolicy } from '../guard/policy-files.ts';
import { compile } from '../policy/compile.ts';
import { nearest } from '../policy/nearest.ts';
import { ObservedCalls } from '../policy/observed-calls.ts';
import type { Policy } from '../policy/policy.ts';
import { serviceMap } from '../policy/service-map.ts';
import type { Tier } from '../policy/tier.ts';
import type { GraphOptions, SeenOptions } from './graph-options.ts';
import { Failure, type Output } from './output.ts';
import { openPast, readSince } from './past.ts';

/** How old what was seen may be. */
const SINCE = '90d';
const EVER = '1970-01-01';

/** The policy's services and what was seen of them. Throws what a policy, a report or a file of edges throws. */
export async function loadGraph(
  loaded: LoadedPolicy,
  options: SeenOptions,
  output: Output,
): Promise<ServiceGraph> {
  const now = new Date();
  return new ServiceGraph(serviceMap(loaded.policy, now), await seenEdges(loaded.policy, options, output));
}

/**
 * What was seen, from all there is to take it from. With a run named, of deployments only what that run called; what
 * services call is seen elsewhere, and counts. Throws Failure.
 */
export async function seenEdges(
  policy: Policy | null,
  options: SeenOptions,
  output: Output,
): Promise<ObservedEdge[]> {
  const { fromRun, observed = [], state, since = fromRun === undefined ? SINCE : EVER } = options;
  const from = readSince(since);
  const called = await calledEdges(policy, options, from, output);
  const others = [...observed.flatMap(readEdgeFile), ...merged(state, output)];
  if (fromRun === undefined) return seenSince(mergeEdges([...called, ...others]), from);
  if (!called.some((edge) => edge.from.kind === 'deployment'))
    throw new Failure('bad-value', `no call of a run ${fromRun} to a service was found`, 'check its id');
  return seenSince(mergeEdges([...called, ...others.filter((edge) => edge.from.kind === 'service')]), from);
}

/** What events of runs, or of one, and of attached services come to. */
async function calledEdges(
  policy: Policy | null,
  options: SeenOptions,
  since: Date,
  output: Output,
): Promise<ObservedEdge[]> {
  const { fromRun = null, state } = options;
  const calls = new ObservedCalls(policy && servicesOf(policy));
  const past = openPast(options, output);
  try {
    for await (const event of past.events({ run: fromRun, deployment: null, since })) calls.add(event);
    if (fromRun !== null)
      for await (const event of past.events({ run: null, deployment: null, since }))
        if (event.attached !== undefined) calls.add(event);
  } catch (error) {
    if (!(error instanceof AuditFailure) || fromRun !== null) throw error;
    // Before the first run there is no trail, and one nobody asked for may be root's alone.
    if (error.code !== 'no-store') tellWithout(error, state, output);
  }
  return calls.edges();
}

/** What could not be read is left out if it was only looked for, and told. Throws the error if it was asked for. */
function tellWithout(error: Error, asked: string | undefined, output: Output): void {
  if (asked !== undefined) throw error;
  output.say('warning', [`acyclic: ${error.message}; the graph is without it`]);
}

/** The services of a policy, as the guard finds the one a destination belongs to. */
function servicesOf(policy: Policy): Tier {
  const options = { allow: [], deny: [], default: null, mode: null, ownAddresses: [], now: new Date(0) };
  const [deployment = null] = policy.deployments.keys();
  return compile(deployment === null ? null : policy, { deployment, ...options }).services;
}

function merged(state: string | undefined, output: Output): ObservedEdge[] {
  try {
    return keptEdges(stateDirectory(state ?? null));
  } catch (error) {
    tellWithout(error as Error, state, output);
    return [];
  }
}

/** The deployments that are asked for: one, that of the run, or all. Throws Failure. */
export function chosenDeployments(
  graph: ServiceGraph,
  { deployment: name, fromRun }: GraphOptions,
): readonly MappedDeployment[] {
  const all = [...graph.deployments.values()];
  if (name === undefined)
    return fromRun === undefined
      ? all
      : all.filter((one) => graph.wasWatched({ kind: 'deployment', name: one.name }));
  const found = graph.deployments.get(name);
  if (found) return [found];
  throw new Failure(
    'bad-value',
    `the policy has no deployment '${name}'`,
    meant(name, graph.deployments.keys()),
  );
}

/** A service or a deployment there is. Throws Failure. */
export function requireParty(graph: ServiceGraph, name: string, what: 'service' | 'party'): string {
  const names = new Set([...graph.services.keys(), ...(what === 'party' ? graph.deployments.keys() : [])]);
  if (names.has(name)) return name;
  const kind = what === 'party' ? 'service or deployment' : 'service';
  throw new Failure('bad-value', `there is no ${kind} '${name}'`, meant(name, names));
}

function meant(name: string, names: Iterable<string>): string | null {
  const near = nearest(name, names);
  return near === null ? null : `did you mean '${near}'?`;
}
