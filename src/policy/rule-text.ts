import type { RuleReference } from '../model/verdict.ts';

/** `circular (acyclic.yaml:14, service github)`. */
export function formatRule(rule: RuleReference): string {
  const name = rule.id === null ? rule.kind : `${rule.kind} ${rule.id}`;
  const where = [rule.source, rule.service === null ? null : `service ${rule.service}`].filter(
    (part) => part !== null,
  );
  return where.length === 0 ? name : `${name} (${where.join(', ')})`;
}

/** What is decided and by which rule: `deny by circular (acyclic.yaml:4)`, `allow (acyclic.yaml:9)`. */
export function formatOutcome(answer: string, rule: RuleReference): string {
  return rule.kind === answer ? formatOwnedRule(rule) : `${answer} by ${formatOwnedRule(rule)}`;
}

/** A rule with its owner: `allow vault (acyclic.yaml:9)   owner @db`. */
export function formatOwnedRule(rule: RuleReference): string {
  return rule.owner === null ? formatRule(rule) : `${formatRule(rule)}   owner ${rule.owner}`;
}
