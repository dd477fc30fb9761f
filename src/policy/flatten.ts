import { type Address, addressBytes, addressFamily, type Prefix } from '../model/address.ts';
import type { Name } from '../model/name.ts';
import type { Answer } from '../model/verdict.ts';
import type { CompiledPolicy } from './compile.ts';
import { judge, locate, select } from './evaluate.ts';
import { type Piece, pieces } from './pieces.ts';
import type { Identities, Located } from './tier.ts';

/** An answer for a span of ports. A list of them covers tcp and udp 0 to 65535, and other, completely. */
export interface Segment extends Piece {
  readonly answer: Answer;
}

/** What the policy says of the addresses in a prefix that no longer prefix of the table holds. */
export interface AddressEntry {
  readonly prefix: Prefix;
  readonly segments: readonly Segment[];
  /** It is this host's own address, which holds in this network namespace only. */
  readonly ownAddress: boolean;
}

/** `evaluate` as a function of protocol and port, for an address and the names known for it. */
export function segmentsOf(
  policy: CompiledPolicy,
  address: Address | null,
  names: readonly Name[],
): Segment[] {
  return segments(policy, { address: address === null ? null : locate(address), names });
}

/**
 * An entry for every prefix a rule names, the roots, loopback and this host's addresses, each with the rules
 * of all that cover it: the longest match alone gives the verdict of an address without names. Equal segments are one list.
 */
export function addressTable(policy: CompiledPolicy): AddressEntry[] {
  const own = [...policy.ownAddresses].map(wholeAddress);
  const always = ['0.0.0.0/0', '::/0', '127.0.0.0/8', '::1'].map(fixedPrefix);
  const named = policy.tiers.flatMap((tier) => tier.prefixes);
  const byText = new Map([...named, ...always, ...own].map((prefix) => [prefix.text, prefix]));
  const ownTexts = new Set(own.map(({ text }) => text));
  const shared = new Map<string, readonly Segment[]>();
  const share = (list: readonly Segment[]) => {
    const key = list.map(({ protocol, to, answer }) => `${protocol}${to}${answer}`).join();
    const same = shared.get(key);
    if (!same) shared.set(key, list);
    return same ?? list;
  };
  return [...byText.values()].map((prefix) => ({
    prefix,
    segments: share(segmentsOfPrefix(policy, prefix)),
    ownAddress: ownTexts.has(prefix.text),
  }));
}

/** The answers of a prefix by itself, as in the table. */
export function segmentsOfPrefix(policy: CompiledPolicy, prefix: Prefix): Segment[] {
  return segments(policy, { address: standIn(prefix), names: [] });
}

function standIn({ family, bytes, length, text }: Prefix): Located {
  return length === 128 ? locate(text) : { family, bytes, longest: length, lone: null };
}

function segments(policy: CompiledPolicy, identities: Identities): Segment[] {
  const merged: Segment[] = [];
  const tiers = select(policy, identities);
  for (const piece of pieces(tiers)) {
    const { answer } = judge(policy, tiers, identities, piece.protocol, piece.from);
    const last = merged.at(-1);
    if (last?.protocol === piece.protocol && last.answer === answer)
      merged[merged.length - 1] = { ...last, to: piece.to };
    else merged.push({ ...piece, answer });
  }
  return merged;
}

function wholeAddress(address: Address): Prefix {
  return { family: addressFamily(address), text: address, bytes: addressBytes(address), length: 128 };
}

function fixedPrefix(text: string): Prefix {
  const [address = '', length] = text.split('/');
  const family = addressFamily(address);
  const bits = length === undefined ? 128 : Number(length) + (family === 4 ? 96 : 0);
  return { family, text, bytes: addressBytes(address), length: bits };
}
