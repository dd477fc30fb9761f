import { addressBytes, parseAddress, prefixHolds } from '../model/address.ts';
import type { Transport } from '../model/destination.ts';
import type { EventDestination } from '../model/event.ts';
import { parseDest } from '../policy/dest.ts';
import { hostHolds } from '../policy/pattern.ts';
import { portsHold } from '../policy/ports.ts';
import { isFault } from '../policy/problem.ts';
import { Failure } from './output.ts';

/** Whether a recorded destination is one a DEST means (design §2): by a name, its address, its service. */
export function destinationFilter(option: string, text: string): (destination: EventDestination) => boolean {
  const dest = parseDest(text);
  if (isFault(dest))
    throw new Failure(
      'bad-value',
      `${option}: ${dest.message}`,
      dest.suggestion && `did you mean \`${dest.suggestion}\`?`,
    );
  const ports = dest.ports ? [dest.ports] : null;
  return ({ address, port, protocol, names, service }) => {
    const transport: Transport = protocol === 'tcp' || protocol === 'udp' ? protocol : 'other';
    if (!portsHold(ports, transport, port ?? 0)) return false;
    if (dest.kind === 'service') return service === dest.service;
    if (dest.kind === 'host') return names.some((name) => hostHolds(dest.host, name));
    const known = address === null ? null : parseAddress(address);
    return known !== null && prefixHolds(dest.address, addressBytes(known));
  };
}
