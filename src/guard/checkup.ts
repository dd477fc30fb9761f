import { readFileSync } from 'node:fs';
import { bindLoopback, closeListener } from '../dns/bind.ts';
import { parseResolvConf } from '../dns/resolv.ts';
import { openDatagrams } from '../kernel/datagrams.ts';
import { SetupFailure } from '../kernel/failure.ts';
import type { Finding } from '../kernel/probe.ts';
import { CLOSING, GUARD_PROBES } from '../kernel/probe-guard.ts';
import { HOST_PROBES } from '../kernel/probe-host.ts';
import { type Cost, measureCost } from './cost.ts';
import { PROXY_ADDRESSES } from './engine.ts';
import { outsideResolvers } from './outside-resolver.ts';
import { ownAddresses } from './own-addresses.ts';
import { isAlive, readEntries } from './registry.ts';

/** What this kernel and host offer a run, and what a run costs here; null when none can be had. */
export interface Checkup {
  readonly findings: readonly Finding[];
  readonly cost: Cost | null;
}

const LO_UP = 'bring it up: ip link set lo up';
const GUARDED_RUN = 'guarded run';

/** Looks at all there is, then guards for real. Takes about a second, and leaves nothing behind. */
export async function checkup(): Promise<Checkup> {
  const findings: Finding[] = [];
  for (const { find } of HOST_PROBES) findings.push(await find());
  const powerless = findings.find(({ name, state }) => name === 'privileges' && state !== 'ok');
  for (const probe of GUARD_PROBES) {
    const state = probe.needed ? 'missing' : 'optional';
    findings.push(powerless ? untried({ name: probe.name, state }, powerless) : await probe.find());
  }
  const closes = findings.some(({ name, state }) => name === CLOSING && state === 'ok');
  findings.push(await dnsProxy(), dnsServers(), ...(await lookups(closes)), runs());
  const told = withoutEchoes(findings);
  const lacking = told.find(({ state }) => state === 'missing');
  const { finding, cost } = lacking
    ? { finding: untried({ name: GUARDED_RUN, state: 'missing' }, lacking), cost: null }
    : await guardedRun();
  return { findings: [...told, finding], cost };
}

function untried(what: Pick<Finding, 'name' | 'state'>, { name, remedy }: Finding): Finding {
  return { ...what, detail: `not tried: see ${name}`, remedy };
}

/** What is not there for the reason another thing is missing has that reason told once. */
function withoutEchoes(findings: readonly Finding[]): Finding[] {
  return findings.map((finding, at) => {
    const first = findings
      .slice(0, at)
      .find(({ detail, state }) => state === 'missing' && detail === finding.detail);
    return first && !finding.detail.startsWith('not tried') ? untried(finding, first) : finding;
  });
}

/** The one proof there is: a run of this very process. */
async function guardedRun(): Promise<{ finding: Finding; cost: Cost | null }> {
  try {
    const cost = await measureCost();
    const detail = `put up in ${Math.round(cost.setUpMs)} ms, taken down in ${Math.round(cost.finishMs)} ms`;
    return { finding: { name: GUARDED_RUN, state: 'ok', detail, remedy: null }, cost };
  } catch (error) {
    const remedy = error instanceof SetupFailure ? error.remedy : null;
    const detail = (error as Error).message;
    return { finding: { name: GUARDED_RUN, state: 'missing', detail, remedy }, cost: null };
  }
}

/** The addresses the DNS proxy could bind. */
async function tryListening(): Promise<readonly string[]> {
  const datagrams = openDatagrams({ message: () => {}, failed: () => {} });
  try {
    const { listeners } = await bindLoopback(datagrams, PROXY_ADDRESSES, 0);
    await Promise.all(listeners.map((listener) => closeListener(datagrams, listener)));
    return listeners.map(({ address }) => address);
  } finally {
    datagrams.close();
  }
}

async function dnsProxy(): Promise<Finding> {
  const name = 'DNS proxy';
  try {
    const bound = await tryListening();
    if (!ownAddresses().some((address) => address === '127.0.0.1'))
      return { name, state: 'optional', detail: 'lo is down: lookups of a run fail', remedy: LO_UP };
    const absent = PROXY_ADDRESSES.filter((address) => !bound.includes(address));
    if (absent.length === 0)
      return { name, state: 'ok', detail: `can listen on ${bound.join(' and ')}`, remedy: null };
    return {
      name,
      state: 'optional',
      detail: `cannot listen on ${absent.join(' and ')}: lookups a run sends by that family fail`,
      remedy: 'bring lo up with IPv6, or name no DNS server of that family',
    };
  } catch (error) {
    return {
      name,
      state: 'missing',
      detail: (error as Error).message,
      remedy: LO_UP,
    };
  }
}

function dnsServers(): Finding {
  const name = 'DNS servers';
  const text = readText('/etc/resolv.conf');
  const listed = parseResolvConf(text).servers.map(({ address }) => address);
  if (/^nameserver\s/m.test(text)) return { name, state: 'ok', detail: listed.join(', '), remedy: null };
  return {
    name,
    state: 'optional',
    detail: `none in /etc/resolv.conf, so ${listed.join(', ')} is asked`,
    remedy: 'name servers there, or under `dns` in the policy',
  };
}

/** A finding for each that would answer a run's lookups from outside. */
async function lookups(closes: boolean): Promise<Finding[]> {
  const name = 'lookups';
  const resolvers = await outsideResolvers(readText('/etc/nsswitch.conf'));
  if (resolvers.length === 0)
    return [{ name, state: 'ok', detail: 'names are asked by the process that needs them', remedy: null }];
  return resolvers.map(({ name: who, remedy, anyName, closable }) => {
    if (!anyName) {
      const detail = `${who} answers for names of this network or host from outside the run: they are known by address only`;
      return { name, state: 'optional', detail, remedy };
    }
    if (closable && closes) {
      const detail = `${who} answers from outside the run: enforce closes its socket to the run, which asks by DNS`;
      return { name, state: 'ok', detail, remedy: null };
    }
    const since = closable ? '; from Linux 6.7 on it would close its socket to the run' : '';
    const detail = `${who} answers lookups from outside the run, so enforce will not start${since}`;
    return { name, state: 'missing', detail, remedy };
  });
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
