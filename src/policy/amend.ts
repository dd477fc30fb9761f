import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Node,
  type Pair,
  parseDocument,
  type YAMLMap,
  type YAMLSeq,
} from 'yaml';
import { blockLine, flowLine, type RuleLine, scalar } from './suggest-text.ts';

/** A file of a policy, by the name the policy has it under. */
export interface PolicyText {
  readonly name: string;
  readonly text: string;
}

/** The policy is written in a way that cannot be added to. */
class AmendFailure extends Error {
  override readonly name = 'AmendFailure';
  readonly code = 'policy';
  readonly remedy = 'write the list out in full, or leave the policy out: then a new one is suggested';
}

/**
 * The one file that changes when a deployment is to allow more: every character of it stays, and lines are put
 * in after the `allow` rules there are. A deployment the policy does not have is added to its first file with
 * deployments. The files must be without error. Throws AmendFailure.
 */
export function amend(
  files: readonly PolicyText[],
  deployment: string,
  lines: readonly RuleLine[],
): PolicyText {
  const holds = (file: PolicyText, path: readonly string[]) => parse(file.text).hasIn(path);
  const file =
    files.find((each) => holds(each, ['deployments', deployment])) ??
    files.find((each) => holds(each, ['deployments'])) ??
    files[0];
  if (!file) throw new AmendFailure('there is no policy file to add to');
  if (lines.length === 0) return file;
  return { name: file.name, text: insert(file.text, ['deployments', deployment, 'allow'], lines) };
}

/**
 * The files that change when services are to depend on more, each with lines for its list. What holds for `amend`
 * holds here. Throws AmendFailure.
 */
export function amendServices(
  files: readonly PolicyText[],
  additions: ReadonlyMap<string, readonly RuleLine[]>,
): PolicyText[] {
  return files.flatMap(({ name, text }) => {
    const own = [...additions].filter(([service]) => parse(text).hasIn(['services', service]));
    const changed = own.reduce(
      (before, [service, lines]) => insert(before, ['services', service, 'depends_on'], lines),
      text,
    );
    return own.length > 0 ? [{ name, text: changed }] : [];
  });
}

function parse(text: string) {
  return parseDocument(text, { schema: 'core', logLevel: 'error', uniqueKeys: false });
}

/** Adds lines to the list at the path, making what there is not yet on the way to it. */
function insert(text: string, path: readonly string[], lines: readonly RuleLine[]): string {
  const newline = text.includes('\r\n') ? '\r\n' : '\n';
  let node: unknown = parse(text).contents;
  let inFlow = false;
  for (const [depth, key] of path.entries()) {
    if (isAlias(node)) throw new AmendFailure(`\`${path.slice(0, depth).join('.')}\` is a YAML alias`);
    if (!isMap(node)) throw new AmendFailure(`\`${path.slice(0, depth).join('.')}\` is not a mapping`);
    const pair: Pair | undefined = node.items.find((item) => isScalar(item.key) && item.key.value === key);
    if (!pair) return addKey(text, node, path.slice(depth), lines, newline);
    inFlow ||= node.flow ?? false;
    node = pair.value;
  }
  if (isAlias(node)) throw new AmendFailure(`\`${path.join('.')}\` is a YAML alias`);
  if (!isSeq(node)) throw new AmendFailure(`\`${path.join('.')}\` is not a list`);
  if (!node.flow) return addToBlockList(text, node, lines, newline);
  return (
    (inFlow ? null : asBlockList(text, node, lines, newline)) ?? addToFlowList(text, node, lines, newline)
  );
}

function addToBlockList(text: string, list: YAMLSeq, lines: readonly RuleLine[], newline: string): string {
  const indent = ' '.repeat(columnOf(text, startOf(list)));
  return putLines(
    text,
    endOf(list.items.at(-1) as Node),
    lines.map((line) => indent + blockLine(line)),
    newline,
  );
}

/** A list that stands on the line of its key is written out, one rule a line; null where it stands otherwise. */
function asBlockList(
  text: string,
  list: YAMLSeq,
  lines: readonly RuleLine[],
  newline: string,
): string | null {
  const [start, end] = [startOf(list), endOf(list)];
  const inside = text.slice(start, end);
  const key = text.slice(text.lastIndexOf('\n', start - 1) + 1, start);
  if (/[\n#]/.test(inside) || !key.trimEnd().endsWith(':')) return null;
  const indent = `${indentAt(text, start)}  `;
  const found = text.indexOf('\n', end);
  const lineEnd = found < 0 ? text.length : found;
  const items = (list.items as Node[]).map((item) => `${indent}- ${text.slice(startOf(item), endOf(item))}`);
  const head = text.slice(0, start).trimEnd() + text.slice(end, lineEnd).trimEnd();
  const all = [head, ...items, ...lines.map((line) => indent + blockLine(line)), ''];
  return all.join(newline) + text.slice(lineEnd + 1);
}

/** What goes on after the new lines stays within the block around it by being indented more than that. */
function addToFlowList(text: string, list: YAMLSeq, lines: readonly RuleLine[], newline: string): string {
  const last = list.items.at(-1) as Node | undefined;
  const at = last ? endOf(last) : startOf(list) + 1;
  const inside = `${indentAt(text, startOf(list))}  `;
  const inner = [last ? ',' : '', ...flowLines(lines, `${inside}  `), inside];
  return text.slice(0, at) + inner.join(newline) + text.slice(at).trimStart();
}

/** Adds the keys that are missing below a mapping, the last of them with the list. */
function addKey(
  text: string,
  map: YAMLMap,
  [key = '', ...rest]: readonly string[],
  lines: readonly RuleLine[],
  newline: string,
): string {
  if (!map.flow && map.items.length > 0) {
    const indent = ' '.repeat(columnOf(text, startOf(map)));
    const keys = [key, ...rest].map((each, depth) => `${indent}${'  '.repeat(depth)}${scalar(each)}:`);
    const below = `${indent}${'  '.repeat(rest.length + 1)}`;
    const last = map.items.at(-1) as Pair;
    const end = endOf((last.value ?? last.key) as Node);
    return putLines(text, end, [...keys, ...lines.map((line) => below + blockLine(line))], newline);
  }
  const last = map.items.at(-1);
  const at = last ? endOf((last.value ?? last.key) as Node) : startOf(map) + 1;
  const inside = `${indentAt(text, startOf(map))}  `;
  const open = [key, ...rest].map((each) => `${scalar(each)}: `).join('{ ');
  const inner = [
    ...[last ? ',' : '', `${inside}  ${open}[`],
    ...flowLines(lines, `${inside}    `),
    ...[`${inside}  ]${' }'.repeat(rest.length)}`, inside],
  ];
  return text.slice(0, at) + inner.join(newline) + text.slice(at).trimStart();
}

function flowLines(lines: readonly RuleLine[], indent: string): string[] {
  const end = lines.findLastIndex(({ rule }) => rule !== null);
  return lines.map((line, i) => indent + flowLine(line, i === end));
}

/** Puts whole lines after the line that holds the character before `end`. */
function putLines(text: string, end: number, lines: readonly string[], newline: string): string {
  const found = text[end - 1] === '\n' ? end - 1 : text.indexOf('\n', end);
  const at = found < 0 ? text.length : found + 1;
  const before = found < 0 && text !== '' ? newline : '';
  return `${text.slice(0, at)}${before}${lines.join(newline)}${newline}${text.slice(at)}`;
}

function startOf(node: Node): number {
  return node.range?.[0] ?? 0;
}

/** Where the value ends, before blanks and comments. */
function endOf(node: Node): number {
  return node.range?.[1] ?? 0;
}

function columnOf(text: string, offset: number): number {
  return offset - (text.lastIndexOf('\n', offset - 1) + 1);
}

/** The blanks the line of an offset begins with. */
function indentAt(text: string, offset: number): string {
  const start = text.lastIndexOf('\n', offset - 1) + 1;
  return /^ */.exec(text.slice(start))?.[0] ?? '';
}
