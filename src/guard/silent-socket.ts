import { native } from '../kernel/native.ts';
import type { AttemptRecord } from '../kernel/records.ts';
import { type Address, addressBytes } from '../model/address.ts';

const SOCK_STREAM = 1;
const AF_INET = 2;
const AF_INET6 = 10;

/** A connection that is denied after it was made may leave its caller waiting: it is ended, so that it is told at once. */
export function endSilentSocket(record: AttemptRecord): void {
  const { source, socketType, cookie } = record;
  if (!source || socketType !== SOCK_STREAM) return;
  const ipv4 = !record.address.includes(':');
  const bytes = (address: Address) => addressBytes(address).subarray(ipv4 ? 12 : 0);
  try {
    native().socketDestroy({
      protocol: record.protocol,
      family: ipv4 ? AF_INET : AF_INET6,
      source: bytes(source.address),
      sourcePort: source.port,
      destination: bytes(record.address),
      destinationPort: record.port,
      cookie,
    });
  } catch {
    // It is gone already, or the kernel cannot end sockets: its caller then waits for the kernel's own time-out.
  }
}
