/** The largest policy file read. */
export const MAX_POLICY_BYTES = 4 << 20;
