import type { Address } from './address.ts';
import type { Name } from './name.ts';

/** Transport as policy sees it; everything without ports is `other`. */
export type Transport = 'tcp' | 'udp' | 'other';

/** What a call goes to, as the verdict sees it: every identity it has. */
export interface Destination {
  /** Null for a lookup, where only names are known. */
  readonly address: Address | null;
  /** 0 to 65535; 0 where the protocol has no ports. */
  readonly port: number;
  readonly protocol: Transport;
  /** Every name known to lead to the address, in policy form. */
  readonly names: readonly Name[];
}
