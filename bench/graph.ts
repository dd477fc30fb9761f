/**
 * A service map of 5,000 services with 50,000 edges: what it costs to load, to look through and to find cycles in.
 * Prints rows of a table, medians of fresh processes; as `graph.ts FILE` it is one of them and prints its figures.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { deploymentCycles } from '../src/graph/deployment-cycles.ts';
import { pathsTo } from '../src/graph/paths.ts';
import { ServiceGraph } from '../src/graph/service-graph.ts';
import { loadPolicy, readPolicy } from '../src/guard/policy-files.ts';
import { serviceMap } from '../src/policy/service-map.ts';
import { median } from './comparison.ts';

const SERVICES = 5000;
const EDGES = 50_000;
const LISTED = 100;
const ROUNDS = 7;

const ROWS = [
  ['load', 'load and validate 5,000 services with 50,000 edges', 'under 1 s'],
  ['check', 'the same, and all that `policy check` looks at', '–'],
  ['circular', 'the circular set of one deployment, with its paths', 'under 50 ms'],
  ['cycles', 'the first 100 cycles through it, from the loaded policy', 'under 1 s'],
] as const;
type Figures = Record<(typeof ROWS)[number][0], Figure>;
/** Milliseconds by the clock, and of this thread's own work. */
interface Figure {
  readonly wall: number;
  readonly cpu: number;
}

/** A policy as random as it is large; the same in every run. */
function policyText(): string {
  let seed = 7;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const needs = Array.from({ length: SERVICES }, () => new Set<number>());
  for (let edges = 0; edges < EDGES; ) {
    const [from, to] = [random(SERVICES), random(SERVICES)];
    if (from === to || needs[from]?.has(to)) continue;
    needs[from]?.add(to);
    edges++;
  }
  const services = needs.map((needed, i) => {
    const list = [...needed].map((other) => `svc-${other}`).join(', ');
    const address = `10.${i >> 8}.${i & 255}.0/24`;
    return `  svc-${i}: { hosts: [svc-${i}.internal, "*.svc-${i}.internal"], addresses: [${address}], depends_on: [${list}] }\n`;
  });
  return `version: 1\nservices:\n${services.join('')}deployments:\n  svc-0: { allow: [{ service: svc-1 }] }\n`;
}

function measure<T>(work: () => T): { readonly result: T; readonly figure: Figure } {
  const [start, cpu] = [performance.now(), process.threadCpuUsage()];
  const result = work();
  const { user, system } = process.threadCpuUsage(cpu);
  return { result, figure: { wall: performance.now() - start, cpu: (user + system) / 1000 } };
}

function figuresOf(file: string): Figures {
  const load = measure(() => loadPolicy(file));
  const { policy } = load.result;
  const circular = measure(() => {
    const dependencies = new Map([...policy.services].map(([name, { dependsOn }]) => [name, dependsOn]));
    return pathsTo(['svc-0'], dependencies);
  });
  if (circular.result.size < SERVICES * 0.9) throw new Error('a map with hardly a circular service');
  const cycles = measure(() => {
    const graph = new ServiceGraph(serviceMap(policy, new Date()), []);
    const deployment = graph.deployments.get('svc-0');
    return deployment ? deploymentCycles(graph, deployment, LISTED).cycles : [];
  });
  if (cycles.result.length !== LISTED) throw new Error('too few cycles');
  const check = measure(() => readPolicy(file, new Date()));
  return { load: load.figure, check: check.figure, circular: circular.figure, cycles: cycles.figure };
}

function printRows(): void {
  const directory = mkdtempSync(join(tmpdir(), 'acyclic-bench-'));
  try {
    const file = join(directory, 'policy.yaml');
    writeFileSync(file, policyText());
    const rounds = Array.from({ length: ROUNDS }, (): Figures => {
      const child = [fileURLToPath(import.meta.url), file];
      return JSON.parse(execFileSync(process.execPath, child, { encoding: 'utf8' }));
    });
    const lines = ROWS.map(([key, what, target]) => {
      const column = (part: keyof Figure) => median(rounds.map((round) => round[key][part])).toFixed(0);
      return `| ${what} | ${column('wall')} ms | ${column('cpu')} ms | ${target} |\n`;
    });
    process.stdout.write(
      `| what | by the clock | of its own work | target |\n| --- | --- | --- | --- |\n${lines.join('')}`,
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const [, , file] = process.argv;
if (file === undefined) printRows();
else process.stdout.write(JSON.stringify(figuresOf(file)));
