import { formatRule } from '../policy/rule-text.ts';
import type { Linted, LintedHost } from './lint-script.ts';
import { formatNamed, formatPlace, formatUnseen, formatVerdict } from './lint-words.ts';
import { harmless } from './output.ts';
import { plural } from './policy-options.ts';

const MOST_PLACES = 6;
const MOST_PROGRAMS = 12;
const REMARK_COLUMN = 29;
const WIDEST_COLUMN = 48;

/** For people: what would be denied first, each with why and where; then the other hosts; then what is not seen. */
export function asText(linted: Linted): string[] {
  const denied = linted.hosts.filter(({ decision }) => decision && decision.verdict !== 'allow');
  const others = linted.hosts.filter((host) => !denied.includes(host));
  return [
    ...[...groups(denied).values()].flatMap(formatDenied),
    ...section(linted.policy ? 'allowed' : 'named', table(others)),
    ...section('not seen by reading', blind(linted)),
    summary(linted, denied, others),
  ].map(harmless);
}

/** The same host under the same rule, wherever it is named. */
function groups(denied: readonly LintedHost[]): Map<string, LintedHost[]> {
  const all = new Map<string, LintedHost[]>();
  for (const host of denied) {
    const rule = host.decision?.rule;
    const key = JSON.stringify([formatNamed(host.mention), rule?.kind, rule?.source, host.decision?.verdict]);
    all.set(key, [...(all.get(key) ?? []), host]);
  }
  return all;
}

function formatDenied(hosts: readonly LintedHost[]): string[] {
  const [first] = hosts;
  if (!first?.decision) return [];
  const { mention, decision } = first;
  const { rule, cycle } = decision;
  const places = [...new Set(hosts.map((host) => formatPlace(host.mention.place)))];
  const more = places.length > MOST_PLACES ? ` and ${places.length - MOST_PLACES} more` : '';
  const lines = [
    `${formatPlace(mention.place)}: ${formatNamed(mention)} ${formatVerdict(decision)}`,
    ...(places.length > 1 ? [detail('also at', `${places.slice(1, MOST_PLACES).join(', ')}${more}`)] : []),
    ...(cycle ? [detail('cycle', cycle.join(' → '))] : []),
    detail(
      'rule',
      `${formatRule(rule).padEnd(rule.owner === null ? 0 : REMARK_COLUMN)}${rule.owner === null ? '' : `   owner ${rule.owner}`}`,
    ),
    ...(cycle === null && rule.reason !== null ? [detail('reason', rule.reason)] : []),
    ...(rule.instead === null ? [] : [detail('instead', rule.instead)]),
  ];
  return lines;
}

function detail(label: string, value: string): string {
  return `  ${label.padEnd(8)} ${value}`;
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`${title}:`, ...lines];
}

function table(hosts: readonly LintedHost[]): string[] {
  const rows = hosts.map(({ mention, decision }) => [
    formatPlace(mention.place),
    formatNamed(mention),
    decision === null ? '' : (decision.service ?? '—'),
    decision === null ? '' : formatRule(decision.rule),
  ]);
  const widths = [0, 1, 2].map((column) =>
    Math.min(WIDEST_COLUMN, Math.max(0, ...rows.map((row) => row[column]?.length ?? 0))),
  );
  return rows.map((row) => `  ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}`.trimEnd());
}

function blind({ unseen, programs, complete }: Linted): string[] {
  const told = unseen.map((one) => `  ${formatPlace(one.place)}: ${formatUnseen(one)}`);
  const shown = programs.slice(0, MOST_PROGRAMS).join(', ');
  const rest = programs.length > MOST_PROGRAMS ? ` and ${programs.length - MOST_PROGRAMS} more` : '';
  return [
    ...told,
    ...(complete ? [] : ['  the rest: there is more in these scripts than is followed']),
    ...(programs.length > 0 ? [`  what these programs call by themselves: ${shown}${rest}`] : []),
    '  aliases and addresses of names, which a run learns when it looks them up',
  ];
}

function summary(
  { policy, policyId, files }: Linted,
  denied: readonly LintedHost[],
  others: readonly LintedHost[],
): string {
  const distinct = (hosts: readonly LintedHost[]) =>
    new Set(hosts.map(({ mention }) => formatNamed(mention))).size;
  const read = plural(files.length, 'file');
  if (!policy)
    return `${plural(distinct(others), 'host')} named in ${read}; no policy, so nothing is judged: give one with -p`;
  const name = policy.deployment === null ? '' : `, deployment ${policy.deployment}`;
  const found = distinct(denied) === 0 ? 'nothing would be denied' : `${distinct(denied)} would be denied`;
  return `${found}, ${distinct(others)} allowed; ${read} read, policy ${policyId}${name}`;
}
