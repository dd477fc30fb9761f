import { Option } from 'commander';

/** The options that commands about observed edges have in common. */
export const OBSERVED_OPTION = new Option(
  '--observed <file>',
  'edges that `graph export --observed` wrote (repeatable)',
).argParser((file: string, before: string[] | undefined) => [...(before ?? []), file]);

export const FORMATS = ['text', 'json', 'dot', 'mermaid'] as const;

/** Where what was seen is taken from. */
export interface SeenOptions {
  readonly report?: string[];
  readonly fromRun?: string;
  readonly observed?: string[];
  readonly state?: string;
  readonly since?: string;
}

/** What `acyclic graph` was asked. */
export interface GraphOptions extends SeenOptions {
  readonly policy?: string;
  readonly deployment?: string;
  readonly format: (typeof FORMATS)[number];
  readonly json?: true;
  readonly cycles?: true;
  readonly limit: number;
  readonly why?: string[];
  readonly impact?: string;
  readonly restoreOrder?: true;
  readonly learn?: true;
}
