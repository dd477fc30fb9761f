import { namedDelegateAt } from '../guard/delegates.ts';
import { type LoadedPolicy, loadInstalledPolicy, loadPolicy } from '../guard/policy-files.ts';
import type { AuditEvent } from '../model/event.ts';
import type { Past, PastQuery } from '../model/past.ts';
import { formatTarget } from '../model/target.ts';
import { amend } from '../policy/amend.ts';
import { bareDeployment } from '../policy/bare-deployment.ts';
import { nameFault } from '../policy/object-name.ts';
import type { Policy } from '../policy/policy.ts';
import { Suggester } from '../policy/suggest.ts';
import { about, leftOutLines, policyText, ruleLines } from '../policy/suggest-text.ts';
import type { Suggestion } from '../policy/suggestion.ts';
import { unifiedDiff } from '../policy/unified-diff.ts';
import { processName } from './message.ts';
import { Failure, type Output, printResult } from './output.ts';
import { openPast, readSince } from './past.ts';
import { compileHere } from './policy-loading.ts';

/** What is learned from, and for which policy and deployment, as given on the command line. */
export interface LearnOptions {
  readonly run?: string;
  readonly since?: string;
  readonly report?: string[];
  readonly state?: string;
  readonly policy?: string;
  readonly deployment?: string;
  readonly json?: true;
}

/** What to call a deployment that nobody named. */
const UNNAMED = 'deploy';

/** Learns from the past and prints what it comes to: a policy, or a diff of the one there is. */
export async function learnPolicy(options: LearnOptions, output: Output): Promise<void> {
  const past = openPast(options, output);
  const since = options.since === undefined ? null : readSince(options.since);
  const query: PastQuery = { run: options.run ?? null, deployment: null, since };
  const loaded = options.policy === undefined ? loadInstalledPolicy() : loadPolicy(options.policy);
  const deployment = options.deployment ?? (await onlyDeployment(past, query, loaded?.policy ?? null));
  const fault = nameFault('deployment', deployment);
  if (fault)
    throw new Failure(
      'bad-value',
      fault.message,
      fault.suggestion && `did you mean \`${fault.suggestion}\`?`,
    );
  const policy = loaded && withDeployment(loaded.policy, deployment);
  const suggester = new Suggester({
    policy: compileHere(policy, policy && deployment, { default: 'deny', mode: 'enforce' }),
    services: policy?.services ?? new Map(),
    caller: callerOf,
    target: formatTarget,
    delegateAt: namedDelegateAt,
  });
  for await (const event of past.events(query)) if (ofDeployment(event, deployment)) suggester.add(event);
  const suggestion = suggester.result();
  if (suggestion.calls === 0)
    output.say('warning', ['acyclic: no call was found, so there is nothing to allow']);
  const text = loaded ? diffText(loaded, deployment, suggestion, output) : policyText(deployment, suggestion);
  if (!options.json) printResult(text);
  else
    printResult(
      JSON.stringify({ v: 1, deployment, policy: loaded?.id ?? null, text, ...asJson(suggestion) }),
    );
}

/** A run that named none may have been of it; what an attached service called is not. */
function ofDeployment({ attached, deployment }: AuditEvent, asked: string): boolean {
  return attached === undefined && (deployment === null || deployment === asked);
}

function diffText(
  { files }: LoadedPolicy,
  deployment: string,
  suggestion: Suggestion,
  output: Output,
): string {
  const changed = amend(files, deployment, ruleLines(suggestion.rules));
  const file = files.find(({ name }) => name === changed.name);
  const diff = file ? unifiedDiff(file.file, file.text, changed.text) : '';
  const leftOut = leftOutLines(suggestion.leftOut);
  if (diff !== '') return [...[...about(suggestion), ...leftOut].map((line) => `# ${line}`), diff].join('\n');
  if (suggestion.calls > 0)
    output.say('info', ['acyclic: the policy speaks of every call that was seen', ...leftOut]);
  return '';
}

/** The deployment the events are of, if there is one. Throws Failure if there are several. */
async function onlyDeployment(past: Past, query: PastQuery, policy: Policy | null): Promise<string> {
  const names = new Set<string>();
  for await (const { deployment } of past.runs(query)) if (deployment !== null) names.add(deployment);
  if (names.size === 0)
    for await (const { deployment } of past.events(query)) if (deployment !== null) names.add(deployment);
  const known = names.size > 0 ? [...names] : [...(policy?.deployments.keys() ?? [])];
  const [only = UNNAMED, ...others] = known;
  if (others.length === 0) return only;
  throw new Failure(
    'bad-value',
    `there are ${known.length} deployments, and none was named`,
    `name one: -d ${known.slice(0, 8).join(', -d ')}`,
  );
}

/** A deployment the policy does not have yet is one of which nothing is said. */
function withDeployment(policy: Policy, name: string): Policy {
  if (policy.deployments.has(name)) return policy;
  const bare = bareDeployment(name, policy.services.has(name) ? [name] : []);
  return { ...policy, deployments: new Map([...policy.deployments, [name, bare]]) };
}

/** `curl from mysqlctl`: the program, and the nearest of those that led to it that is another. */
function callerOf({ process }: AuditEvent): string {
  const own = processName(process);
  const parent = process?.ancestry.find((image) => image.pid !== process.pid && processName(image) !== own);
  return parent ? `${own} from ${processName(parent)}` : own;
}

function asJson({ rules, leftOut, ...seen }: Suggestion): object {
  return { ...seen, rules, left_out: leftOut };
}
