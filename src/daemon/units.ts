import type { LoadedPolicy } from '../guard/policy-files.ts';
import { UnitObserver } from '../guard/unit-observer.ts';
import { findCgroup2 } from '../kernel/mounts.ts';
import type { AuditEvent } from '../model/event.ts';
import type { Attachments } from './attachments.ts';
import type { Log } from './log.ts';

/** Audits units of systemd that runs set going, for as long as the run goes on (`observe_units`). */
export class Units {
  readonly #attachments: Attachments;
  readonly #log: Log;
  /** Null: no run has asked for that yet. */
  #observer: UnitObserver | null = null;
  #loaded: LoadedPolicy | null = null;

  constructor(attachments: Attachments, log: Log) {
    this.#attachments = attachments;
    this.#log = log;
  }

  get troubles(): string[] {
    return this.#observer?.troubles ?? [];
  }

  /** Another policy is in force; what is observed by it is looked for from now on. */
  replace(loaded: LoadedPolicy | null): void {
    this.#loaded = loaded;
    const wanted = [...(loaded?.policy.deployments.values() ?? [])].some(({ observeUnits }) => observeUnits);
    if (!wanted) this.close();
    else this.#observer ??= this.#observe();
  }

  /** An event of a run whose units are observed. */
  take(event: AuditEvent): void {
    this.#observer?.take(event);
  }

  /** The run is over, and its units are observed no longer. */
  async ended(run: string): Promise<void> {
    for (const { id } of this.#observer?.ended(run) ?? []) await this.#attachments.release(id);
  }

  close(): void {
    this.#observer?.close();
    this.#observer = null;
  }

  #observe(): UnitObserver {
    return new UnitObserver({
      root: findCgroup2(),
      onUnit: ({ cgroup, unit, run, evidence, cause }) => {
        const labels = { set_going_by: run, evidence };
        const asked = {
          cgroup,
          target: `unit:${unit}`,
          deployment: cause.deployment,
          mode: 'audit',
          owner: null,
        } as const;
        this.#attachments.attach({ ...asked, labels }, this.#loaded).then(
          ({ id }) =>
            this.#log.info({ run, unit, observed: id, evidence }, 'a unit that a run set going is audited'),
          (error: Error) => this.#log.warn({ run, unit, error: error.message }, 'a unit cannot be audited'),
        );
      },
      onGone: ({ id }) => void this.#attachments.release(id),
    });
  }
}
