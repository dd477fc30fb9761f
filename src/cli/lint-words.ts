import type { Decision } from '../policy/evaluate.ts';
import { formatRule } from '../policy/rule-text.ts';
import { formatHost } from '../script/host.ts';
import type { Mention, Unseen } from '../script/mention.ts';
import type { Place } from '../script/text.ts';

/** `github.com:443/tcp`, `*.github.com`, `[2001:db8::1]:443/tcp`. */
export function formatNamed({ host, port, protocol }: Mention): string {
  const text = formatHost(host);
  if (port === null) return text;
  return `${text.includes(':') ? `[${text}]` : text}:${port}/${protocol}`;
}

export function formatPlace({ file, line }: Place): string {
  return `${file}:${line}`;
}

/** What would happen to a call, in a word for people. */
export function formatVerdict({ verdict, answer }: Decision): string {
  if (verdict === 'deny') return 'would be denied';
  return answer === 'audit' ? 'would be marked' : 'would be denied if it were enforced';
}

/** Why, in one line: `mysql → github → mysql: circular (policy.yaml:4, service github); use tools.mirror.internal`. */
export function formatWhy({ rule, cycle }: Decision): string {
  const path = cycle ? `${cycle.join(' → ')}: ` : '';
  const reason = cycle === null && rule.reason !== null ? `: ${rule.reason}` : '';
  const instead = rule.instead === null ? '' : `; ${rule.instead}`;
  return `${path}${formatRule(rule)}${reason}${instead}`;
}

const CANNOT_TELL: Readonly<Record<Unseen['kind'], string>> = {
  outside: 'comes from outside the script',
  later: 'is known only when the script runs',
  downloaded: 'is known only when the script runs',
  unread: 'is not read',
};

/** Something reading cannot tell, in a clause. */
export function formatUnseen({ kind, what }: Unseen): string {
  return kind === 'unread' ? `${what}: ${CANNOT_TELL[kind]}` : `${what} ${CANNOT_TELL[kind]}`;
}
