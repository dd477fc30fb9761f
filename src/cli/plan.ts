import { loadInstalledPolicy, loadPolicy } from '../guard/policy-files.ts';
import { type AskedRun, planRun, type RunPlan } from '../guard/run-plan.ts';
import { type DestPattern, parseDest } from '../policy/dest.ts';
import { formatProblem, isFault } from '../policy/problem.ts';
import { Failure, type Output } from './output.ts';
import type { RunOptions } from './run-options.ts';

/** Reads and compiles the policy. Throws PolicyFailure, CompileFailure or Failure. */
export function makePlan(options: RunOptions, output: Output): RunPlan {
  const loaded = options.policy === null ? loadInstalledPolicy() : loadPolicy(options.policy);
  if (!loaded && options.deployment !== null)
    throw new Failure(
      'bad-value',
      `there is no policy, so no deployment '${options.deployment}'`,
      'give a policy with -p, or leave -d out to observe',
    );
  const plan = planRun(loaded, askedOf(options), (text) => output.say('warning', [`acyclic: ${text}`]));
  const { policy } = plan;
  if (options.requireEnforce && policy.mode !== 'enforce')
    throw new Failure(
      'contradiction',
      `--require enforce, but ${loaded ? `the policy puts this deployment in ${policy.mode}` : 'there is no policy to enforce'}`,
      loaded ? 'set `mode: enforce` in the policy, or give --enforce' : 'give a policy with -p',
    );
  for (const warning of loaded?.problems ?? []) output.say('warning', formatProblem(warning).split('\n'));
  return plan;
}

/** A plan that only records, for when the policy cannot be had. */
export function observePlan(options: RunOptions): RunPlan {
  const asked = askedOf({ ...options, deployment: null, allow: [], deny: [], default: null });
  return planRun(null, asked, () => {});
}

function askedOf(options: RunOptions): AskedRun {
  return {
    deployment: options.deployment,
    allow: options.allow.map((text) => readDest('--allow', text)),
    deny: options.deny.map((text) => readDest('--deny', text)),
    default: options.default,
    mode: options.mode,
    now: new Date(),
    limits: options.limits,
  };
}

function readDest(option: string, text: string): DestPattern {
  const dest = parseDest(text);
  if (!isFault(dest)) return dest;
  throw new Failure(
    'bad-value',
    `${option}: ${dest.message}`,
    dest.suggestion && `did you mean \`${dest.suggestion}\`?`,
  );
}
