import { hostname } from 'node:os';
import { ulid } from 'ulid';
import { createMask, type Mask } from '../audit/mask.ts';
import type { Limits } from '../model/limits.ts';
import { type CompiledPolicy, type CompileOptions, compile, compileElsewhere } from '../policy/compile.ts';
import { limitsOfRun } from '../policy/limits.ts';
import { ownAddresses } from './own-addresses.ts';
import type { LoadedPolicy } from './policy-files.ts';
import type { StagedRun } from './recorder.ts';

/** What a run asks of a policy. */
export interface AskedRun extends Omit<CompileOptions, 'ownAddresses'> {
  /** Each in place of the policy's; null: the policy's. */
  readonly limits: Limits;
}

/** What a run is, once its policy is known. */
export interface RunPlan {
  /** ULID. */
  readonly id: string;
  readonly deployment: string | null;
  /** Null: there is no policy, the run is observed. */
  readonly policyId: string | null;
  readonly policy: CompiledPolicy;
  /** As from another network namespace, where this host's addresses are not a socket's own. */
  readonly elsewhere: CompiledPolicy;
  /** Evaluated beside the policy, and recorded. */
  readonly staged: StagedRun | null;
  /** What it may use of the host. */
  readonly limits: Limits;
  /** Takes secrets out of what is told and recorded. */
  readonly mask: Mask;
}

/** Compiles a policy for a run; null observes. `warn` is told why a staged policy is not tried. Throws CompileFailure. */
export function planRun(loaded: LoadedPolicy | null, asked: AskedRun, warn: (text: string) => void): RunPlan {
  const { limits, ...options } = asked;
  const written = loaded?.policy ?? null;
  const all = { ...options, ownAddresses: ownAddresses() };
  const policy = compile(written, all);
  return {
    id: ulid(),
    deployment: policy.deployment ?? asked.deployment,
    policyId: loaded?.id ?? null,
    policy,
    elsewhere: compileElsewhere(written, all, policy),
    staged: loaded && stagedBeside(loaded, policy.deployment, options, warn),
    limits: limitsOfRun(policy.limits, limits),
    mask: createMask(loaded?.policy.mask),
  };
}

/** The deployment's staged policy, with the run's options. It is never enforced, so it is never in the way. */
function stagedBeside(
  loaded: LoadedPolicy,
  deployment: string | null,
  options: Omit<CompileOptions, 'ownAddresses'>,
  warn: (text: string) => void,
): StagedRun | null {
  const staged = deployment === null ? undefined : loaded.staged.get(deployment);
  if (!staged) return null;
  const { policy, id, path } = staged;
  try {
    const all = { ...options, deployment, ownAddresses: ownAddresses() };
    const here = compile(policy, all);
    return { id, policy: here, elsewhere: compileElsewhere(policy, all, here) };
  } catch (error) {
    warn(`the staged policy ${path} is not tried: ${(error as Error).message}`);
    return null;
  }
}

/** What a session needs to know of a plan. */
export function sessionPlan(plan: RunPlan) {
  const { id, deployment, policy, elsewhere: policyElsewhere, policyId, staged, mask } = plan;
  return { id, host: hostname(), deployment, policy, policyElsewhere, policyId, staged, mask };
}
