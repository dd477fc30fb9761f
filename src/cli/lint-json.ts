import { formatHost } from '../script/host.ts';
import type { Linted, LintedHost } from './lint-script.ts';

/** The result as one JSON object; fields are added, never renamed. */
export function asJson(linted: Linted): object {
  const { script, policy, policyId, files, programs, complete } = linted;
  return {
    v: 1,
    script,
    deployment: policy?.deployment ?? null,
    policy: policyId,
    mode: policy?.mode ?? null,
    files,
    hosts: linted.hosts.map(hostAsJson),
    unseen: linted.unseen.map(({ place, kind, what }) => ({ ...place, kind, what })),
    programs,
    complete,
  };
}

function hostAsJson({ mention, decision }: LintedHost): object {
  const { place, host, port, protocol } = mention;
  const rule = decision?.rule ?? null;
  return {
    ...place,
    host: formatHost(host),
    ...{ port, protocol },
    service: decision?.service ?? null,
    verdict: decision?.verdict ?? null,
    rule: rule && {
      ...{ source: rule.source, kind: rule.kind, id: rule.id, service: rule.service },
      ...{ reason: rule.reason, owner: rule.owner, instead: rule.instead },
    },
    cycle: decision?.cycle ?? null,
  };
}
