import { readFileSync } from 'node:fs';
import { bindLoopback, closeListener } from '../dns/bind.ts';
import { parseResolvConf } from '../dns/resolv.ts';
import { type Finding, probeHost } from '../kernel/probe.ts';
import { outsideResolver } from './outside-resolver.ts';
import { isAlive, readEntries } from './registry.ts';
import { PROXY_ADDRESSES } from './session.ts';

/** What this kernel and host offer a run. */
export async function checkup(): Promise<Finding[]> {
  return [...probeHost(), await dnsProxy(), dnsServers(), lookups(), runs()];
}

async function dnsProxy(): Promise<Finding> {
  const name = 'DNS proxy';
  try {
    const { listeners } = await bindLoopback(PROXY_ADDRESSES, 0);
    const bound = listeners.map(({ address }) => address);
    await Promise.all(listeners.map(closeListener));
    return { name, state: 'ok', detail: `can listen on ${bound.join(' and ')}`, remedy: null };
  } catch (error) {
    return {
      name,
      state: 'missing',
      detail: (error as Error).message,
      remedy: 'bring lo up: ip link set lo up',
    };
  }
}

function dnsServers(): Finding {
  const name = 'DNS servers';
  const { servers } = parseResolvConf(readText('/etc/resolv.conf'));
  return { name, state: 'ok', detail: servers.map(({ address }) => address).join(', '), remedy: null };
}

function lookups(): Finding {
  const name = 'lookups';
  const found = outsideResolver(readText('/etc/nsswitch.conf'), readText('/proc/net/unix'));
  if (!found)
    return { name, state: 'ok', detail: 'names are asked by the process that needs them', remedy: null };
  const detail = `${found.name} answers lookups from outside the run, so enforce will not start`;
  return { name, state: 'missing', detail, remedy: found.remedy };
}

function runs(): Finding {
  const entries = readEntries();
  const orphans = entries.filter(({ engine }) => !isAlive(engine)).map(({ id }) => id);
  const name = 'runs';
  if (orphans.length === 0)
    return { name, state: 'ok', detail: `${entries.length} in progress`, remedy: null };
  return {
    name,
    state: 'optional',
    detail: `left by a killed Acyclic: ${orphans.join(', ')}`,
    remedy: 'the next acyclic run clears what has ended',
  };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
