import type { AuditEvent, EventDependency } from '../model/event.ts';
import { type ProcessImage, programName } from '../model/process.ts';
import { formatTarget } from '../model/target.ts';
import type { RuleReference } from '../model/verdict.ts';
import { formatRule } from '../policy/rule-text.ts';

/** All there is to say about one denied call. */
export interface DenialView {
  readonly event: AuditEvent;
  readonly rule: RuleReference;
  /** Services from the deployment back to itself; null when the rule is not about a cycle. */
  readonly cycle: readonly string[] | null;
  readonly dependency: EventDependency | null;
  /** What the caller got: `connect() = EPERM`, `lookup = NXDOMAIN`. */
  readonly saw: string;
  /** The run's command first; the caller itself last, or left out. */
  readonly lineage: readonly ProcessImage[];
  readonly instead: string | null;
  /** How often the same was denied since it was last told; 0 for the first time. */
  readonly repeats: number;
  /** A command that shows the whole event; null when there is none. */
  readonly more: string | null;
}

/** Where the remark after a value begins, so that remarks line up under each other. */
const REMARK_COLUMN = 29;
const MOST_LINEAGE = 6;
const ARROW = ' → ';

/** The message for a denied call (design §2): its first line, and indented ones for what there is to say. */
export function formatDenial(view: DenialView, width = 200): string[] {
  const { event, rule, cycle, saw } = view;
  const instead = view.instead ?? rule.instead;
  const lines = [formatDenied(event, processLabel(event.process), view.repeats)];
  const add = (label: string, value: string | null, remark: string | null = null) => {
    if (value === null || value === '') return;
    const text = remark === null ? value : `${value.padEnd(REMARK_COLUMN)}   ${remark}`;
    lines.push(trim(`  ${label.padEnd(8)} ${text}`, width));
  };
  add('cycle', cycle?.join(ARROW) ?? null, formatDependency(view.dependency));
  add('rule', formatRule(rule), rule.owner === null ? null : `owner ${rule.owner}`);
  // A cycle says its reason itself.
  add('reason', cycle === null ? rule.reason : null);
  add('process', formatLineage(view));
  add('saw', saw);
  add('instead', instead);
  add('more', view.more);
  return lines;
}

/** One line for repeats of a denial that was told before. */
export function formatRepeats(view: DenialView): string {
  return formatDenied(view.event, processName(view.event.process), view.repeats);
}

function formatDenied(event: AuditEvent, who: string, repeats: number): string {
  const what = event.verdict === 'would-deny' ? 'would deny' : 'denied';
  const address = repeats > 0 ? '' : formatBehind(event);
  const count = repeats > 0 ? ` ×${repeats} more` : '';
  return `acyclic: ${what} ${who}${ARROW}${formatTarget(event)}${address}${count}`;
}

/** The address behind a name. */
function formatBehind(event: AuditEvent): string {
  const { names, address } = event.destination ?? { names: [], address: null };
  return names.length > 0 && address !== null && event.kind !== 'dns' ? ` (${address})` : '';
}

/** How the destination came to be called; null when that is not known. */
export function formatDependency(dependency: EventDependency | null): string | null {
  if (dependency === null || dependency.kind === null) return null;
  const { kind, evidence, path } = dependency;
  if (kind === 'transient' && path.length > 3) return `${kind}: through ${path[1]}`;
  if (evidence === null) return kind;
  if (kind !== 'direct') return `${kind}: ${evidence}`;
  return `${kind}: named ${evidence.startsWith('argv of ') ? 'in' : 'at'} ${evidence}`;
}

function formatLineage(view: DenialView): string | null {
  const own = view.event.process;
  if (own === null) return null;
  const chain: ProcessImage[] = [];
  for (const image of [...view.lineage, own]) {
    // A process that ran another program is one process: its last image stands for it.
    if (chain.at(-1)?.pid === image.pid) chain.pop();
    chain.push(image);
  }
  const labels = chain.map(processLabel);
  const left = labels.length - MOST_LINEAGE;
  if (left > 0) labels.splice(2, left, '…');
  const argv = own.argv === null ? '' : `: ${own.argv.map(shellQuote).join(' ')}`;
  return labels.join(ARROW) + argv;
}

/** `curl[4242]`. */
export function processLabel(image: ProcessImage | null): string {
  return image === null ? processName(image) : `${processName(image)}[${image.pid}]`;
}

/** What people call a process: the script for one an interpreter runs from a file, otherwise the program. */
export function processName(image: ProcessImage | null): string {
  return image === null ? 'an unknown process' : programName(image);
}

/** An argument as one would type it for a POSIX shell. */
export function shellQuote(argument: string): string {
  if (/^[A-Za-z0-9_@%+=:,./-]+$/.test(argument)) return argument;
  return `'${argument.replaceAll("'", "'\\''")}'`;
}

/** At most `width` characters, the last an ellipsis when something was cut. */
export function trim(line: string, width: number): string {
  if (line.length <= width) return line;
  return `${line.slice(0, width - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}
