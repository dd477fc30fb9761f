import { createMask } from '../../src/audit/mask.ts';
import { Dependencies } from '../../src/guard/dependency.ts';
import type { Engine } from '../../src/guard/engine.ts';
import { GuardedRun, type GuardedRunOptions } from '../../src/guard/guarded-run.ts';
import { LEASE_SETTINGS } from '../../src/guard/lease-settings.ts';
import { ProcessTable } from '../../src/guard/processes.ts';
import type { RunPolicy } from '../../src/guard/reign.ts';
import type { Cgroup } from '../../src/kernel/cgroup.ts';
import { compile } from '../../src/policy/compile.ts';
import { parsePolicy } from '../../src/policy/parse.ts';

/** A policy for a run, from the text of its one deployment. */
export function policyOf(deployment: string, id: string): RunPolicy {
  const text = `{version: 1, deployments: {d: ${deployment}}}`;
  const options = { deployment: null, allow: [], deny: [], default: null, mode: null, now: new Date() };
  const policy = compile(parsePolicy([{ path: 'p', text }]).policy, { ...options, ownAddresses: [] });
  return { policy, policyElsewhere: policy, policyId: id, staged: null };
}

/** A run in an engine, as the guard makes one; nothing is attached. */
export function guardedRun(
  engine: Engine,
  cgroup: Cgroup,
  policy: RunPolicy,
  options: Partial<GuardedRunOptions> = {},
): Promise<GuardedRun> {
  const processes = options.processes ?? new ProcessTable(engine.clock);
  return GuardedRun.begin(engine, {
    ...{ ...policy, cgroup, processes, mask: createMask(), leases: LEASE_SETTINGS, syscalls: false },
    sockets: null,
    common: { host: 'test', run: 'test', deployment: 'd' },
    dependencies: new Dependencies({
      ...{ policy: policy.policy, processes, command: null },
      packages: engine.packages,
    }),
    admit: () => true,
    onDenied: () => {},
    onEvent: () => {},
    onCarried: () => {},
    ...options,
  });
}
