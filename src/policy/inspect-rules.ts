import type { RuleReference } from '../model/verdict.ts';
import type { CompiledPolicy } from './compile.ts';
import { type Judgement, judge, select } from './evaluate.ts';
import { standInFor } from './opened.ts';
import { type Pattern, PatternIndex } from './pattern-index.ts';
import { pieces } from './pieces.ts';
import type { Deployment, Policy, Rule } from './policy.ts';
import { portsHold } from './ports.ts';
import { fault, type Problem } from './problem.ts';
import type { StandIns } from './stand-in.ts';
import { isRuling, type Ruling } from './tier.ts';
import { namedTiers, type TierName } from './tier-names.ts';
import { type Inspected, type Whereabout, warningAt } from './whereabouts.ts';

/**
 * Rules of a deployment that decide nothing, whatever is called. Of each, stand-ins for what it is about are judged
 * as the guard judges calls: those its own patterns hold and no closer pattern does, and those of every closer one.
 */
export function inspectRules(
  inspected: Inspected,
  deployment: Deployment,
  compiled: CompiledPolicy,
  standIns: StandIns,
): Problem[] {
  return inspectTier(
    inspected,
    inspected.whereabouts.rules(inspected.policy, deployment),
    compiled,
    standIns,
    'rules',
  );
}

/** The same of the floor. */
export function inspectFloor(inspected: Inspected, compiled: CompiledPolicy, standIns: StandIns): Problem[] {
  return inspectTier(
    inspected,
    inspected.whereabouts.rules(inspected.policy, null),
    compiled,
    standIns,
    'floor',
  );
}

function inspectTier(
  { policy }: Inspected,
  rules: readonly { readonly rule: Rule; readonly at: Whereabout }[],
  compiled: CompiledPolicy,
  standIns: StandIns,
  tier: TierName,
): Problem[] {
  const bench: Bench = { compiled, standIns, indexed: null };
  const clauses = (namedTiers(compiled).find(({ name }) => name === tier)?.tier.clauses ?? []).filter(
    isRuling,
  );
  return matchClauses(rules, clauses, policy).flatMap(({ rule, at, own }) =>
    inspectRule(bench, rule, at, own),
  );
}

interface Bench {
  readonly compiled: CompiledPolicy;
  readonly standIns: StandIns;
  /** Of all patterns that rules of any tier have; made when first asked for. */
  indexed: PatternIndex<null> | null;
}

function indexOf(bench: Bench): PatternIndex<null> {
  const clauses = bench.compiled.tiers.flatMap((tier) => tier.clauses);
  bench.indexed ??= new PatternIndex(clauses.map((pattern) => ({ pattern, value: null })));
  return bench.indexed;
}

/** Each rule with the clauses it came to: they are in its order, and those of one rule share their reference. */
function matchClauses(
  rules: readonly { readonly rule: Rule; readonly at: Whereabout }[],
  clauses: readonly Ruling[],
  { services }: Policy,
): { readonly rule: Rule; readonly at: Whereabout; readonly own: readonly Ruling[] }[] {
  const groups = [...Map.groupBy(clauses, (clause) => clause.rule).values()];
  return rules.map(({ rule, at }) => {
    const service = rule.service === null ? undefined : services.get(rule.service);
    const isEmpty = service !== undefined && service.hosts.length + service.addresses.length === 0;
    return { rule, at, own: isEmpty ? [] : (groups.shift() ?? []) };
  });
}

function inspectRule(bench: Bench, rule: Rule, at: Whereabout, own: readonly Ruling[]): Problem[] {
  if (own.length === 0) {
    const message = `the rule holds nothing: service \`${rule.service}\` has no hosts and no addresses`;
    return [warningAt(at, fault('empty-rule', message))];
  }
  const told = own.flatMap((clause) => judgements(bench, clause, clause));
  // With no port that its service has too it holds no call; that is told as such.
  if (told.length === 0 || told.some((judgement) => judgement.rule === own[0]?.rule)) return [];
  const circular =
    rule.answer === 'deny' ? [] : told.filter((judgement) => judgement.rule.kind === 'circular');
  const [closed] = circular;
  // Something of another service within its patterns may be left to it: what it names is closed all the same.
  if (closed && rule.service !== null && circular.length === told.length)
    return [closedRule(closed, rule, at)];
  const closer = own.flatMap((clause) =>
    indexOf(bench)
      .within(clause)
      .map(({ pattern }) => ({ clause, pattern })),
  );
  for (const { clause, pattern } of closer)
    if (judgements(bench, clause, pattern).some((judgement) => judgement.rule === clause.rule)) return [];
  if (closed) return [closedRule(closed, rule, at)];
  const above = [...new Set(told.map((judgement) => judgement.rule))].map(formatAbove).join(' and ');
  const message = `the ${rule.answer} never decides: ${above} stands above it`;
  return [warningAt(at, fault('shadowed-rule', message))];
}

function closedRule({ rule: by, cycle }: Judgement, { answer }: Rule, at: Whereabout): Problem {
  const message = `the ${answer} does not open \`${by.service}\`, which is circular: ${cycle?.join(' → ')}`;
  return warningAt(at, fault('closed-rule', message));
}

/** What is decided of a pattern's stand-in, wherever the clause's ports hold. */
function judgements({ compiled, standIns }: Bench, { ports }: Ruling, pattern: Pattern): Judgement[] {
  const identities = standInFor(standIns, pattern);
  if (!identities) return [];
  const tiers = select(compiled, identities);
  return pieces(tiers, ports ?? [])
    .filter(({ protocol, from }) => portsHold(ports, protocol, from))
    .map(({ protocol, from }) => judge(compiled, tiers, identities, protocol, from));
}

/** `deny no-telemetry (acyclic.yaml:28)`. */
function formatAbove({ kind, id, source }: RuleReference): string {
  return `${id === null ? kind : `${kind} ${id}`}${source === null ? '' : ` (${source})`}`;
}
