import type { Address } from '../model/address.ts';
import type { Transport } from '../model/destination.ts';
import type { Name } from '../model/name.ts';
import type { CompiledPolicy } from './compile.ts';
import { type Decision, evaluate, evaluateLookup, judge, locate, select, settle } from './evaluate.ts';
import { pieces } from './pieces.ts';
import type { Identities } from './tier.ts';

/** A destination as a script names it: by a name or an address. */
export interface Named {
  /** `*.example.com` stands for any name below it that no rule names more closely. */
  readonly name: Name | null;
  readonly address: Address | null;
  /** Null: not said. */
  readonly port: number | null;
  readonly protocol: Transport;
}

/**
 * What a run would do to a call of it: the lookup of a name first, and the call as far as it is known. Where the
 * port is not, it is denied if every port is. What a lookup would bring, aliases and addresses, is not known here.
 */
export function evaluateNamed(policy: CompiledPolicy, { name, address, port, protocol }: Named): Decision {
  const home = name === 'localhost' || name?.endsWith('.localhost') ? '127.0.0.1' : address;
  const names = name === null ? [] : [name];
  if (home === null) {
    const lookup = evaluateLookup(policy, names);
    if (lookup.answer === 'deny' || port === null) return lookup;
  }
  if (port !== null || protocol === 'other')
    return evaluate(policy, { address: home, names, port: port ?? 0, protocol });
  return onAnyPort(policy, { address: home === null ? null : locate(home), names });
}

function onAnyPort(policy: CompiledPolicy, identities: Identities): Decision {
  const tiers = select(policy, identities);
  const found = pieces(tiers)
    .map((piece) => judge(policy, tiers, identities, piece.protocol, piece.from))
    .find(({ answer }) => answer !== 'deny');
  return settle(policy, found ?? judge(policy, tiers, identities, 'tcp', 443), identities);
}
