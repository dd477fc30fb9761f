import { type Prefix, parseAddress, parsePrefix } from '../model/address.ts';
import { OBJECT_NAME } from '../model/object-name.ts';
import { type HostPattern, readHost } from './pattern.ts';
import { formatPorts, type PortSpec, readPorts } from './ports.ts';
import { readPrefix } from './prefix.ts';
import { type Fault, fault, isFault } from './problem.ts';

/** A destination as people write it (design §2, DEST). */
export type DestPattern = {
  /** As given. */
  readonly text: string;
  /** Null is every port. */
  readonly ports: PortSpec | null;
} & (
  | { readonly kind: 'host'; readonly host: HostPattern }
  | { readonly kind: 'address'; readonly address: Prefix }
  | { readonly kind: 'service'; readonly service: string }
);

/**
 * Reads `github.com`, `*.github.com:443/tcp`, `10.0.0.0/8:3306`, `[2001:db8::1]:443`, `2001:db8::/32` or
 * `service:mirror:443`. Whether a service exists is not known here.
 */
export function parseDest(text: string): DestPattern | Fault {
  if (text.trim() === '')
    return fault('bad-dest', 'a destination is a host, an address or `service:` and a name');
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    const host = readHost(text);
    return fault(
      'bad-dest',
      `\`${text}\` is a URL, not a destination`,
      isFault(host) ? host.suggestion : null,
    );
  }
  if (text.startsWith('service:')) return readService(text);
  if (text.startsWith('[')) return readBracketed(text);
  if (text.split(':').length > 2) return readBareIpv6(text);
  const [head, ports] = splitPort(text);
  const spec = ports === null ? null : readPorts(ports);
  if (isFault(spec)) return inside(spec, (meant) => `${head}:${meant}`);
  if (/^[\d.]+(\/.*)?$/.test(head)) {
    const address = readPrefix(head);
    if (isFault(address)) return inside(address, (meant) => (ports === null ? meant : `${meant}:${ports}`));
    return { text, ports: spec, kind: 'address', address };
  }
  const host = readHost(head);
  if (isFault(host)) return inside(host, (meant) => (ports === null ? meant : `${meant}:${ports}`));
  return { text, ports: spec, kind: 'host', host };
}

/** The destination in canonical form, as `parseDest` reads it. */
export function formatDest(dest: DestPattern): string {
  const ports = dest.ports ? `:${formatPorts(dest.ports)}` : '';
  if (dest.kind === 'host') return `${dest.host.text}${ports}`;
  if (dest.kind === 'service') return `service:${dest.service}${ports}`;
  const bracketed = dest.address.family === 6 && ports !== '';
  return bracketed ? `[${dest.address.text}]${ports}` : `${dest.address.text}${ports}`;
}

function readService(text: string): DestPattern | Fault {
  const [service, ports] = splitPort(text.slice('service:'.length));
  if (!OBJECT_NAME.test(service)) {
    const meant = service.toLowerCase();
    const suggestion = OBJECT_NAME.test(meant)
      ? `service:${meant}${ports === null ? '' : `:${ports}`}`
      : null;
    return fault('bad-dest', `\`${service}\` cannot be the name of a service`, suggestion);
  }
  const spec = ports === null ? null : readPorts(ports);
  if (isFault(spec)) return inside(spec, (meant) => `service:${service}:${meant}`);
  return { text, ports: spec, kind: 'service', service };
}

function readBracketed(text: string): DestPattern | Fault {
  const [, inner, ports] = /^\[([^\]]*)\](?::(.*))?$/.exec(text) ?? [];
  if (inner === undefined) return fault('bad-dest', `\`${text}\` is not a destination`);
  const address = readPrefix(inner);
  if (isFault(address)) return inside(address, (meant) => text.replace(inner, meant));
  const spec = ports === undefined ? null : readPorts(ports);
  if (isFault(spec)) return inside(spec, (meant) => `[${inner}]:${meant}`);
  return { text, ports: spec, kind: 'address', address };
}

function readBareIpv6(text: string): DestPattern | Fault {
  const address = readPrefix(text);
  if (!isFault(address)) return { text, ports: null, kind: 'address', address };
  const [head, ports] = splitPort(text);
  const portOfPrefix = ports !== null && typeof parsePrefix(head) !== 'string';
  if (portOfPrefix && (head.includes('/') || parseAddress(head))) {
    return fault(
      'bad-dest',
      `\`${text}\` has a port on an IPv6 address without brackets`,
      `[${head}]:${ports}`,
    );
  }
  return inside(address, (meant) => meant);
}

function splitPort(text: string): [string, string | null] {
  const colon = text.lastIndexOf(':');
  return colon < 0 ? [text, null] : [text.slice(0, colon), text.slice(colon + 1)];
}

function inside(found: Fault, whole: (meant: string) => string): Fault {
  return { ...found, suggestion: found.suggestion === null ? null : whole(found.suggestion) };
}
