import { parseAddress } from '../model/address.ts';
import { readHost } from './pattern.ts';
import { isFault } from './problem.ts';

/** A place this host's own settings send it to. */
export interface HostFact {
  readonly use: HostUse;
  /** A name or an address, in policy form. */
  readonly host: string;
  /** As `ports` has them. */
  readonly ports: readonly string[];
  /** `/etc/resolv.conf:2`. */
  readonly source: string;
}

export type HostUse = 'resolvers' | 'packages' | 'time' | 'logs';

/** A file of settings. */
export interface HostFile {
  readonly path: string;
  readonly text: string;
}

/** A line with its number, without what follows `#` or `;` at its beginning. */
interface Line {
  readonly text: string;
  readonly source: string;
}

function linesOf({ path, text }: HostFile): Line[] {
  return text.split(/\r?\n/).map((line, i) => ({ text: line.trim(), source: `${path}:${i + 1}` }));
}

/** The fact, if the host can be spoken of in a policy and is another machine. */
function fact(use: HostUse, host: string, ports: readonly string[], source: string): HostFact[] {
  const bare = host.replace(/^\[(.*)\]$/, '$1');
  const address = parseAddress(bare);
  if (address !== null) return isHere(address) ? [] : [{ use, host: address, ports, source }];
  const name = readHost(bare);
  if (isFault(name) || name.kind !== 'exact' || name.text === 'localhost') return [];
  return [{ use, host: name.text, ports, source }];
}

function isHere(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

/** resolv.conf(5). */
export function readResolvers(file: HostFile): HostFact[] {
  return linesOf(file).flatMap(({ text, source }) => {
    const [, server] = /^nameserver\s+(\S+)/.exec(text) ?? [];
    return server === undefined ? [] : fact('resolvers', server, ['53'], source);
  });
}

/** sources.list(5) in one-line style. */
export function readAptList(file: HostFile): HostFact[] {
  return linesOf(file).flatMap(({ text, source }) => {
    const [, url] = /^deb(?:-src)?\s+(?:\[[^\]]*\]\s+)?(\S+)/.exec(text) ?? [];
    return url === undefined ? [] : fromUrl('packages', url, source);
  });
}

/** sources.list(5) in deb822 style: stanzas of fields, a field going on in lines that begin with a blank. */
export function readAptStanzas({ path, text }: HostFile): HostFact[] {
  const facts: HostFact[] = [];
  let [stanza, enabled, field]: [HostFact[], boolean, string] = [[], true, ''];
  for (const [i, line] of [...text.split(/\r?\n/), ''].entries()) {
    if (line.startsWith('#')) continue;
    if (line.trim() === '') {
      if (enabled) facts.push(...stanza);
      [stanza, enabled, field] = [[], true, ''];
      continue;
    }
    const [, key, first] = /^([A-Za-z-]+):(.*)$/.exec(line) ?? [];
    field = key?.toLowerCase() ?? field;
    const value = (first ?? line).trim();
    if (field === 'enabled' && /^(no|false|without|off|disable|0)$/i.test(value)) enabled = false;
    if (field === 'uris')
      for (const url of value.split(/\s+/)) stanza.push(...fromUrl('packages', url, `${path}:${i + 1}`));
  }
  return facts;
}

/** apt.conf(5): the proxy that packages come through. */
export function readAptConf(file: HostFile): HostFact[] {
  return linesOf(file).flatMap(({ text, source }) => {
    const [, url] = /^Acquire::(?:https?::)?Proxy\s+"([^"]+)"/i.exec(text) ?? [];
    return url === undefined ? [] : fromUrl('packages', url, source);
  });
}

/** timesyncd.conf(5): what is set. */
export function readTimesyncd(file: HostFile): HostFact[] {
  return timeServers(file, /^(?:Fallback)?NTP=(.*)$/);
}

/** timesyncd.conf(5): what is commented out there is what it uses where nothing is set. */
export function readTimesyncdDefaults(file: HostFile): HostFact[] {
  return timeServers(file, /^#(?:Fallback)?NTP=(.*)$/);
}

function timeServers(file: HostFile, setting: RegExp): HostFact[] {
  return linesOf(file).flatMap(({ text, source }) =>
    (setting.exec(text)?.[1] ?? '')
      .split(/\s+/)
      .filter(Boolean)
      .flatMap((host) => fact('time', host, ['123/udp'], source)),
  );
}

/** chrony.conf(5) and ntp.conf(5): `server`, `pool` and `peer`. With NTS the keys come by TCP. */
export function readNtp(file: HostFile): HostFact[] {
  return linesOf(file).flatMap(({ text, source }) => {
    const [, host, rest = ''] = /^(?:server|pool|peer)\s+(?:-[46]\s+)?(\S+)(.*)$/i.exec(text) ?? [];
    if (host === undefined) return [];
    const port = /\sport\s+(\d+)/.exec(rest)?.[1] ?? '123';
    return fact('time', host, [`${port}/udp`, ...(/\snts\b/.test(rest) ? ['4460/tcp'] : [])], source);
  });
}

/** rsyslog.conf(5), in both styles. */
export function readRsyslog(file: HostFile): HostFact[] {
  return linesOf(file).flatMap(({ text, source }) => {
    if (text.startsWith('#')) return [];
    const [, at, host, port] =
      /\s(@@?)(?:\([^)]*\))?(\[[0-9a-fA-F:.]+\]|[^\s:;[\]]+)(?::(\d+))?/.exec(text) ?? [];
    if (at !== undefined && host !== undefined)
      return fact('logs', host, [`${port ?? 514}/${at === '@@' ? 'tcp' : 'udp'}`], source);
    if (!/type="om(fwd|relp)"/i.test(text)) return [];
    const value = (key: string) => new RegExp(`\\b${key}="([^"]*)"`, 'i').exec(text)?.[1];
    const relp = /type="omrelp"/i.test(text);
    const protocol = relp || value('protocol')?.toLowerCase() === 'tcp' ? 'tcp' : 'udp';
    return fact('logs', value('target') ?? '', [`${value('port') ?? 514}/${protocol}`], source);
  });
}

/** syslog-ng.conf(5): drivers of destinations that name a host. */
export function readSyslogNg(file: HostFile): HostFact[] {
  return linesOf(file).flatMap(({ text, source }) => {
    if (text.startsWith('#')) return [];
    const [, driver, host] = /\b(network|syslog|tcp6?|udp6?)\(\s*"([^"]+)"/.exec(text) ?? [];
    if (driver === undefined || host === undefined) return [];
    const port = /\bport\((\d+)\)/.exec(text)?.[1] ?? (driver === 'network' ? '601' : '514');
    const transport = /\btransport\("?(\w+)"?\)/.exec(text)?.[1] ?? driver;
    return fact('logs', host, [`${port}/${transport.startsWith('udp') ? 'udp' : 'tcp'}`], source);
  });
}

/** journal-upload.conf(5). */
export function readJournalUpload(file: HostFile): HostFact[] {
  return linesOf(file).flatMap(({ text, source }) => {
    const [, url] = /^URL=(\S+)$/.exec(text) ?? [];
    if (url === undefined) return [];
    const parsed = urlOf(url.includes('://') ? url : `https://${url}`);
    return parsed ? fact('logs', parsed.hostname, [`${parsed.port || 19532}/tcp`], source) : [];
  });
}

/** A source by the network; `file:`, `cdrom:` and the like lead nowhere else. */
function fromUrl(use: HostUse, text: string, source: string): HostFact[] {
  const url = urlOf(text.replace(/^(?:mirror|tor)\+/, ''));
  const known: Record<string, string> = { 'http:': '80', 'https:': '443', 'ftp:': '21' };
  const port = url && (url.port || known[url.protocol]);
  return url && port ? fact(use, url.hostname, [`${port}/tcp`], source) : [];
}

function urlOf(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}
