import type { NameAnswers, PrefixAnswers, Tables } from '../kernel/tables.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { addressTable, segmentsOfPrefix } from '../policy/flatten.ts';
import { nameTable } from '../policy/flatten-names.ts';
import { AliasTable } from './alias-table.ts';
import { FactTable } from './fact-table.ts';
import type { Era, StagedRun } from './recorder.ts';

/** A policy for a run, compiled. */
export interface RunPolicy {
  readonly policy: CompiledPolicy;
  /** Compiled as from another network namespace, where this host's addresses are not the socket's own. */
  readonly policyElsewhere: CompiledPolicy;
  /** Null: there is none, the run is observed. */
  readonly policyId: string | null;
  readonly staged: StagedRun | null;
}

/** What the tables of a policy say: made once, as it is first written, for all runs that go by the same one. */
export class PolicyRows {
  readonly #of: Pick<RunPolicy, 'policy' | 'policyElsewhere'>;
  #addresses: readonly PrefixAnswers[] | null = null;
  #names: readonly NameAnswers[] | null = null;

  constructor(of: Pick<RunPolicy, 'policy' | 'policyElsewhere'>) {
    this.#of = of;
  }

  *addresses(): Generator<PrefixAnswers> {
    const { policy, policyElsewhere } = this.#of;
    this.#addresses = yield* kept(this.#addresses ?? addressRows(policy, policyElsewhere));
  }

  *names(): Generator<NameAnswers> {
    this.#names = yield* kept(this.#names ?? nameTable(this.#of.policy));
  }
}

function* kept<T>(rows: Iterable<T>): Generator<T, readonly T[]> {
  const all: T[] = [];
  for (const row of rows) {
    all.push(row);
    yield row;
  }
  return all;
}

/** Where the kernel has a policy of one run: its tables, and its word on what the run knows. */
export interface Tabled {
  readonly generation: number;
  readonly table: FactTable;
  /** Null where first bytes are not judged. */
  readonly aliases: AliasTable | null;
}

/** A policy in force, with its tables. */
export interface Reign extends Era, Tabled {}

/**
 * Writes a policy's tables, which nothing reads yet. Where it fails, or is not gone on with, what is written of them is
 * the caller's to remove.
 */
export function* writePolicy(
  tables: Tables,
  run: bigint,
  generation: number,
  { policy, policyElsewhere }: RunPolicy,
  rows: PolicyRows = new PolicyRows({ policy, policyElsewhere }),
): Generator<void, Tabled> {
  const isEnforced = policy.mode === 'enforce';
  if (isEnforced) {
    yield* tables.installPolicy(generation, rows.addresses());
    yield* tables.installNames(generation, rows.names());
  }
  const of = { tables, policy, run, generation };
  return {
    generation,
    table: new FactTable({ ...of, policyElsewhere }),
    aliases: isEnforced ? new AliasTable(of) : null,
  };
}

/** What a policy says of addresses, as the kernel has it. */
export function* addressRows(policy: CompiledPolicy, elsewhere: CompiledPolicy): Generator<PrefixAnswers> {
  for (const { prefix, segments, ownAddress } of addressTable(policy))
    yield {
      prefix,
      answers: segments,
      elsewhere: ownAddress ? segmentsOfPrefix(elsewhere, prefix) : null,
    };
}
