import type { DestPattern } from './dest.ts';
import type { Rule } from './policy.ts';

/** A live entry: a rule above the floor that lapses by itself (design §3, tier 1). */
export interface LiveEntry {
  readonly id: string;
  readonly verdict: 'allow' | 'deny';
  readonly dest: DestPattern;
  /** Null: of every deployment. */
  readonly deployment: string | null;
  readonly reason: string;
  /** Who made it, as people are told. */
  readonly owner: string;
  /** When it lapses; RFC 3339, UTC. */
  readonly until: string;
}

/** The entries that are about a deployment, and about a service that is there. */
export function liveOf(
  entries: readonly LiveEntry[],
  deployment: string | null,
  services: { has(name: string): boolean },
): LiveEntry[] {
  return entries.filter(
    (entry) =>
      (entry.deployment === null || entry.deployment === deployment) &&
      (entry.dest.kind !== 'service' || services.has(entry.dest.service)),
  );
}

/** An entry as a rule. */
export function liveRule({ verdict, dest, reason, owner, until }: LiveEntry): Rule {
  return {
    answer: verdict,
    source: sourceOf(verdict, dest, until),
    id: null,
    service: dest.kind === 'service' ? dest.service : null,
    host: dest.kind === 'host' ? dest.host : null,
    address: dest.kind === 'address' ? dest.address : null,
    ports: dest.ports && [dest.ports],
    reason,
    owner,
  };
}

/** `deny github.com until 2026-11-23 05:20 UTC`. */
function sourceOf(verdict: string, { text }: DestPattern, until: string): string {
  return `${verdict} ${text} until ${until.slice(0, 16).replace('T', ' ')} UTC`;
}
