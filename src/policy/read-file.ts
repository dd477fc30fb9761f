import { isScalar } from 'yaml';
import type { z } from 'zod';
import { nearest } from './nearest.ts';
import type { Path } from './path.ts';
import { type Place, Places, problemAt } from './place.ts';
import { MAX_POLICY_BYTES } from './policy-bytes.ts';
import { type Fault, fault, type Problem } from './problem.ts';
import { salvage } from './salvage.ts';
import { type PolicyFile, policyFile } from './schema.ts';
import { yamlProblems } from './yaml-faults.ts';
import { onlyDocument, parseYaml } from './yaml-text.ts';

/** A policy file as text. */
export interface PolicySource {
  /** As people are told of it. */
  readonly path: string;
  readonly text: string;
}

/** A file of the right shape, and where things stand in it. */
export interface ReadFile {
  readonly path: string;
  readonly data: PolicyFile;
  readonly places: Places;
  /** Of every service, its name, misshapen ones too. */
  readonly serviceNames: readonly string[];
}

/** YAML aliases followed in one file; a policy needs few, a bomb needs many. */
const MAX_ALIASES = 100;

/** Reads one file's YAML and checks its shape; every mistake goes to `problems`. Null: it has no use. */
export function readFile({ path, text }: PolicySource, problems: Problem[]): ReadFile | null {
  const top: Place = { line: 1, column: 1, text: null };
  const refuse = (found: Fault, place = top) => {
    problems.push(problemAt(path, place, found));
    return null;
  };
  if (text.length > MAX_POLICY_BYTES || new TextEncoder().encode(text).length > MAX_POLICY_BYTES)
    return refuse(fault('too-large', 'the file is over 4 MiB, the most a policy may have'));
  if (/[\0\ufffd]/.test(text)) return refuse(fault('not-text', 'the file is not text'));
  const yaml = parseYaml(text);
  if ('offset' in yaml) return refuse(yaml, placeIn(text, yaml.offset, yaml.length));
  const document = onlyDocument(yaml);
  const places = new Places(document, yaml.lines, text);
  const faulty = yamlProblems(path, document, places, text);
  problems.push(...faulty);
  if (faulty.length > 0) return null;
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null))
    return refuse(fault('empty', 'the file is empty: a policy begins with `version: 1`'));
  let data: unknown;
  try {
    data = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (error) {
    return refuse(fault('alias', `YAML aliases cannot be followed: ${(error as Error).message}`));
  }
  return shape(path, data, places, problems);
}

/** Checks the shape; what is misshapen is told and left out, so that the rest is checked as well. */
function shape(path: string, data: unknown, places: Places, problems: Problem[]): ReadFile | null {
  const serviceNames = Object.keys(valueAt(data, ['services']) ?? {});
  const parsed = policyFile.safeParse(data, { reportInput: true });
  if (parsed.success) return { path, data: parsed.data, places, serviceNames };
  for (const issue of parsed.error.issues) problems.push(...shapeProblems(path, issue, places, data));
  const rest = salvage(
    data,
    parsed.error.issues.flatMap((issue) => misshapen(issue, data)),
  );
  const again = policyFile.safeParse({ version: 1, ...Object(rest.data) });
  return again.success ? { path, data: again.data, places: places.salvaged(rest), serviceNames } : null;
}

function misshapen(issue: Issue, data: unknown): Path[] {
  const where = issue.path as Path;
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => [...where, key]);
  return [valueAt(data, where) === undefined ? where.slice(0, -1) : where];
}

/** A place in a text that was not parsed. */
function placeIn(text: string, offset: number, length: number): Place {
  const before = text.slice(0, offset).split('\n');
  const column = (before.at(-1)?.length ?? 0) + 1;
  return { line: before.length, column, text: text.slice(offset, offset + length) };
}

type Issue = z.core.$ZodIssue;

function shapeProblems(path: string, issue: Issue, places: Places, data: unknown): Problem[] {
  const where = issue.path as Path;
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(where);
    return issue.keys.map((key) => {
      const place = places.key([...where, key]);
      return problemAt(
        path,
        place,
        fault('unknown-key', `unknown key \`${key}\` in ${describe(where)}`, nearest(key, known)),
      );
    });
  }
  const absent = valueAt(data, where) === undefined;
  const place = absent ? places.value(where.slice(0, -1)) : places.value(where);
  return [problemAt(path, place, absent ? missing(where) : mistyped(issue, where, valueAt(data, where)))];
}

function missing(where: Path): Fault {
  const key = String(where.at(-1));
  if (key === 'version') return fault('missing-key', 'the policy does not say its `version`', 'version: 1');
  return fault('missing-key', `${describe(where.slice(0, -1))} needs \`${key}\``);
}

function mistyped(issue: Issue, where: Path, value: unknown): Fault {
  const shown = typeof value === 'object' ? kindOf(value) : `\`${String(value)}\``;
  if (where.length === 1 && where[0] === 'version')
    return fault('bad-version', `${shown} is not a version of the policy language`, '1');
  if (issue.code === 'invalid_value') {
    const allowed = issue.values.map(String);
    return fault('bad-value', `${shown} is none of ${allowed.join(', ')}`, nearest(String(value), allowed));
  }
  if (issue.code === 'invalid_type') {
    const quoted = issue.expected === 'string' && typeof value === 'number';
    const message = `${shown} is ${kindOf(value)} where ${article(issue.expected)} is meant`;
    return fault('wrong-type', message, quoted ? `"${String(value)}"` : listed(issue.expected, value));
  }
  if (issue.code === 'too_small') return fault('bad-value', `${describe(where)} is empty`);
  return fault('wrong-type', `${shown} has no meaning as ${describe(where)}`);
}

function listed(expected: string, value: unknown): string | null {
  return expected === 'array' && typeof value !== 'object' ? `[${String(value)}]` : null;
}

function kindOf(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' ? 'a mapping' : `a ${typeof value}`;
}

function article(expected: string): string {
  const words: Record<string, string> = {
    array: 'a list',
    object: 'a mapping',
    record: 'a mapping',
    string: 'text',
  };
  return words[expected] ?? `a ${expected}`;
}

/** What a path leads to, in the words of the policy language. */
function describe(where: Path): string {
  const [top, name, key] = where;
  if (where.length === 0) return 'the policy';
  if (where.length === 1) return `\`${String(top)}\``;
  const object =
    top === 'services'
      ? `service \`${name}\``
      : top === 'deployments'
        ? `deployment \`${name}\``
        : `\`${top}\``;
  const flat = top === 'floor' || top === 'roles';
  if (where.length === 2 && !flat) return object;
  const list = flat ? name : key;
  const index = where.find((step) => typeof step === 'number');
  return index === undefined
    ? `\`${String(list)}\` of ${object}`
    : `an entry of \`${String(list)}\` of ${object}`;
}

/** The keys that have a meaning where an unknown one stands, from the published schema itself. */
function knownKeys(where: Path): readonly string[] {
  let at: unknown = policyFile;
  for (const step of where) at = child(at, step);
  const shape = (unwrap(at) as { shape?: object } | null)?.shape;
  return shape ? Object.keys(shape) : [];
}

function child(schema: unknown, step: string | number): unknown {
  const bare = unwrap(schema) as {
    shape?: Record<string, unknown>;
    valueType?: unknown;
    element?: unknown;
  } | null;
  if (bare?.shape) return bare.shape[String(step)];
  return bare?.valueType ?? bare?.element;
}

function unwrap(schema: unknown): unknown {
  const inner = (schema as { unwrap?: () => unknown } | undefined)?.unwrap;
  const wrapped = (schema as { def?: { type?: string } } | undefined)?.def?.type === 'optional';
  return wrapped && inner ? unwrap(inner.call(schema)) : schema;
}

function valueAt(data: unknown, where: Path): unknown {
  return where.reduce<unknown>(
    (at, step) => (at as Record<string | number, unknown> | undefined)?.[step],
    data,
  );
}
