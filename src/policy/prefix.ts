import { type Address, type Prefix, parseAddress, parsePrefix } from '../model/address.ts';
import { type Fault, fault } from './problem.ts';

/** Reads an address or a prefix in canonical form. */
export function readPrefix(text: string): Prefix | Fault {
  const prefix = parsePrefix(text);
  if (prefix === 'not-an-address') return refuse(text);
  if (prefix === 'bad-length') {
    const [address, length] = text.split('/');
    const highest = address?.includes(':') ? 128 : 32;
    return fault('bad-address', `\`/${length}\` is not a prefix length of \`${address}\`: 0 to ${highest}`);
  }
  if ('hostBitsSet' in prefix) {
    return fault('bad-address', `\`${text}\` has bits set beyond its prefix length`, prefix.hostBitsSet);
  }
  return prefix;
}

/** Reads a lone address. */
export function readAddress(text: string): Address | Fault {
  const address = parseAddress(text);
  if (address) return address;
  const prefix = parsePrefix(text);
  if (typeof prefix !== 'string') return fault('bad-address', `\`${text}\` is a prefix, not one address`);
  return refuse(text);
}

function refuse(text: string): Fault {
  const bracketed = /^\[([0-9a-f:.]+)\]$/i.exec(text)?.[1];
  if (bracketed && parseAddress(bracketed)) {
    return fault('bad-address', `\`${text}\` has brackets, which only a port needs`, bracketed);
  }
  if (text.includes('%')) {
    return fault(
      'bad-address',
      `\`${text}\` has a zone, which policy cannot speak of`,
      text.split('%', 1)[0] ?? null,
    );
  }
  const port = /^([\d.]+(?:\/\d+)?):(\d+)$/.exec(text)?.[1];
  if (port && typeof parsePrefix(port) !== 'string') {
    return fault('bad-address', `\`${text}\` has a port, which goes under \`ports\``, port);
  }
  const looksLikeName = /[g-z]/i.test(text) && !text.includes(':');
  const hint = looksLikeName ? ': give a name as a host' : '';
  return fault('bad-address', `\`${text}\` is not an IP address or prefix${hint}`);
}
