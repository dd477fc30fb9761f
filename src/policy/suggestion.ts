import type { AuditEvent } from '../model/event.ts';
import type { CompiledPolicy } from './compile.ts';
import type { Counted } from './echo.ts';
import type { DelegateAt } from './handed-on.ts';
import type { Service } from './policy.ts';
import type { PortSpec } from './ports.ts';

/** Rules that allow what was seen and no policy allows yet. */
export interface Suggestion {
  readonly rules: readonly SuggestedRule[];
  /** Seen, and not to be allowed by these rules. */
  readonly leftOut: readonly LeftOut[];
  readonly runs: number;
  /** Repeats counted, lookups included. */
  readonly calls: number;
  /** Times of the first and the last event; null where there was none. */
  readonly first: string | null;
  readonly last: string | null;
}

export interface SuggestedRule {
  readonly about: 'service' | 'host' | 'address';
  /** The service's name, the pattern, or the address. */
  readonly text: string;
  /** Null: every port. */
  readonly ports: readonly PortSpec[] | null;
  /** Calls it is for, repeats counted. */
  readonly calls: number;
  /** Who made them, most calls first. */
  readonly callers: readonly string[];
  /**
   * `lookup`: it was looked up and never called; `portless`: it was sent what has no ports (ICMP), which only a
   * rule without ports allows, so that every port is opened with it.
   */
  readonly special: 'lookup' | 'portless' | null;
  /** Of a service or a wildcard: what was seen of it. */
  readonly seen: readonly string[];
}

export interface LeftOut extends Counted {
  /** As messages have it. */
  readonly destination: string;
  readonly why: string;
  /** Services from the deployment back to itself. */
  readonly cycle: readonly string[] | null;
}

/** A host or an address, and how it was used. */
export interface Target {
  readonly about: 'host' | 'address';
  readonly text: string;
  /** By port (`443/tcp`), `lookup` or `portless`. */
  readonly uses: Map<string, Use>;
}

export interface Use {
  /** Null for a lookup and for what has no ports. */
  readonly port: PortSpec | null;
  count: number;
  /** All of it may have been looks at the route alone. */
  probe: boolean;
  readonly callers: Map<string, number>;
  /** Why it is not to be allowed: it was denied when it was last tried; null: it is. */
  refused: LeftOut | null;
  /** When that was. */
  latest: string;
}

/** What no rule may open by the way: a target that was refused, at a port; null for a lookup. */
export interface Closed extends Pick<Target, 'about' | 'text'> {
  readonly port: PortSpec | null;
}

export interface SuggestOptions {
  /** What holds already, with a default of deny; where there is no policy, one without rules. */
  readonly policy: CompiledPolicy;
  /** Those a rule may name. */
  readonly services: ReadonlyMap<string, Service>;
  /** What people call the process that made the call. */
  readonly caller: (event: AuditEvent) => string;
  /** A destination as messages have it. */
  readonly target: (event: AuditEvent) => string;
  readonly delegateAt: DelegateAt;
}
