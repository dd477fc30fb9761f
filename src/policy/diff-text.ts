import type { DeploymentDiff, ObjectDiff, PolicyDiff, SettingChange } from './diff.ts';
import type { CallChange } from './diff-calls.ts';
import type { Judgement } from './evaluate.ts';
import { formatPieces } from './pieces.ts';
import { formatOutcome } from './rule-text.ts';

const EFFECTS = {
  deny: 'denied now',
  allow: 'allowed now',
  audit: 'marked now',
  rule: 'as before',
} as const;
const EFFECT_ORDER = ['deny', 'allow', 'audit', 'rule'] as const;
const EFFECT_COLUMN = 11;

/** A line that is made when it is asked for: of ten thousand changes a few are shown. */
export type DiffLine = () => string;

/** The differences as text; one line that there are none. */
export function formatDiff(diff: PolicyDiff): string[] {
  return diffLines(diff).map((line) => line());
}

/** As formatDiff. */
export function diffLines({ floor, settings, services, deployments }: PolicyDiff): DiffLine[] {
  const sections = [
    ...(floor.length > 0 ? [[() => 'floor', ...formatCalls(floor)]] : []),
    ...(settings.length > 0 ? [[() => 'policy', ...settings.map(formatSetting)]] : []),
    ...deployments.map(formatDeployment),
    ...services.map((service) => formatObject('service', service)),
  ];
  if (sections.length === 0) return [() => 'no difference in meaning'];
  return sections.flatMap((lines, i) => (i === 0 ? lines : [BETWEEN, ...lines]));
}

/** What parts two sections. */
export const BETWEEN: DiffLine = () => '';

function formatDeployment(deployment: DeploymentDiff): DiffLine[] {
  return [...formatObject('deployment', deployment), ...formatCalls(deployment.calls)];
}

function formatObject(kind: string, { name, state, settings }: ObjectDiff): DiffLine[] {
  const head = state === 'changed' ? `${kind} ${name}` : `${kind} ${name}: ${state}`;
  return [() => head, ...settings.map(formatSetting)];
}

function formatSetting({ setting, before, after }: SettingChange): DiffLine {
  return () => `  ${'set'.padEnd(EFFECT_COLUMN)} ${setting}: ${before ?? 'none'} → ${after ?? 'none'}`;
}

/** What is denied comes first: it is what breaks. */
function formatCalls(calls: readonly CallChange[]): DiffLine[] {
  return EFFECT_ORDER.flatMap((effect) => calls.filter((call) => call.effect === effect)).flatMap(
    ({ about, ports, judged, effect }) => [
      () => `  ${EFFECTS[effect].padEnd(EFFECT_COLUMN)} ${about} on ${formatPieces(ports)}`,
      () => `    was ${formatJudgement(judged()[0])}`,
      () => `    is  ${formatJudgement(judged()[1])}`,
    ],
  );
}

function formatJudgement({ answer, rule, cycle }: Judgement): string {
  const path = cycle ? `   ${cycle.join(' → ')}` : '';
  return `${formatOutcome(answer, rule)}${path}`;
}

export function diffAsJson({ floor, settings, services, deployments }: PolicyDiff): object {
  const calls = (changes: readonly CallChange[]) =>
    changes.map(({ about, ports, judged, effect }) => {
      const [before, after] = judged().map(judgementAsJson);
      return { destination: about, ports: formatPieces(ports), effect, before, after };
    });
  return {
    floor: calls(floor),
    settings,
    deployments: deployments.map((deployment) => ({ ...deployment, calls: calls(deployment.calls) })),
    services: services.map(({ name, state, settings }) => ({ name, state, settings })),
  };
}

function judgementAsJson({ answer, rule, cycle }: Judgement): object {
  return { answer, rule, cycle };
}
