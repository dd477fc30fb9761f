import type { Address, Prefix } from '../model/address.ts';
import type { DelegateName } from '../model/delegate.ts';
import type { Limits } from '../model/limits.ts';
import type { Answer, Mode } from '../model/verdict.ts';
import type { LastDay } from './date.ts';
import type { HostPattern } from './pattern.ts';
import type { PortSpec } from './ports.ts';

/** `file:line`, the file as the caller of the parser named it. */
export type Source = string;

/** What a rule is about: a service, or a host, an address, or that host at that address. */
export interface Rule {
  readonly answer: Answer;
  readonly source: Source;
  readonly id: string | null;
  readonly service: string | null;
  readonly host: HostPattern | null;
  readonly address: Prefix | null;
  /** Null is every port. */
  readonly ports: readonly PortSpec[] | null;
  readonly reason: string | null;
  readonly owner: string | null;
}

/** A named set of hosts and addresses, with what it depends on and who owns it. */
export interface Service {
  readonly name: string;
  /** Null for a built-in one. */
  readonly source: Source | null;
  readonly hosts: readonly HostPattern[];
  readonly addresses: readonly Prefix[];
  readonly ports: readonly PortSpec[] | null;
  readonly dependsOn: readonly string[];
  readonly owner: string | null;
  readonly instead: string | null;
  readonly proxy: boolean;
  readonly sniff: boolean;
}

/** A cycle accepted until a date. */
export interface Waiver {
  readonly service: string;
  readonly until: LastDay;
  readonly source: Source;
  readonly owner: string | null;
  readonly reason: string | null;
}

/** A policy evaluated beside this one and never enforced: where it is, and where that is written. */
export interface StagedFile {
  /** As written: relative to the file that names it. */
  readonly path: string;
  /** That file, as the caller of the parser named it. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A user or a group of the host, by name. */
export interface Subject {
  readonly kind: 'group' | 'user';
  readonly name: string;
}

/** Who may do what beside root, and of members of the group; null: nothing is said. A deployment has no `apply`, `attach`. */
export interface Roles {
  readonly run: readonly Subject[] | null;
  readonly apply: readonly Subject[] | null;
  readonly entries: readonly Subject[] | null;
  readonly attach: readonly Subject[] | null;
  readonly breakGlass: readonly Subject[] | null;
}

/** Cgroups by the name of their unit or slice, or by their path from the root of the tree; `*` is within one part. */
export interface CgroupPattern {
  readonly kind: 'unit' | 'slice' | 'cgroup';
  readonly text: string;
}

/** What is guarded without a wrapper. */
export interface Match {
  readonly patterns: readonly CgroupPattern[];
  /** Whether what cannot be guarded must not start. */
  readonly required: boolean;
}

/** What becomes of work for a delegate. */
export interface DelegateRule {
  readonly answer: Answer;
  readonly source: Source;
}

export type DnsDenial = 'nxdomain' | 'refuse' | 'resolve';
export type DenialErrno = 'EPERM' | 'ECONNREFUSED';

export interface Deployment {
  readonly name: string;
  readonly source: Source;
  readonly deploys: readonly string[];
  readonly mode: Mode;
  readonly default: 'allow' | 'deny';
  /** Where the default is written; the deployment's own place when it is not. */
  readonly defaultSource: Source;
  readonly circular: 'deny' | 'off';
  readonly rules: readonly Rule[];
  readonly waivers: readonly Waiver[];
  readonly dns: {
    readonly service: string | null;
    readonly servers: readonly Address[] | null;
    readonly onDeny: DnsDenial;
  };
  readonly onDeny: DenialErrno;
  readonly staged: StagedFile | null;
  readonly limits: Limits;
  readonly match: Match;
  readonly roles: Roles;
  /** Those that are named. */
  readonly delegates: ReadonlyMap<DelegateName, DelegateRule>;
  /** Whether units that a run sets going are audited. */
  readonly observeUnits: boolean;
}

/** A policy as written, checked and with every reference known to lead somewhere. */
export interface Policy {
  readonly services: ReadonlyMap<string, Service>;
  readonly floor: readonly Rule[];
  readonly deployments: ReadonlyMap<string, Deployment>;
  /** Patterns of secrets in command lines, beside the known ones. */
  readonly mask: readonly string[];
  readonly roles: Roles;
}
