import type { AuditEvent, EventDestination, EventKind } from './event.ts';
import type { EstablishedConnection } from './summary.ts';

/** The destination of an event, as messages have it. */
export function formatTarget({ kind, destination }: AuditEvent): string {
  return destination === null ? 'an unknown destination' : formatDestination(kind, destination);
}

/** `github.com:443/tcp`, `[2001:db8::1]:443/tcp`, `192.0.2.7/icmp`, for a lookup `github.com (dns)`, for a UNIX socket its path. */
export function formatDestination(kind: EventKind, destination: EventDestination): string {
  const { names, address, port, protocol } = destination;
  const host = names[0] ?? address ?? 'an unknown destination';
  if (kind === 'dns') return `${host} (dns)`;
  // A path is no host.
  if (protocol === 'unix') return host;
  const bracketed = host.includes(':') ? `[${host}]` : host;
  const end =
    port === null || (port === 0 && protocol !== 'tcp' && protocol !== 'udp') ? host : `${bracketed}:${port}`;
  return protocol === null ? end : `${end}/${protocol}`;
}

/** `python3[4242] → 192.0.2.7:443/tcp   github`. */
export function formatEstablished({
  pid,
  comm,
  address,
  port,
  protocol,
  service,
}: EstablishedConnection): string {
  const place = address.includes(':') ? `[${address}]` : address;
  return `${comm ?? 'process'}[${pid}] → ${place}:${port}/${protocol}${service === null ? '' : `   ${service}`}`;
}
