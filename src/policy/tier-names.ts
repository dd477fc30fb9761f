import type { CompiledPolicy } from './compile.ts';
import type { Tier } from './tier.ts';

/** The tiers of a compiled policy by name, in their order; what none of them answers is the default's. */
const TIER_NAMES = ['live-deny', 'live-allow', 'floor', 'option', 'circular', 'rules'] as const;
export type TierName = (typeof TIER_NAMES)[number];

export interface NamedTier {
  readonly name: TierName;
  readonly tier: Tier;
}

/** The two of live entries are there only where there are some. */
export function namedTiers({ tiers }: CompiledPolicy): NamedTier[] {
  const names = TIER_NAMES.slice(TIER_NAMES.length - tiers.length);
  return names.flatMap((name, i) => {
    const tier = tiers[i];
    return tier ? [{ name, tier }] : [];
  });
}
