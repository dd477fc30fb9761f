/** What was decided. `would-deny`: audit mode or an `audit` rule; the call went through. */
export type Verdict = 'allow' | 'deny' | 'would-deny';

/** Guarding, or only recording what guarding would have done. */
export type Mode = 'enforce' | 'audit';

/** What a rule says; also the answer of a tier. Numbered as in `bpf/event.h`. */
export type Answer = 'allow' | 'audit' | 'deny';

/** Where the deciding rule comes from. */
export type RuleKind =
  | 'live'
  | 'floor'
  | 'option'
  | 'circular'
  | 'waiver'
  | 'allow'
  | 'audit'
  | 'deny'
  | 'default';

/** The rule that decided, as people are told of it. Unknown parts are null. */
export interface RuleReference {
  readonly kind: RuleKind;
  /** `acyclic.yaml:14`, or the option as given (`--deny github.com`), or null for a built-in default. */
  readonly source: string | null;
  readonly id: string | null;
  /** The service by which the rule holds the destination. */
  readonly service: string | null;
  readonly reason: string | null;
  readonly owner: string | null;
  /** What to use instead. */
  readonly instead: string | null;
}
