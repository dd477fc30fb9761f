import { type Address, addressBytes, addressFamily, type Prefix } from '../model/address.ts';
import type { Answer } from '../model/verdict.ts';
import type { CompiledPolicy } from './compile.ts';
import { exemption, locate, strongest } from './evaluate.ts';
import { type CallJudgement, type Chains, judgeCall, type Situation, situate, WEB_SPECS } from './opening.ts';
import { type Piece, pieces } from './pieces.ts';
import { portsKey, shapesBy } from './shape.ts';
import { type Located, type Selection, winners } from './tier.ts';

/** What the policy says for a span of ports. A list of them covers tcp and udp 0 to 65535, and other, completely. */
export interface Segment extends Piece, Pick<CallJudgement, 'answer' | 'opening' | 'ambiguous'> {
  /** The address is one the default does not deny. */
  readonly exempt: boolean;
  /** What each tier says of the address alone, highest first, over TCP; for others it is empty. */
  readonly tiers: TierAnswers;
  /** The tiers' word is of the address without names. */
  readonly joint: false;
}

/** The answer of each tier, highest first; null where it says nothing. */
export type TierAnswers = readonly (Answer | null)[];

/** What the policy says of the addresses in a prefix that no longer prefix of the table holds. */
export interface AddressEntry {
  readonly prefix: Prefix;
  readonly segments: readonly Segment[];
  /** It is this host's own address, which holds in this network namespace only. */
  readonly ownAddress: boolean;
}

/** `evaluateCall` as a function of protocol and port, for an address and the chains of names known for it. */
export function segmentsOf(policy: CompiledPolicy, address: Address, chains: Chains): Segment[] {
  return segmentsAt(policy, locate(address), chains);
}

/**
 * An entry for every prefix a rule names, the roots, loopback and this host's addresses, each with the rules
 * of all that cover it: the longest match alone gives the verdict of an address without names. Equal segments are one list.
 */
export function* addressTable(policy: CompiledPolicy): Generator<AddressEntry> {
  const own = [...policy.ownAddresses].map(wholeAddress);
  const always = ['0.0.0.0/0', '::/0', '127.0.0.0/8', '::1'].map(fixedPrefix);
  const named = [...policy.tiers, policy.proxies, policy.sniffers].flatMap((tier) => tier.prefixes);
  const byText = new Map([...named, ...always, ...own].map((prefix) => [prefix.text, prefix]));
  const ownTexts = new Set(own.map(({ text }) => text));
  const share = sharing<Segment>();
  for (const prefix of byText.values()) {
    const address = standIn(prefix);
    const situation = situate(policy, address, []);
    const { bare, proxies, sniffers } = situation;
    const exempt = exemption(policy, address) !== null;
    yield {
      prefix,
      segments: share([...bare.tiers, proxies, sniffers], String(exempt), () =>
        segments(policy, situation, exempt),
      ),
      ownAddress: ownTexts.has(prefix.text),
    };
  }
}

/**
 * Makes each list once, of what selections of the same answers and ports come to: a policy of ten thousand rules has
 * few that differ. `beside`: what the list depends on beside the selections. Equal lists are one.
 */
export function sharing<S>(): (
  selections: readonly Selection[],
  beside: string,
  make: () => readonly S[],
) => readonly S[] {
  const shapeOf = shapesBy(({ answer, ports }) => `${answer} ${portsKey(ports)}`);
  const byKey = new Map<string, readonly S[]>();
  const byText = new Map<string, readonly S[]>();
  return (selections, beside, make) => {
    const key = beside + shapeOf(selections);
    const known = byKey.get(key);
    if (known) return known;
    const made = make();
    const text = JSON.stringify(made);
    const list = byText.get(text) ?? made;
    byText.set(text, list);
    byKey.set(key, list);
    return list;
  };
}

/** The answers of a prefix by itself, as in the table. */
export function segmentsOfPrefix(policy: CompiledPolicy, prefix: Prefix): Segment[] {
  return segmentsAt(policy, standIn(prefix), []);
}

/** An address of the prefix that no longer prefix holds. */
export function standIn({ family, bytes, length, text }: Prefix): Located {
  return length === 128 ? locate(text, bytes) : { family, bytes, longest: length, lone: null };
}

function segmentsAt(policy: CompiledPolicy, address: Located, chains: Chains): Segment[] {
  return segments(policy, situate(policy, address, chains), exemption(policy, address) !== null);
}

function segments(policy: CompiledPolicy, situation: Situation, exempt: boolean): Segment[] {
  const { known, bare, claims, proxies, sniffers } = situation;
  const told = [known, bare, ...claims].flatMap(({ tiers }) => tiers);
  return merge(
    pieces([...told, proxies, sniffers], WEB_SPECS).map((piece) => {
      const { answer, opening, ambiguous } = judgeCall(policy, situation, piece.protocol, piece.from);
      const tiers = piece.protocol === 'tcp' ? tierAnswers(bare.tiers, piece.from) : [];
      return { ...piece, answer, opening, ambiguous, exempt, tiers, joint: false as const };
    }),
  );
}

export function tierAnswers(tiers: readonly Selection[], port: number): TierAnswers {
  return tiers.map((selection) => strongest(winners(selection, 'tcp', port))?.answer ?? null);
}

/** Neighbours that say the same become one. */
export function merge<S extends Piece>(list: readonly S[]): S[] {
  const merged: S[] = [];
  const said = ({ from, to, ...rest }: S) => JSON.stringify(rest);
  for (const piece of list) {
    const last = merged.at(-1);
    if (last && said(last) === said(piece)) merged[merged.length - 1] = { ...last, to: piece.to };
    else merged.push(piece);
  }
  return merged;
}

function wholeAddress(address: Address): Prefix {
  return { family: addressFamily(address), text: address, bytes: addressBytes(address), length: 128 };
}

export function fixedPrefix(text: string): Prefix {
  const [address = '', length] = text.split('/');
  const family = addressFamily(address);
  const bits = length === undefined ? 128 : Number(length) + (family === 4 ? 96 : 0);
  return { family, text, bytes: addressBytes(address), length: bits };
}
