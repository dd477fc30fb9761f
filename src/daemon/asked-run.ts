import type { AskedRun, RunPlan } from '../guard/run-plan.ts';
import type { Limits } from '../model/limits.ts';
import { type DestPattern, parseDest } from '../policy/dest.ts';
import { isFault } from '../policy/problem.ts';
import type { CreateRunBody } from './contract.ts';
import type { Peer } from './host-interface.ts';
import { Refusal } from './refusal.ts';

/** What a request asks of the policy. Throws Refusal `bad-request` for what is no destination. */
export function readAsked(body: CreateRunBody, now: Date): AskedRun {
  const broken = body.breakGlass !== null;
  return {
    deployment: body.deployment,
    allow: body.allow.map((text) => readDest('allow', text)),
    deny: body.deny.map((text) => readDest('deny', text)),
    default: body.default,
    mode: broken ? 'audit' : body.mode,
    limits: body.limits,
    now,
  };
}

/**
 * Refuses what would loosen the policy an administrator installed, unless it is root who asks. `planBare` gives the run
 * as the policy alone has it; null: there is no policy, and nothing to loosen. Throws Refusal `loosens` with the reason.
 */
export function refuseLoosening(peer: Peer, body: CreateRunBody, planBare: () => RunPlan | null): void {
  if (peer.uid === 0 || asksNothing(body)) return;
  const policy = planBare()?.policy;
  if (!policy) return;
  if (body.allow.length > 0) throw loosens(`--allow ${body.allow[0]} would open what the policy does not`);
  if (body.mode === 'audit' && policy.mode === 'enforce' && body.breakGlass === null)
    throw loosens('--audit would deny nothing, and the policy has this deployment in enforce');
  if (body.allowInherited && policy.mode === 'enforce' && body.breakGlass === null)
    throw loosens('--allow-inherited would let through sockets of which the policy decides nothing');
  if (body.default === 'allow' && policy.fallback.answer === 'deny')
    throw loosens('--default allow would open what the policy denies by default');
  const wider = widerLimit(body.limits, policy.limits);
  if (wider !== null) throw loosens(`--${wider} would give the run more than the policy's limit`);
}

/** What most runs are: spares them to compile the policy twice. */
function asksNothing({ allow, mode, default: fallback, limits, allowInherited }: CreateRunBody): boolean {
  const limited = Object.values(limits).some((limit) => limit !== null);
  return !allowInherited && allow.length === 0 && mode !== 'audit' && fallback !== 'allow' && !limited;
}

/** The first limit that is asked to be wider than the policy's. */
function widerLimit(asked: Limits, policy: Limits): keyof Limits | null {
  const names = ['cpu', 'memory', 'tasks'] as const;
  const wider = names.find((name) => {
    const [mine, theirs] = [asked[name], policy[name]];
    return mine !== null && theirs !== null && mine > theirs;
  });
  return wider ?? null;
}

/** Throws Refusal when `--require enforce` was given and the run would not be in enforce. */
export function requireEnforce(body: CreateRunBody, { policy, policyId }: RunPlan): void {
  if (!body.requireEnforce || policy.mode === 'enforce') return;
  throw new Refusal(
    'conflict',
    `--require enforce, but ${policyId === null ? 'there is no policy to enforce' : `the policy puts this deployment in ${policy.mode}`}`,
    policyId === null
      ? 'have a policy installed'
      : 'have `mode: enforce` set in the policy, or give --enforce',
  );
}

function readDest(option: 'allow' | 'deny', text: string): DestPattern {
  const dest = parseDest(text);
  if (!isFault(dest)) return dest;
  const remedy = dest.suggestion && `did you mean \`${dest.suggestion}\`?`;
  throw new Refusal('bad-request', `--${option}: ${dest.message}`, remedy);
}

function loosens(what: string): Refusal {
  return new Refusal(
    'loosens',
    `${what}; who may use the daemon may tighten a policy, not loosen it`,
    'ask who administers this host to change the policy, or to allow it for a time: acyclic allow DEST --for 2h',
  );
}
