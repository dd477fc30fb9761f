import type { HeldListener } from '../dns/bind.ts';
import { native } from '../kernel/native.ts';
import { addressFromBytes } from '../model/address.ts';

const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;

/**
 * What sockets somebody holds for the DNS proxy are: of each address one for UDP, and one that listens on TCP. Throws
 * an Error that says which descriptor is neither, or has no partner.
 */
export function heldListeners(fds: readonly number[]): HeldListener[] {
  const ends = fds.map((fd) => {
    const info = native().socketInfo(fd);
    const listens = info?.type === SOCK_DGRAM || (info?.type === SOCK_STREAM && info.listening);
    if (!info?.local || !listens)
      throw new Error(`descriptor ${fd} is no UDP socket, and none that listens on TCP`);
    const { address: bytes } = info.local;
    const address = bytes.length === 4 ? bytes.join('.') : addressFromBytes(bytes);
    return { fd, udp: info.type === SOCK_DGRAM, address, port: info.local.port };
  });
  const held = Map.groupBy(ends, ({ address, port }) => `${address} ${port}`);
  return [...held.values()].map((pair) => {
    const [udp, tcp] = [pair.find((end) => end.udp), pair.find((end) => !end.udp)];
    const [{ fd, address, port } = { fd: -1, address: '', port: 0 }] = pair;
    if (!udp || !tcp || pair.length > 2)
      throw new Error(`descriptor ${fd} needs one partner at ${address} port ${port}: UDP and TCP`);
    return { address, port, udp: udp.fd, tcp: tcp.fd };
  });
}
