import { constants } from 'node:os';
import { expect } from 'vitest';
import type { Address } from '../../src/model/address.ts';
import type { Name } from '../../src/model/name.ts';
import type { Verdict } from '../../src/model/verdict.ts';
import type { CompiledPolicy } from '../../src/policy/compile.ts';
import { type CallDecision, type Chains, evaluateCall } from '../../src/policy/opening.ts';
import type { Harness, Seen } from './harness.ts';
import { type Case, compiled, OWN } from './harness-cases.ts';
import { type Attempt, KINDS } from './harness-dial.ts';

const { EPERM, EINPROGRESS, ECONNREFUSED, EOPNOTSUPP, EPROTONOSUPPORT } = constants.errno;

/** What the kernel reads an address as: an unspecified destination is loopback. */
function asDialled(address: Address): Address {
  return address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;
}

/** What is known of the address. */
export function chainsOf(learned: Case['learned'], address: Address): Chains {
  const texts = new Set(
    learned.filter(([at]) => asDialled(at) === asDialled(address)).map(([, chain]) => JSON.stringify(chain)),
  );
  return [...texts].map((text) => JSON.parse(text) as Name[]);
}

/** Where a connection could be made past its first bytes, it cannot be made so. */
function refusedWay(policy: CompiledPolicy, kind: string, { opening }: CallDecision): number | null {
  if (kind.startsWith('mptcp') && policy.denies) return EPROTONOSUPPORT;
  return kind.startsWith('fastopen') && opening !== 'none' ? EOPNOTSUPP : null;
}

const UDP = 17;
const EGRESS = 'cgroup_skb/egress';

/** What the policy says must be seen of an attempt: usually one record. */
function demanded(policy: CompiledPolicy, learned: Case['learned'], { kind, address, port }: Attempt) {
  const how = KINDS[kind];
  if (!how) throw new Error(`no kind ${kind}`);
  const chains = chainsOf(learned, address);
  const { transport, protocol, hook, resent } = how;
  const at = { address, port: transport === 'other' ? 0 : port, protocol: transport, chains };
  const decision = evaluateCall(policy, at);
  const { rule, cycle, service, opening } = decision;
  const waits = opening === 'wait' && hook !== EGRESS;
  const answer = waits ? 'allow' : decision.answer;
  if (refusedWay(policy, kind, decision) !== null) return [];
  // connect() of UDP where TCP may go is a look at the route: its first datagram is what is judged.
  const probes = protocol === UDP && hook.startsWith('cgroup/connect') && answer === 'deny';
  const asTcp = evaluateCall(policy, { ...at, protocol: 'tcp' });
  const judgedAt =
    probes && (asTcp.answer !== 'deny' || asTcp.opening === 'wait') ? (resent ?? EGRESS) : hook;
  // At egress only UDP hears of the drop; what others see is not known to the record.
  const refusal = judgedAt !== EGRESS ? constants.errno[policy.onDeny] : protocol === UDP ? EPERM : 0;
  const verdict: Verdict = answer === 'audit' ? 'would-deny' : answer;
  const seen = {
    ...{ kind, address: asDialled(address), port: at.port, protocol, decision: answer, opening },
    ...{
      names: [...new Set(chains.flat())].sort(),
      ambiguous: answer === 'deny' && (decision.ambiguous || opening === 'wait'),
    },
    ...{ errno: answer === 'deny' ? refusal : 0, verdict, service, rule, cycle },
  };
  const hooks = resent && answer !== 'deny' ? [hook, resent] : [judgedAt];
  // A packet has no first bytes of its own to be judged.
  return hooks.map((each) => ({
    ...seen,
    hook: each,
    opening: each === EGRESS ? ('none' as const) : opening,
  }));
}
type Demanded = ReturnType<typeof demanded>[number];

/** The same of what was recorded. */
function observed(kind: string, { record, recorded }: Seen): Demanded {
  const { address, port, protocol, decision, errno, hook, opening } = record;
  const { event, rule, cycle } = recorded;
  if (!rule || !event.verdict || !event.destination) throw new Error(`an event without a verdict: ${kind}`);
  const { names, service } = event.destination;
  return {
    ...{ kind, address, port, protocol, decision, names: [...names], errno, hook, opening },
    ...{ ambiguous: event.ambiguous ?? false, verdict: event.verdict, service, rule, cycle },
  };
}

function expectErrno(errno: number, { kind, decision, hook, errno: told }: Demanded): void {
  const refusal = hook === EGRESS ? EPERM : told;
  // A connection of a ring waits for its end, and nobody listens: refused by the peer, not by the policy.
  const reached = kind.startsWith('uring') ? [0, EINPROGRESS, ECONNREFUSED] : [0, EINPROGRESS];
  // A ping socket of IPv6 forgets the error of its packet (icmpv6_push_pending_frames).
  const denied = [kind === 'ping6' ? 0 : refusal];
  expect(decision === 'deny' ? denied : reached, kind).toContain(errno);
}

/** Puts the case in force and makes its attempts; throws where kernel, record and `evaluate` do not agree. */
export async function expectAgreement(harness: Harness, example: Case): Promise<void> {
  const { learned, here, attempts } = example;
  const policy = compiled(example, [OWN]);
  const policyElsewhere = compiled(example, []);
  harness.install({ policy, policyElsewhere, learned, here });
  const { errnos, seen } = await harness.dial(attempts);
  const demands = attempts.map((attempt) => demanded(here ? policy : policyElsewhere, learned, attempt));
  // Each attempt is told, in order, and nothing else is.
  expect(seen.map((one, i) => observed(demands.flat()[i]?.kind ?? '', one))).toEqual(demands.flat());
  demands.forEach(([demand], i) => {
    const { kind = '', address = '', port = 0 } = attempts[i] ?? {};
    const chains = chainsOf(learned, address);
    const inForce = here ? policy : policyElsewhere;
    if (demand) expectErrno(errnos[i] ?? -1, demand);
    else
      expect(errnos[i], kind).toBe(
        refusedWay(inForce, kind, evaluateCall(inForce, { address, port, protocol: 'tcp', chains })),
      );
  });
  expect(harness.disagreements).toBe(0);
}
