import { type Address, parseAddress } from '../model/address.ts';
import { type Name, normalizeName } from '../model/name.ts';
import { builtinServices } from '../policy/builtin.ts';
import { type DestPattern, parseDest } from '../policy/dest.ts';
import { nearest } from '../policy/nearest.ts';
import type { Policy, Service } from '../policy/policy.ts';
import { formatPorts } from '../policy/ports.ts';
import { isFault } from '../policy/problem.ts';
import type { Clause } from '../policy/tier.ts';
import { Failure, harmless } from './output.ts';

/** Every service a policy has, the built-in ones too. */
export function servicesOf(policy: Policy): ReadonlyMap<string, Service> {
  return new Map([...builtinServices, ...policy.services]);
}

/** A DEST given on the command line. Throws Failure. */
export function readDest(text: string, services: ReadonlyMap<string, Service>): DestPattern {
  const dest = parseDest(text);
  if (isFault(dest)) throw new Failure('bad-value', dest.message, meant(dest.suggestion));
  if (dest.kind !== 'service' || services.has(dest.service)) return dest;
  const near = nearest(dest.service, services.keys());
  throw new Failure('bad-value', `there is no service \`${dest.service}\``, meant(near && `service:${near}`));
}

export function readAddressOption(text: string): Address {
  const address = parseAddress(text);
  if (address !== null) return address;
  throw new Failure('bad-value', `--address cannot be \`${harmless(text)}\``, 'give it an IP address');
}

export function readNameOption(text: string): Name {
  const name = normalizeName(text);
  if (name !== null) return name;
  throw new Failure('bad-value', `--name cannot be \`${harmless(text)}\``, 'give it a host name');
}

function meant(suggestion: string | null): string | null {
  return suggestion === null ? null : `did you mean \`${suggestion}\`?`;
}

/** `*.mirror.internal on 80, 443`, `r.internal at 10.0.0.5`. */
export function formatClause(clause: Pick<Clause, 'host' | 'address' | 'ports'>): string {
  const { host, address, ports } = clause;
  const where = [host?.text, address?.text].filter(Boolean).join(' at ');
  return ports === null ? where : `${where} on ${ports.map(formatPorts).join(', ')}`;
}
