/** Every mistake a policy can hold, by code; docs/policy.md lists the same codes. */
export const problemCodes = {
  'no-files': 'there is no policy file',
  'too-large': 'a file is over 4 MiB',
  'not-text': 'a file is not text',
  empty: 'a file says nothing',
  yaml: 'a file is not valid YAML',
  nesting: 'the YAML is nested or repeated beyond any policy',
  alias: 'a YAML alias leads nowhere',
  tag: 'YAML tags are not used in a policy',
  'duplicate-key': 'a key is given twice',
  'duplicate-object': 'an object is defined twice',
  'duplicate-id': 'a rule id is used twice',
  'unknown-key': 'a key has no meaning where it stands',
  'missing-key': 'a required key is absent',
  'wrong-type': 'a value is of the wrong type',
  'bad-value': 'a value is outside what is allowed',
  'bad-version': 'the version is not 1',
  'bad-name': 'a service or deployment has a name it cannot have',
  'reserved-name': 'the name belongs to a built-in service',
  'bad-host': 'a host is not a name or a pattern of names',
  'bad-address': 'an address is not an IP address or prefix',
  'bad-port': 'a port is not a port or a range of ports',
  'bad-date': 'a date is not a date',
  'bad-rule': 'a rule does not say what it is about',
  'bad-dest': 'a destination cannot be read',
  'bad-mask': 'a pattern of secrets cannot be read',
  'bad-role': 'a role names nobody that can be',
  'bad-match': 'a unit, slice or cgroup cannot be matched so',
  'bad-delegate': 'a delegate cannot be treated so',
  'duplicate-match': 'two deployments match the same',
  'unknown-service': 'a service is not defined',
  'nothing-deployed': 'a deployment deploys no service, so nothing is circular',
  'idle-waiver': 'a waiver waives nothing',
  'closed-ports': "a rule's ports and its service's ports have none in common",
  'bad-staged': 'a staged policy does not load, or lacks the deployment',
  'circular-resolver': 'who answers lookups depends on what is deployed',
  'service-cycle': 'services depend on each other in a circle',
  'nameless-service': 'a circular service has neither hosts nor addresses, so that no call to it can be told',
  'walkable-service': 'a circular service has no addresses, where what no rule names is allowed',
  'public-suffix': 'a pattern holds names of everybody',
  'lapsed-waiver': 'a waiver has lapsed',
  'closed-rule': 'a rule opens nothing, since what it is about is circular',
  'empty-rule': 'a rule is about a service without hosts and addresses',
  'shadowed-rule': 'a rule never decides, since others stand above it',
  overlap: 'patterns of two services overlap',
  'match-overlap': 'cgroups can be matched by two deployments',
  'lapsing-waiver': 'a waiver lapses within 14 days',
  'unused-service': 'nothing uses a service',
} as const;

export type ProblemCode = keyof typeof problemCodes;

/** What is wrong with one value, before it is known where the value stands. */
export interface Fault {
  readonly code: ProblemCode;
  /** One clause without a full stop; user text in backticks. */
  readonly message: string;
  /** What to write instead, or null when that cannot be guessed. */
  readonly suggestion: string | null;
}

/** One mistake in a policy file, and where. Lines and columns count from 1. */
export interface Problem {
  readonly code: ProblemCode;
  readonly severity: 'error' | 'warning';
  /** The path as the caller gave it. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** The text at fault, or null when it is about what is not there. */
  readonly offending: string | null;
  readonly message: string;
  readonly suggestion: string | null;
}

export function fault(code: ProblemCode, message: string, suggestion: string | null = null): Fault {
  return { code, message, suggestion };
}

export function isFault(value: unknown): value is Fault {
  return typeof value === 'object' && value !== null && 'suggestion' in value && 'message' in value;
}

const LONGEST_SHOWN = 80;

/** User text for a terminal: one line, at most 80 characters, control characters as `\x1b`. */
function printable(text: string): string {
  const line = text.split('\n', 1)[0] ?? '';
  const short = line.length > LONGEST_SHOWN ? `${line.slice(0, LONGEST_SHOWN)}…` : line;
  return escapeControls(short);
}

function escapeControls(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\u2028\u2029]/gu,
    (c) => `\\x${(c.codePointAt(0) ?? 0).toString(16).padStart(2, '0')}`,
  );
}

/** `acyclic.yaml:14:7: unknown key …`, the text at fault, and a suggestion, each where there is one. */
export function formatProblem(problem: Problem): string {
  const warning = problem.severity === 'warning' ? 'warning: ' : '';
  const where = `${problem.file}:${problem.line}:${problem.column}`;
  const lines = [`${where}: ${warning}${escapeControls(problem.message)}`];
  if (problem.offending) lines.push(`  > ${printable(problem.offending)}`);
  if (problem.suggestion) lines.push(`  did you mean \`${escapeControls(problem.suggestion)}\`?`);
  return lines.join('\n');
}
