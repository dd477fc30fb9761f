import type { Transport } from '../model/destination.ts';
import { fewestPorts, formatPorts, HIGHEST_PORT, type PortSpec, portsHold } from './ports.ts';
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

/**
 * Spans of ports for people: `80, 443/tcp`, `every port`, `every port but 443`. `no port` is what has none, as
 * ICMP; it is part of `every port but …`, and left unsaid where nothing else is held.
 */
export function formatPieces(list: readonly Piece[]): string {
  const held = portsOf(list);
  const rest = complement(held);
  const portless = list.some(({ protocol }) => protocol === 'other');
  if (rest.length === 0 && portless) return 'every port';
  if (portless && rest.length < held.length + 1) return `every port but ${rest.map(formatPorts).join(', ')}`;
  return [...held.map(formatPorts), ...(portless ? ['no port'] : [])].join(', ');
}

function portsOf(list: readonly Piece[]): PortSpec[] {
  return fewestPorts(
    list.flatMap(({ protocol, from, to }) => (protocol === 'other' ? [] : [{ protocol, from, to }])),
  );
}

/** The ports of TCP and UDP that these do not hold. */
function complement(ports: readonly PortSpec[]): PortSpec[] {
  return fewestPorts(
    (['tcp', 'udp'] as const).flatMap((protocol) =>
      cut(protocol, ports)
        .filter(({ from }) => !portsHold(ports, protocol, from))
        .map(({ from, to }) => ({ protocol, from, to })),
    ),
  );
}
