import type { LoadedPolicy } from '../guard/policy-files.ts';
import type { RuleReference } from '../model/verdict.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { writtenLimits } from '../policy/limits.ts';
import type { Deployment, Policy } from '../policy/policy.ts';
import { writtenRoles } from '../policy/roles.ts';
import { formatOwnedRule } from '../policy/rule-text.ts';
import { isRuling, type Ruling } from '../policy/tier.ts';
import { namedTiers } from '../policy/tier-names.ts';
import { formatClause } from './policy-words.ts';

const MOST_PATTERNS = 6;

/** One rule as compiled: every pattern it holds by. */
interface EffectiveRule {
  readonly answer: string;
  readonly patterns: readonly string[];
  readonly cycle: readonly string[] | null;
  readonly rule: RuleReference;
}

/** The tiers of a run's policy in their order, as people read them. */
export function formatEffective(loaded: LoadedPolicy, policy: CompiledPolicy): string[] {
  const { fallback, dns, onDeny, mode } = policy;
  const deployment = loaded.policy.deployments.get(policy.deployment ?? '');
  const limited = Object.entries(writtenLimits(policy.limits)).flatMap(([key, value]) =>
    value === null ? [] : `${key} ${value}`,
  );
  const tiers = tiersOf(policy).filter(({ name }) => name !== 'option');
  const staged = loaded.staged.get(policy.deployment ?? '');
  return [
    `deployment ${policy.deployment}, ${mode}, policy ${loaded.id}`,
    `  deploys  ${deployment?.deploys.join(', ') || 'no service'}`,
    `  lookups  ${dns.servers?.join(', ') ?? 'servers of /etc/resolv.conf'}; a denied one gets ${dns.onDeny}`,
    `  denied   calls get ${onDeny}`,
    ...(limited.length > 0 ? [`  limits   ${limited.join(', ')}`] : []),
    ...(deployment ? formatHost(loaded.policy, deployment, policy) : []),
    ...(staged ? [`  staged   ${staged.path}, policy ${staged.id}`] : []),
    ...tiers.flatMap(({ name, rules }, i) => [
      `${i + 1} ${name}${rules.length === 0 ? ': nothing' : ''}`,
      ...rules.flatMap(formatRuleLines),
    ]),
    `${tiers.length + 1} default: ${fallback.answer}   ${formatOwnedRule(fallback.rule)}`,
  ];
}

/** What concerns the host rather than a call. */
function formatHost(policy: Policy, deployment: Deployment, compiled: CompiledPolicy): string[] {
  const { match, observeUnits } = deployment;
  const patterns = match.patterns.map(({ text }) => text).join(', ');
  const handed = Map.groupBy(compiled.delegates, ([, { answer }]) => answer);
  const delegates = (['deny', 'audit', 'allow'] as const).flatMap((answer) => {
    const names = (handed.get(answer) ?? []).map(([name]) => name);
    return names.length > 0 ? [`${answer} ${names.join(', ')}`] : [];
  });
  return [
    ...(patterns === '' ? [] : [`  matches  ${patterns}${match.required ? '' : '; not required'}`]),
    ...(deployment.delegates.size > 0 ? [`  work     ${delegates.join('; ')}`] : []),
    ...(observeUnits ? ['  units    those it sets going are audited'] : []),
    ...Object.entries(rolesOf(policy, deployment)).map(([role, who]) => `  may ${role}: ${who}`),
  ];
}

/** Who may do what, a deployment's word before the policy's; what nobody spoke of is left out. */
function rolesOf(policy: Policy, deployment: Deployment): Record<string, string> {
  const all = Object.entries(writtenRoles(policy.roles));
  const own = writtenRoles(deployment.roles);
  return Object.fromEntries(
    all.flatMap(([key, who]) => {
      const said = own[key] ?? who;
      return said === null ? [] : [[key.slice('roles.'.length), said]];
    }),
  );
}

function formatRuleLines({ answer, patterns, cycle, rule }: EffectiveRule): string[] {
  const more = patterns.length - MOST_PATTERNS;
  const shown = patterns.slice(0, more > 0 ? MOST_PATTERNS : patterns.length).join('; ');
  return [
    `  ${answer.padEnd(5)} ${shown}${more > 0 ? `; and ${more} more` : ''}`,
    `        ${formatOwnedRule(rule)}`,
    ...(cycle ? [`        ${cycle.join(' → ')}`] : []),
    ...(!cycle && rule.reason !== null ? [`        ${rule.reason}`] : []),
  ];
}

function tiersOf(policy: CompiledPolicy): { name: string; rules: EffectiveRule[] }[] {
  return namedTiers(policy).map(({ name, tier }) => ({
    name,
    rules: rulesOf(tier.clauses.filter(isRuling)),
  }));
}

/** All clauses of a rule share its reference. */
function rulesOf(clauses: readonly Ruling[]): EffectiveRule[] {
  return [...Map.groupBy(clauses, ({ rule }) => rule)].map(([rule, own]) => ({
    answer: own[0]?.answer ?? '',
    patterns: own.map(formatClause),
    cycle: own[0]?.cycle ?? null,
    rule,
  }));
}

export function effectiveAsJson(loaded: LoadedPolicy, policy: CompiledPolicy): object {
  const { deployment, mode, onDeny, dns, limits, fallback } = policy;
  const staged = loaded.staged.get(deployment ?? '');
  return {
    v: 1,
    ...{ deployment, mode, policy: loaded.id },
    deploys: loaded.policy.deployments.get(deployment ?? '')?.deploys ?? [],
    on_deny: onDeny,
    dns: { servers: dns.servers, on_deny: dns.onDeny },
    limits,
    ...hostAsJson(loaded.policy, policy),
    staged: staged ? { path: staged.path, policy: staged.id } : null,
    tiers: tiersOf(policy),
    default: fallback,
  };
}

function hostAsJson(policy: Policy, { deployment: name, delegates }: CompiledPolicy): object {
  const deployment = policy.deployments.get(name ?? '');
  if (!deployment) return {};
  return {
    match: { patterns: deployment.match.patterns, required: deployment.match.required },
    delegate: Object.fromEntries([...delegates].map(([delegate, { answer }]) => [delegate, answer])),
    observe_units: deployment.observeUnits,
    roles: rolesOf(policy, deployment),
  };
}
