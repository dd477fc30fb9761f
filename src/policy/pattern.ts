import { normalizeName } from '../model/name.ts';
import { type Fault, fault } from './problem.ts';

/** A pattern of host names, in policy form. */
export interface HostPattern {
  /** `example.com` alone; `*.example.com` whatever is below it at any depth; `*` any name. */
  readonly kind: 'exact' | 'below' | 'any';
  /** The name, or the name below which; empty for `*`. */
  readonly name: string;
  /** The pattern as written, in policy form. */
  readonly text: string;
}

const EXACT_RANK = 1000;

/** How specific a pattern is: exact above every wildcard, a longer wildcard above a shorter, `*` last (0). */
export function hostRank(pattern: HostPattern): number {
  if (pattern.kind === 'exact') return EXACT_RANK;
  return pattern.kind === 'any' ? 0 : pattern.name.split('.').length;
}

/** Whether the pattern holds a name: whole labels, case-insensitive, trailing dot ignored. */
export function hostHolds(pattern: HostPattern, name: string): boolean {
  const plain = foldName(name);
  if (pattern.kind === 'any') return true;
  return pattern.kind === 'exact' ? plain === pattern.name : plain.endsWith(`.${pattern.name}`);
}

/** A name as it is matched: lower case, no trailing dot. */
function foldName(name: string): string {
  return (name.endsWith('.') ? name.slice(0, -1) : name).toLowerCase();
}

/** Reads a host pattern; what is an address, a URL or not in A-label form is a fault with a suggestion. */
export function readHost(text: string): HostPattern | Fault {
  if (text === '*') return { kind: 'any', name: '', text };
  const below = text.startsWith('*.');
  const rest = below ? text.slice(2) : text;
  const name = normalizeName(rest);
  if (!name) return refuse(text);
  const lastLabel = name.slice(name.lastIndexOf('.') + 1);
  if (/^\d+$/.test(lastLabel)) return refuseNumbers(text, below);
  return below ? { kind: 'below', name, text: `*.${name}` } : { kind: 'exact', name, text: name };
}

function refuseNumbers(text: string, below: boolean): Fault {
  const octets = text.split('.');
  const isAddress = !below && octets.length === 4 && octets.every((octet) => Number(octet) < 256);
  const message = isAddress
    ? `\`${text}\` is an address, not a host name: give it as an address`
    : `\`${text}\` is neither a host name nor an IP address`;
  return fault('bad-host', message);
}

function refuse(text: string): Fault {
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
  if (url) return fault('bad-host', `\`${text}\` is a URL, not a host name`, hostOfUrl(text));
  if (text.replace(/^\*\./, '').includes('*')) {
    const message = `\`${text}\` has a wildcard elsewhere than in front: \`*.\` and a name`;
    return fault('bad-host', message, withWildcardInFront(text));
  }
  if (/[^\0-\x7f]/.test(text)) {
    return fault('bad-host', `\`${text}\` is not in A-label form, as DNS carries it`, aLabels(text));
  }
  if (/^[0-9a-f:]*:[0-9a-f:.]*$/i.test(text) && text.split(':').length > 2) {
    return fault('bad-host', `\`${text}\` is an address, not a host name: give it as an address`);
  }
  const port = /^(.+):(\d+)$/.exec(text);
  if (port?.[1] && normalizeName(port[1])) {
    return fault('bad-host', `\`${text}\` has a port, which goes under \`ports\``, port[1]);
  }
  return fault('bad-host', `\`${text}\` is not a host name`, repaired(text));
}

function withWildcardInFront(text: string): string | null {
  const labels = text.split('.');
  const last = labels.findLastIndex((label) => label.includes('*'));
  const rest = labels.slice(last + 1);
  const glued = /^\*+([^*]+)$/.exec(labels[last] ?? '');
  if (glued?.[1] && last === 0) rest.unshift(glued[1]);
  const name = normalizeName(rest.join('.'));
  return name && `*.${name}`;
}

/** `new URL` applies UTS 46, which is what a browser sends to DNS. */
function aLabels(text: string): string | null {
  const below = text.startsWith('*.');
  const name = hostOfUrl(`http://${below ? text.slice(2) : text}`);
  return name && (below ? `*.${name}` : name);
}

function hostOfUrl(text: string): string | null {
  try {
    const { hostname } = new URL(text.replace(/^[a-z][a-z0-9+.-]*:/i, 'http:'));
    return normalizeName(hostname) ?? null;
  } catch {
    return null;
  }
}

/** What was meant by stray blanks, a leading dot or a path. */
function repaired(text: string): string | null {
  const trimmed = text.trim();
  if (trimmed.startsWith('.')) return normalizeName(trimmed.slice(1)) && `*${foldName(trimmed)}`;
  return normalizeName(trimmed.split('/', 1)[0] ?? '');
}
