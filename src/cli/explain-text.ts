import type { Candidate, ExplainedIdentity, ExplainedTier, Explanation } from '../policy/explain.ts';
import type { ExplainedCall, ExplainedPart } from '../policy/explain-dest.ts';
import type { LiveEntry } from '../policy/live.ts';
import { formatPieces } from '../policy/pieces.ts';
import { formatOutcome, formatOwnedRule } from '../policy/rule-text.ts';
import type { Clause } from '../policy/tier.ts';
import { formatClause } from './policy-words.ts';

/** What all parts have in common. */
export interface About {
  readonly dest: string;
  readonly deployment: string | null;
  readonly mode: string;
  readonly policy: string;
  /** The file or directory of the policy. */
  readonly source: string;
  /** That are about the deployment; null: they were not looked at. */
  readonly live: readonly LiveEntry[] | null;
  /** Why not. */
  readonly why: string | null;
}

const MOST_CANDIDATES = 12;
const MOST_CLOSER = 8;

const TIERS = {
  'live-deny': 'live',
  'live-allow': 'live',
  floor: 'floor',
  option: '--deny',
  circular: 'circular',
  rules: 'rules',
} as const;

/** The parts as text: for each what is decided at which ports, and by which tier and rule. */
export function formatParts(parts: readonly ExplainedPart[], about: About): string[] {
  const whose = about.deployment === null ? '' : ` for deployment ${about.deployment}`;
  const head = `${about.dest}${whose}, ${about.mode}, policy ${about.policy}`;
  return [head, `  policy of ${about.source}, ${formatLive(about)}`, ...parts.flatMap(formatPart)];
}

function formatLive({ live, why }: About): string {
  if (live === null) return `without live entries: ${why}`;
  return live.length === 0
    ? 'with no live entry above it'
    : `with ${live.length} live ${live.length === 1 ? 'entry' : 'entries'} above it`;
}

function formatPart(part: ExplainedPart): string[] {
  const { about, anyName, anyAddress, lookup, calls, closer } = part;
  const any = [
    ...(anyName === null ? [] : [`any name${about === '*' ? '' : ' below'} that no rule names closer`]),
    ...(anyAddress === null ? [] : ['any address that no rule names closer']),
  ];
  const more = closer.length > MOST_CLOSER ? ` and ${closer.length - MOST_CLOSER} more` : '';
  return [
    '',
    any.length > 0 ? `${about}: ${any.join(', at ')}` : about,
    ...(closer.length > 0 ? [`  closer: ${closer.slice(0, MOST_CLOSER).join(', ')}${more}`] : []),
    ...(calls.length === 0 ? ['  closer rules hold all of it'] : []),
    ...(lookup === null ? [] : [`  lookup: ${formatDecision(lookup)}`]),
    ...calls.flatMap((call) => formatCall(call, part)),
  ];
}

function formatCall({ ports, explanation }: ExplainedCall, part: ExplainedPart): string[] {
  const { decision, tiers } = explanation;
  const { reason, instead } = decision.rule;
  return [
    `  on ${formatPieces(ports)}: ${formatDecision(explanation)}`,
    ...(decision.cycle ? [`    cycle    ${decision.cycle.join(' → ')}`] : []),
    ...(!decision.cycle && reason !== null ? [`    reason   ${reason}`] : []),
    ...(instead === null ? [] : [`    instead  ${instead}`]),
    ...tiers.flatMap((tier) => formatTier(tier, part)),
    `    default  ${decision.rule.kind === 'default' ? 'decides' : 'not reached'}`,
  ];
}

function formatDecision({ decision }: Explanation): string {
  const { answer, verdict, rule } = decision;
  const says = formatOutcome(answer, rule);
  return verdict === answer ? says : `${says}   verdict ${verdict}`;
}

function formatTier({ name, answer, decides, identities }: ExplainedTier, part: ExplainedPart): string[] {
  const says = answer === null ? 'says nothing' : decides ? `${answer}: decides` : `would say ${answer}`;
  return [
    `    ${TIERS[name].padEnd(8)} ${says}`,
    ...identities.flatMap((identity) => formatIdentity(identity, part)),
  ];
}

function formatIdentity({ identity, winner, candidates }: ExplainedIdentity, part: ExplainedPart): string[] {
  const label =
    identity === part.anyAddress ? 'its address' : identity === part.anyName ? 'the name' : identity;
  const shown = candidates.slice(0, MOST_CANDIDATES);
  const left = candidates.length - shown.length;
  return [
    `      ${label}`,
    ...shown.map((candidate) => `        ${formatCandidate(candidate, winner)}`),
    ...(left > 0 ? [`        and ${left} more`] : []),
  ];
}

function formatCandidate({ clause, fate }: Candidate, winner: Clause | null): string {
  const why = {
    won: `won: ${closeness(clause)}`,
    'other-ports': 'lost: its ports do not hold this one',
    'less-close': 'lost: a closer pattern won',
    'without-ports': 'lost: a rule with ports won',
    weaker: `lost: ${winner?.answer} is stronger`,
    'after-equal': 'lost: an equal rule stands before it',
  }[fate];
  return `${(clause.answer ?? 'none').padEnd(5)}  ${formatClause(clause)}   ${formatOwnedRule(clause.rule)}   ${why}`;
}

function closeness({ host, address, ports }: Clause): string {
  const by =
    host && address
      ? 'that host at that address'
      : host
        ? { exact: 'the name itself', below: 'the longest wildcard', any: 'any name' }[host.kind]
        : address?.length === 128
          ? 'the address itself'
          : 'the longest prefix';
  return ports === null ? by : `${by}, at its port`;
}

/** The parts as data: patterns and ports as the policy language writes them. */
export function partsAsJson(parts: readonly ExplainedPart[]): object[] {
  return parts.map(({ about, anyAddress, anyName, lookup, calls, closer }) => ({
    about,
    any_address: anyAddress !== null,
    any_name: anyName !== null,
    closer,
    lookup: lookup && explanationAsJson(lookup),
    calls: calls.map(({ ports, explanation }) => ({
      ports: formatPieces(ports),
      ...explanationAsJson(explanation),
    })),
  }));
}

function explanationAsJson({ decision, tiers }: Explanation): object {
  return {
    ...decision,
    tiers: tiers.map(({ identities, ...tier }) => ({
      ...tier,
      identities: identities.map(({ identity, candidates }) => ({
        identity,
        candidates: candidates.map(({ clause, fate }) => ({
          fate,
          answer: clause.answer,
          pattern: formatClause(clause),
          rule: clause.rule,
        })),
      })),
    })),
  };
}
