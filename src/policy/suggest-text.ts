import { formatPorts } from './ports.ts';
import type { LeftOut, SuggestedRule, Suggestion } from './suggestion.ts';

const MOST_LISTED = 5;

/** One line of a list of rules: a rule, or a comment above some. */
export interface RuleLine {
  /** In flow style; null for a comment alone. */
  readonly rule: string | null;
  readonly comment: string | null;
}

/** The rules of one list as lines, under a comment for each group of programs that called. */
export function ruleLines(rules: readonly SuggestedRule[]): RuleLine[] {
  const groups = Map.groupBy(rules, groupOf);
  return [...groups].flatMap(([group, members]) => [
    { rule: null, comment: group },
    ...members.map((rule) => ({ rule: ruleText(rule), comment: countsOf(rule) })),
  ]);
}

function groupOf({ special, callers }: SuggestedRule): string {
  if (special === 'lookup')
    return `looked up and never called (port 53 goes to Acyclic's DNS proxy): ${listed(callers)}`;
  if (special === 'portless')
    return `sent what has no ports, as ping does, which only a rule that opens every port allows: ${listed(callers)}`;
  return listed(callers);
}

/** `{ host: apt.internal, ports: [80/tcp] }`. */
function ruleText({ about, text, ports }: SuggestedRule): string {
  const open = ports ? `, ports: [${ports.map(formatPorts).join(', ')}]` : '';
  return `{ ${about}: ${scalar(text)}${open} }`;
}

/** Text as YAML reads it back: plain where nothing could take it for something else. */
export function scalar(text: string): string {
  const word = /^[a-z][a-z0-9._-]*$/.test(text) && !['true', 'false', 'null'].includes(text);
  return word || /^\d+\.\d+\.\d+\.\d+$/.test(text) ? text : JSON.stringify(text);
}

function countsOf({ calls, seen, special }: SuggestedRule): string {
  const count = plural(calls, special === 'lookup' ? 'lookup' : 'call');
  return seen.length > 0 ? `${count} to ${listed(seen)}` : count;
}

/** What a policy of its own for these rules says, ready to be put in force. */
export function policyText(deployment: string, suggestion: Suggestion): string {
  const { rules, leftOut } = suggestion;
  const name = scalar(deployment);
  const lines = ruleLines(rules).map((line) => `      ${blockLine(line)}`);
  return [
    ...about(suggestion).map((line) => `# ${line}`),
    'version: 1',
    '',
    'services:',
    '  # What is deployed: give it its hosts, and make what depends on it services of their own.',
    `  ${name}: {}`,
    '',
    'deployments:',
    `  ${name}:`,
    '    mode: enforce',
    '    default: deny',
    ...(lines.length > 0 ? ['    allow:', ...lines] : ['    allow: []']),
    ...leftOutLines(leftOut).map((line) => `# ${line}`),
    '',
  ].join('\n');
}

/** A line in block style: `- { host: … } # 3 calls`, or a comment. */
export function blockLine({ rule, comment }: RuleLine): string {
  const said = comment === null ? '' : `# ${plain(comment)}`;
  return rule === null ? said : ['-', rule, said].filter(Boolean).join(' ');
}

/** A line in flow style, with the comma that ends the rule before the next. */
export function flowLine({ rule, comment }: RuleLine, last: boolean): string {
  const said = comment === null ? '' : `# ${plain(comment)}`;
  return rule === null ? said : [`${rule}${last ? '' : ','}`, said].filter(Boolean).join(' ');
}

/** What the suggestion comes from. */
export function about({ runs, calls, first, last }: Suggestion): string[] {
  const days = [...new Set([first, last].flatMap((time) => time?.slice(0, 10) ?? []))].join(' to ');
  return [
    `Suggested by \`acyclic policy suggest\` from ${plural(calls, 'call')} of ${plural(runs, 'run')}, ${days || 'none'}.`,
    'It allows what was seen, whether or not it was meant: read it before it is put in force.',
  ].map(plain);
}

/** What was seen and is not allowed, and why. */
export function leftOutLines(leftOut: readonly LeftOut[]): string[] {
  if (leftOut.length === 0) return [];
  const lines = leftOut.map(({ destination, count, why, cycle }) => {
    const path = cycle && cycle.length > 0 ? `: ${cycle.join(' -> ')}` : '';
    return plain(`  ${destination} (${plural(count, 'call')}) ${why}${path}`);
  });
  return ['Left out:', ...lines];
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function listed(names: readonly string[]): string {
  const more = names.length - MOST_LISTED;
  const shown = names.slice(0, more > 0 ? MOST_LISTED : names.length).join(', ');
  return more > 0 ? `${shown} and ${more} more` : shown;
}

/** Names of programs are anybody's choice: in a comment they are ASCII on one line, and not long. */
function plain(text: string): string {
  const ascii = text.replaceAll(/[^\x20-\x7e]/g, '?');
  return ascii.length > 160 ? `${ascii.slice(0, 157)}...` : ascii;
}
