import { readdirSync } from 'node:fs';
import { Counter, Gauge, Registry } from 'prom-client';
import type { Host, Measures } from './host-interface.ts';

/** Label values of one metric, at most: what is beyond is left out, or counted as `other`. */
const MOST_CAUSES = 32;
const MOST_WAIVERS = 1000;

/**
 * `/metrics`, read from the host at each scrape. Of the process there is what Prometheus names: prom-client's own
 * collection would wake an idle daemon a hundred times a second.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly #host: Pick<Host, 'measures'>;
  readonly #started = Date.now() / 1000 - process.uptime();
  readonly #calls: Counter<'verdict'>;
  readonly #denied: Counter;
  readonly #lost: Counter<'cause'>;
  readonly #policyErrors: Counter;
  readonly #cpu: Counter;
  readonly #gauges: Readonly<Record<'runs' | 'spooled' | 'resident' | 'files' | 'heap', Gauge>>;
  readonly #waivers: Gauge<'deployment' | 'service'>;

  constructor(host: Pick<Host, 'measures'>) {
    this.#host = host;
    const registers = [this.#registry];
    const gauge = (name: string, help: string) => new Gauge({ name, help, registers });
    const counter = (name: string, help: string) => new Counter({ name, help, registers });
    gauge('acyclic_up', 'The daemon serves.').set(1);
    this.#calls = new Counter({
      ...{ name: 'acyclic_calls_total', help: 'Outbound calls of runs, by verdict.', registers },
      labelNames: ['verdict'],
    });
    this.#denied = counter('acyclic_denied_total', 'Outbound calls that were denied.');
    this.#lost = new Counter({
      ...{
        name: 'acyclic_lost_events_total',
        help: 'Events that could not be recorded, by cause.',
        registers,
      },
      labelNames: ['cause'],
    });
    this.#policyErrors = counter('acyclic_policy_errors', 'Policies that did not load.');
    this.#waivers = new Gauge({
      name: 'acyclic_waiver_expiry_timestamp_seconds',
      help: 'When a waiver lapses, in seconds since 1970.',
      labelNames: ['deployment', 'service'],
      registers,
    });
    this.#cpu = counter('process_cpu_seconds_total', 'Processor time of the daemon, in seconds.');
    this.#gauges = {
      runs: gauge('acyclic_runs', 'Runs in progress.'),
      spooled: gauge('acyclic_store_spooled_records', 'Records that wait for a store that can be written.'),
      resident: gauge('process_resident_memory_bytes', 'Resident memory of the daemon.'),
      files: gauge('process_open_fds', 'Open file descriptors of the daemon.'),
      heap: gauge('nodejs_heap_size_used_bytes', 'Memory of JavaScript in use.'),
    };
    gauge('process_start_time_seconds', 'When the daemon started, in seconds since 1970.').set(this.#started);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    this.#readHost(this.#host.measures());
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed } = process.memoryUsage();
    become(this.#cpu, {}, (user + system) / 1e6);
    this.#gauges.resident.set(rss);
    this.#gauges.heap.set(heapUsed);
    this.#gauges.files.set(readdirSync('/proc/self/fd').length);
    return this.#registry.metrics();
  }

  #readHost({ runs, calls, lost, spooled, policyErrors, waivers }: Measures): void {
    this.#gauges.runs.set(runs);
    this.#gauges.spooled.set(spooled);
    this.#calls.reset();
    for (const verdict of ['allow', 'deny', 'would-deny'] as const)
      this.#calls.inc({ verdict }, calls[verdict]);
    become(this.#denied, {}, calls.deny);
    become(this.#policyErrors, {}, policyErrors);
    this.#lost.reset();
    for (const [index, [cause, count]] of Object.entries(lost).entries())
      this.#lost.inc({ cause: index < MOST_CAUSES ? cause : 'other' }, count);
    this.#waivers.reset();
    for (const { deployment, service, until } of waivers.slice(0, MOST_WAIVERS))
      this.#waivers.set({ deployment, service }, until);
  }
}

/** Counters are counted by the host, and shown as they stand. */
function become(counter: Counter, labels: object, value: number): void {
  counter.reset();
  counter.inc(labels, value);
}
