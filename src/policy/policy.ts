import type { Address, Prefix } from '../model/address.ts';
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
}

/** A policy as written, checked and with every reference known to lead somewhere. */
export interface Policy {
  readonly services: ReadonlyMap<string, Service>;
  readonly floor: readonly Rule[];
  readonly deployments: ReadonlyMap<string, Deployment>;
  /** Patterns of secrets in command lines, beside the known ones. */
  readonly mask: readonly string[];
}
