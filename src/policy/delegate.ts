import { type Address, parsePrefix } from '../model/address.ts';
import { DELEGATES, type DelegateName } from '../model/delegate.ts';
import type { Answer, RuleReference } from '../model/verdict.ts';
import type { DelegateRule, Deployment, Source } from './policy.ts';
import { fault } from './problem.ts';
import type { ValueReader } from './read-rule.ts';
import type { DeploymentData } from './schema.ts';
import type { Clause } from './tier.ts';

const LOOPBACK = ['127.0.0.0/8', '::1'];
const SSH = { protocol: 'tcp', from: 22, to: 22 } as const;

/** What becomes of work for a delegate of which the policy says nothing: an agent signs, and calls nobody. */
function unsaid(name: DelegateName): Answer {
  return name === 'ssh-agent' ? 'allow' : 'audit';
}

/** What a deployment says of delegates. */
export function readDelegates(
  reader: ValueReader,
  at: readonly string[],
  data: DeploymentData['delegate'] = {},
): ReadonlyMap<DelegateName, DelegateRule> {
  const said = Object.entries(data) as [DelegateName, Answer][];
  for (const [name, answer] of said)
    if (name === 'cron' && answer === 'deny') {
      const message = '`cron` cannot be denied: it takes its work from files, which nobody here guards';
      reader.complain([...at, name], fault('bad-delegate', message, 'audit'));
    }
  // Whom systemd's own socket is closed to asks over the bus.
  if (data.systemd === 'deny' && data.dbus !== undefined && data.dbus !== 'deny') {
    const message = '`systemd` is asked over D-Bus too: it cannot be denied where `dbus` is not';
    reader.complain([...at, 'dbus'], fault('bad-delegate', message, 'deny'));
  }
  return new Map(said.map(([name, answer]) => [name, { answer, source: reader.keySource([...at, name]) }]));
}

/** What becomes of work for each delegate. Without a policy it is recorded. */
export interface CompiledDelegate {
  readonly answer: Answer;
  readonly rule: RuleReference;
}

export function compileDelegates(deployment: Deployment | null): ReadonlyMap<DelegateName, CompiledDelegate> {
  const names = Object.keys(DELEGATES) as DelegateName[];
  return new Map(
    names.map((name) => {
      const own = deployment?.delegates.get(name);
      const bus = name === 'dbus' && !own ? deployment?.delegates.get('systemd') : undefined;
      const closed = bus?.answer === 'deny' ? bus : own;
      const answer = closed?.answer ?? (deployment ? unsaid(name) : 'allow');
      const says = closed === own ? `delegate.${name}` : 'delegate.systemd, which is asked over the bus too,';
      return [name, { answer, rule: ruleOf(name, answer, closed?.source ?? null, says) }];
    }),
  );
}

function ruleOf(name: DelegateName, answer: Answer, source: Source | null, says: string): RuleReference {
  const outside = `${name} ${DELEGATES[name]}, outside the run`;
  const said = source === null ? 'what it does for it is not guarded' : `${says} is ${answer}`;
  return {
    kind: source === null ? 'default' : answer,
    source,
    id: null,
    service: null,
    reason: `${outside}: ${said}`,
    owner: null,
    instead: null,
  };
}

/** Where sshd takes work by TCP: on this host, at its own port. What is not said of it is as any call to loopback. */
export function sshdClauses(sshd: CompiledDelegate | undefined, ownAddresses: readonly Address[]): Clause[] {
  if (!sshd || sshd.rule.source === null || sshd.answer === 'allow') return [];
  const { answer, rule } = sshd;
  return [...LOOPBACK, ...ownAddresses].flatMap((text) => {
    const address = parsePrefix(text);
    return typeof address === 'object' && 'bytes' in address
      ? [{ answer, host: null, address, ports: [SSH], rule, cycle: null }]
      : [];
  });
}
