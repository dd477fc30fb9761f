import type { Cgroup } from '../kernel/cgroup.ts';
import { native } from '../kernel/native.ts';
import type { HostedRunOptions } from './hosted-options.ts';
import { MOST_GENERATIONS, policiesOf, type RunRecord, removeRecord, writeRecord } from './run-record.ts';

/** The record of a run of this daemon, as it changes. */
export class RunFile {
  #record: RunRecord | null;

  /** `record`: that of a daemon before this one. */
  constructor(record: RunRecord | null) {
    this.#record = record;
  }

  get policies(): readonly (string | null)[] {
    return this.#record ? policiesOf(this.#record) : [];
  }

  /** What there is to say of a run, once its cgroup is there; the record of an earlier daemon stands. */
  begin(options: HostedRunOptions, cgroup: Cgroup, started: string): RunRecord {
    if (this.#record) return this.#record;
    const { plan, asked, owner, client, starter, command, given, attach } = options;
    const { labels, failOn, leftover, syscalls } = options;
    const { realtime, monotonic } = native().clocks();
    const { deployment, mode, limits } = asked;
    const texts = (dests: readonly { readonly text: string }[]) => dests.map(({ text }) => text);
    this.#record = {
      ...{ v: 1, id: plan.id, started, offset: `${realtime - monotonic}`, cgroup: written(cgroup) },
      starter: { pid: starter.pid, cgroup: written(starter.cgroup) },
      ...{
        owner,
        client,
        command: command && [...command],
        labels: { ...labels },
        failOn,
        leftover,
        syscalls,
      },
      given: given && { ...given, argv: [...given.argv] },
      asked: {
        ...{ deployment, allow: texts(asked.allow), deny: texts(asked.deny), default: asked.default, mode },
        ...{ limits, now: asked.now.toISOString() },
      },
      ...{ generations: [], attached: attach?.target ?? null },
    };
    return this.#record;
  }

  /** A policy is about to be in force. */
  put(generation: number, policy: string | null): void {
    if (!this.#record) return;
    const generations = [...this.#record.generations, { generation, policy }].slice(-MOST_GENERATIONS);
    this.#record = { ...this.#record, generations };
    writeRecord(this.#record);
  }

  /** The run is over. */
  remove(): void {
    if (this.#record) removeRecord(this.#record.id);
  }
}

function written({ path, id, level }: Cgroup): RunRecord['cgroup'] {
  return { path, id: String(id), level };
}
