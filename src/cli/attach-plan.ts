import { ulid } from 'ulid';
import { createMask } from '../audit/mask.ts';
import { ownAddresses } from '../guard/own-addresses.ts';
import { loadInstalledPolicy, loadPolicy } from '../guard/policy-files.ts';
import type { RunPlan } from '../guard/run-plan.ts';
import { NO_LIMITS } from '../model/limits.ts';
import { bareDeployment } from '../policy/bare-deployment.ts';
import { type CompiledPolicy, type CompileOptions, compile } from '../policy/compile.ts';
import { nearest } from '../policy/nearest.ts';
import type { Policy } from '../policy/policy.ts';
import type { AttachOptions } from './attach-options.ts';
import { Failure, type Output } from './output.ts';
import { makePlan, observePlan } from './plan.ts';
import type { RunOptions } from './run-options.ts';

/**
 * By what an existing cgroup is judged. Without a deployment or a service named, an installed policy is not: nobody
 * said that it is about this cgroup. Throws PolicyFailure, CompileFailure or Failure.
 */
export function planAttach(options: AttachOptions, asRun: RunOptions, output: Output): RunPlan {
  const { service, deployment, policy } = options;
  if (service !== null) return planService(service, policy);
  return deployment === null && policy === null ? observePlan(asRun) : makePlan(asRun, output);
}

/** No rule is about a service, so that everything is allowed; the services are known, and the way back to it. */
function planService(name: string, path: string | null): RunPlan {
  const loaded = path === null ? loadInstalledPolicy() : loadPolicy(path);
  if (loaded) requireService(loaded.policy, name);
  const policy = loaded && alone(loaded.policy, name);
  const compileWith = (addresses: CompileOptions['ownAddresses']): CompiledPolicy => {
    const compiled = compile(policy, {
      deployment: policy && name,
      ...{ allow: [], deny: [], default: null, mode: 'audit', now: new Date() },
      ownAddresses: addresses,
    });
    // It is written nowhere.
    const { answer, rule } = compiled.fallback;
    return { ...compiled, fallback: { answer, rule: { ...rule, source: null } } };
  };
  return {
    id: ulid(),
    deployment: null,
    policyId: loaded?.id ?? null,
    policy: compileWith(ownAddresses()),
    elsewhere: compileWith([]),
    staged: null,
    limits: NO_LIMITS,
    mask: createMask(loaded?.policy.mask),
  };
}

function requireService({ services }: Policy, name: string): void {
  if (services.has(name)) return;
  const near = nearest(name, services.keys());
  throw new Failure(
    'bad-value',
    `there is no service '${name}' in the policy`,
    near === null ? 'define it under `services` in the policy' : `did you mean '${near}'?`,
  );
}

function alone(policy: Policy, name: string): Policy {
  const stand: Policy['deployments'] = new Map([
    [name, { ...bareDeployment(name, [name]), mode: 'audit', default: 'allow', circular: 'off' }],
  ]);
  return { ...policy, floor: [], deployments: stand };
}
