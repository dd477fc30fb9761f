/** How long what is learned holds, and how much of it a run may hold. Times in milliseconds. */
export interface LeaseSettings {
  /** The least and the most that an answer's TTL counts as. */
  readonly floor: number;
  readonly cap: number;
  /**
   * How long a name goes on to lead to an address after its TTL's end and its last use, whichever is later.
   */
  readonly grace: number;
  /** How often what has lapsed is looked for. */
  readonly every: number;
  /** Chains of all addresses, each counted at each address. Names from /etc/hosts are beside these limits. */
  readonly chains: number;
  readonly chainsOfAddress: number;
  /** Characters of all chains. */
  readonly text: number;
}

/** The product's (docs/policy.md). What this comes to in memory: docs/decisions/leases.md. */
export const LEASE_SETTINGS: LeaseSettings = {
  floor: 5000,
  cap: 86_400_000,
  grace: 60_000,
  every: 2000,
  chains: 262_144,
  chainsOfAddress: 16_384,
  text: 32 << 20,
};
