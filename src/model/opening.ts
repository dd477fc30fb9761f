import type { Address } from './address.ts';
import type { Name } from './name.ts';

/** What the first bytes of a connection say of whom it is for. Of name and address at most one is there. */
export interface Opening {
  /** False: TLS or HTTP that no two readers need take alike, so that whom it names cannot be known. */
  readonly readable: boolean;
  /** Said to a proxy, to go there (CONNECT, or an absolute-form request). */
  readonly proxied: boolean;
  /** The name is that of a front: whom it is for is encrypted (ECH). */
  readonly encrypted: boolean;
  readonly name: Name | null;
  readonly address: Address | null;
  /** The target's, where it is proxied and says one; else the connection's own. */
  readonly port: number | null;
}
