import { constants } from 'node:os';
import { expect } from 'vitest';
import type { Address } from '../../src/model/address.ts';
import type { Name } from '../../src/model/name.ts';
import type { CompiledPolicy } from '../../src/policy/compile.ts';
import { evaluate } from '../../src/policy/evaluate.ts';
import type { Harness, Seen } from './harness.ts';
import { type Case, compiled, OWN } from './harness-cases.ts';
import { type Attempt, KINDS } from './harness-dial.ts';

const { EPERM, EINPROGRESS, ECONNREFUSED } = constants.errno;

/** What the kernel reads an address as: an unspecified destination is loopback. */
function asDialled(address: Address): Address {
  return address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;
}

/** Every name that led to the address. */
function namesOf(learned: Case['learned'], address: Address): Name[] {
  const names = learned.filter(([at]) => asDialled(at) === asDialled(address)).flatMap(([, all]) => all);
  return [...new Set(names)].sort();
}

const UDP = 17;
const EGRESS = 'cgroup_skb/egress';

/** What the policy says must be seen of an attempt: usually one record. */
function demanded(policy: CompiledPolicy, learned: Case['learned'], { kind, address, port }: Attempt) {
  const how = KINDS[kind];
  if (!how) throw new Error(`no kind ${kind}`);
  const names = namesOf(learned, address);
  const { transport, protocol, hook, resent } = how;
  const at = { address, port: transport === 'other' ? 0 : port, protocol: transport, names };
  const { answer, verdict, rule, cycle, service } = evaluate(policy, at);
  // connect() of UDP where TCP may go is a look at the route: its first datagram is what is judged.
  const probes = protocol === UDP && hook.startsWith('cgroup/connect') && answer === 'deny';
  const asTcp = evaluate(policy, { ...at, protocol: 'tcp' }).answer;
  const judgedAt = probes && asTcp !== 'deny' ? (resent ?? EGRESS) : hook;
  // At egress only UDP hears of the drop; what others see is not known to the record.
  const refusal = judgedAt !== EGRESS ? constants.errno[policy.onDeny] : protocol === UDP ? EPERM : 0;
  const seen = {
    ...{ kind, address: asDialled(address), port: at.port, protocol, decision: answer, names },
    ...{ errno: answer === 'deny' ? refusal : 0, verdict, service, rule, cycle },
  };
  const hooks = resent && answer !== 'deny' ? [hook, resent] : [judgedAt];
  return hooks.map((each) => ({ ...seen, hook: each }));
}
type Demanded = ReturnType<typeof demanded>[number];

/** The same of what was recorded. */
function observed(kind: string, { record, recorded }: Seen): Demanded {
  const { address, port, protocol, decision, errno, hook } = record;
  const { event, rule, cycle } = recorded;
  if (!rule || !event.verdict || !event.destination) throw new Error(`an event without a verdict: ${kind}`);
  const { names, service } = event.destination;
  return {
    ...{ kind, address, port, protocol, decision, names: [...names], errno, hook },
    ...{ verdict: event.verdict, service, rule, cycle },
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
    if (demand) expectErrno(errnos[i] ?? -1, demand);
  });
  expect(harness.disagreements).toBe(0);
}
