import type { Transport } from '../model/destination.ts';
import { type CompiledPolicy, portsOf } from './compile.ts';
import { HIGHEST_PORT, type PortSpec } from './ports.ts';
import type { Identities } from './tier.ts';

/** A span of ports of one protocol within which no answer can change. */
export interface Piece {
  readonly protocol: Transport;
  readonly from: number;
  readonly to: number;
}

/** Every protocol and port, cut where a rule about the identities begins or ends. */
export function pieces(policy: CompiledPolicy, identities: Identities): Piece[] {
  const ports = portsOf(policy.tiers.flatMap((tier) => tier.candidates(identities)));
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
