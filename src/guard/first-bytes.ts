import type { Opening } from '../model/opening.ts';
import type { FirstBytes } from '../wire/first-bytes.ts';

const NOBODY: Opening = {
  readable: true,
  proxied: false,
  encrypted: false,
  name: null,
  address: null,
  port: null,
};

/** What is said of whom a connection is for, in the words of policy. */
export function openingOf(read: FirstBytes): Opening {
  switch (read.kind) {
    case 'tls':
      return { ...NOBODY, encrypted: read.ech, name: read.name, address: read.address };
    case 'http': {
      const { name, address, port, form } = read;
      const proxied = form === 'absolute' || form === 'authority';
      return { ...NOBODY, proxied, name, address, port: proxied ? port : null };
    }
    case 'unreadable':
      return { ...NOBODY, readable: false };
    default:
      return NOBODY;
  }
}
