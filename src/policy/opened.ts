import type { Declaration } from '../graph/service-graph.ts';
import { builtinServices } from './builtin.ts';
import { type CompiledPolicy, patternsOf } from './compile.ts';
import { judge, locate, select } from './evaluate.ts';
import { type Pattern, PatternIndex } from './pattern-index.ts';
import { pieces } from './pieces.ts';
import type { Policy, Service } from './policy.ts';
import { NOWHERE, StandIns } from './stand-in.ts';
import { type Identities, isRuling, type Ruling } from './tier.ts';

/** A service that a rule lets be called. */
export interface Opened {
  readonly service: string;
  readonly declaration: Declaration;
}

/** The patterns of all services, to find those that a rule's pattern holds. */
export function indexServices(services: Iterable<Service>): PatternIndex<string> {
  return new PatternIndex(
    [...services].flatMap((service) =>
      patternsOf(service).map((pattern) => ({ pattern, value: service.name })),
    ),
  );
}

/** Stand-ins for what a policy names, whichever of its deployments is asked. */
export function standInsOf({ services, floor, deployments }: Policy): StandIns {
  const rules = [...floor, ...[...deployments.values()].flatMap((deployment) => deployment.rules)];
  const all = [...builtinServices.values(), ...services.values()];
  return new StandIns([...all.flatMap(patternsOf), ...rules]);
}

/**
 * The services that rules of the deployment let it call, by the guard's own word on what stands for each: a rule or
 * a waiver that names them, on some port. A rule for every name or every address names none.
 */
export function openedServices(
  policy: CompiledPolicy,
  index: PatternIndex<string>,
  standIns: StandIns,
): Opened[] {
  const clauses = policy.tiers.flatMap((tier) => tier.clauses).filter(isRuling);
  const opened = new Map<string, Opened>();
  for (const clause of clauses) {
    const as = clause.rule.kind;
    if (clause.answer === 'deny' || isEverything(clause)) continue;
    if (as !== 'allow' && as !== 'audit' && as !== 'waiver') continue;
    for (const pattern of [clause, ...index.within(clause).map((one) => one.pattern)]) {
      const identities = standInFor(standIns, pattern);
      if (!identities || !isOpenedBy(policy, identities, clause)) continue;
      const service = policy.services.select(identities)[0]?.[0]?.[0]?.rule.service ?? null;
      const source = clause.rule.source ?? '';
      if (service !== null && !opened.has(`${service} ${source}`))
        opened.set(`${service} ${source}`, { service, declaration: { as, source, until: null } });
    }
  }
  return [...opened.values()];
}

function isEverything({ host, address }: Pattern): boolean {
  return address === null ? host?.kind === 'any' : host === null && /\/0$/.test(address.text);
}

/** What a pattern holds and no closer one does; null if closer ones leave nothing. */
export function standInFor(standIns: StandIns, { host, address }: Pattern): Identities | null {
  const names = host ? [standIns.nameFor(host)] : [];
  if (!address) return { address: NOWHERE, names };
  const lone = address.length === 128 ? address.text : standIns.addressFor(address);
  return lone === null ? null : { address: locate(lone), names };
}

function isOpenedBy(policy: CompiledPolicy, identities: Identities, { rule }: Ruling): boolean {
  const tiers = select(policy, identities);
  return pieces(tiers).some(({ protocol, from }) => {
    const judgement = judge(policy, tiers, identities, protocol, from);
    return judgement.rule === rule && judgement.answer !== 'deny';
  });
}
