import type { Transport } from '../model/destination.ts';
import { HIGHEST_PORT, type PortSpec } from './ports.ts';
import type { Selection } from './tier.ts';

/** A span of ports of one protocol within which no answer can change. */
export interface Piece {
  readonly protocol: Transport;
  readonly from: number;
  readonly to: number;
}

/** Every protocol and port, cut where a selected rule, or one of `others`, begins or ends. */
export function pieces(tiers: readonly Selection[], others: readonly PortSpec[] = []): Piece[] {
  const ports = [...tiers.flat(3).flatMap((clause) => clause.ports ?? []), ...others];
  return [...cut('tcp', ports), ...cut('udp', ports), { protocol: 'other', from: 0, to: 0 }];
}

function cut(protocol: 'tcp' | 'udp', ports: readonly PortSpec[]): Piece[] {
  const starts = new Set([0]);
  for (const spec of ports) {
    if (spec.protocol !== null && spec.protocol !== protocol) continue;
    starts.add(spec.from);
    if (spec.to < HIGHEST_PORT) starts.add(spec.to + 1);
  }
  const sorted = [...starts].sort((a, b) => a - b);
  return sorted.map((from, i) => ({ protocol, from, to: (sorted[i + 1] ?? HIGHEST_PORT + 1) - 1 }));
}
