import { readdirSync, readFileSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import {
  type HostFact,
  type HostFile,
  readAptConf,
  readAptList,
  readAptStanzas,
  readJournalUpload,
  readNtp,
  readResolvers,
  readRsyslog,
  readSyslogNg,
  readTimesyncd,
  readTimesyncdDefaults,
} from '../policy/host-facts.ts';

/** What a host's own settings say it calls. */
export interface HostSettings {
  readonly host: string;
  readonly facts: readonly HostFact[];
  /** A sign that the host is a cloud's; null where there is none. */
  readonly cloud: string | null;
  /** Where a resolver on the host itself is named, and none elsewhere. */
  readonly localResolver: string | null;
}

type Reader = (file: HostFile) => HostFact[];

const TIMESYNCD = '/etc/systemd/timesyncd.conf';

/** Files, and directories with what their files end in, in the order they are told. */
const SETTINGS: readonly { path: string; end?: string; read: Reader }[] = [
  { path: '/etc/resolv.conf', read: readResolvers },
  { path: '/etc/apt/sources.list', read: readAptList },
  { path: '/etc/apt/sources.list.d', end: '.list', read: readAptList },
  { path: '/etc/apt/sources.list.d', end: '.sources', read: readAptStanzas },
  { path: '/etc/apt/apt.conf', read: readAptConf },
  { path: '/etc/apt/apt.conf.d', end: '', read: readAptConf },
  { path: TIMESYNCD, read: readTimesyncd },
  { path: '/etc/systemd/timesyncd.conf.d', end: '.conf', read: readTimesyncd },
  { path: '/etc/chrony.conf', read: readNtp },
  { path: '/etc/chrony/chrony.conf', read: readNtp },
  { path: '/etc/chrony/conf.d', end: '.conf', read: readNtp },
  { path: '/etc/chrony/sources.d', end: '.sources', read: readNtp },
  { path: '/etc/ntp.conf', read: readNtp },
  { path: '/etc/ntpsec/ntp.conf', read: readNtp },
  { path: '/etc/rsyslog.conf', read: readRsyslog },
  { path: '/etc/rsyslog.d', end: '.conf', read: readRsyslog },
  { path: '/etc/syslog-ng/syslog-ng.conf', read: readSyslogNg },
  { path: '/etc/syslog-ng/conf.d', end: '.conf', read: readSyslogNg },
  { path: '/etc/systemd/journal-upload.conf', read: readJournalUpload },
];

/** systemd-resolved keeps the servers it asks here, where resolv.conf names only itself. */
const RESOLVED = '/run/systemd/resolve/resolv.conf';

/** Where a cloud's image or its firmware says so. */
const CLOUD_FILES = [
  '/run/cloud-init',
  '/etc/cloud/cloud.cfg',
  '/var/lib/waagent',
  '/etc/google-cloud-ops-agent',
];
const VENDOR = '/sys/class/dmi/id/sys_vendor';
const CLOUD_VENDOR =
  /amazon ec2|google|microsoft corporation|digitalocean|openstack|oraclecloud|hetzner|scaleway|alibaba/i;

const LARGEST = 1 << 20;
const MOST_FILES = 500;

/** Reads the settings below a root. What cannot be read is as if it were not there. */
export function describeHost(root: string): HostSettings {
  const files = SETTINGS.flatMap(({ path, end, read }) =>
    (end === undefined ? [path] : filesIn(root, path, end)).flatMap((each) => {
      const text = textOf(root, each);
      return text === null ? [] : read({ path: each, text });
    }),
  );
  if (!files.some(({ use }) => use === 'time')) {
    const timesyncd = textOf(root, TIMESYNCD);
    if (timesyncd !== null) files.push(...readTimesyncdDefaults({ path: TIMESYNCD, text: timesyncd }));
  }
  const resolved = textOf(root, RESOLVED);
  const upstream = resolved === null ? [] : readResolvers({ path: RESOLVED, text: resolved });
  const direct = files.some(({ use }) => use === 'resolvers');
  const facts = direct ? files : [...upstream, ...files];
  const resolvConf = textOf(root, '/etc/resolv.conf');
  return {
    host: root === '/' ? hostname() : textOf(root, '/etc/hostname')?.trim() || root,
    facts,
    cloud: cloudOf(root),
    localResolver: resolvConf !== null && /^nameserver/m.test(resolvConf) ? '/etc/resolv.conf' : null,
  };
}

function cloudOf(root: string): string | null {
  const vendor = textOf(root, VENDOR)?.trim() ?? '';
  if (CLOUD_VENDOR.test(vendor)) return `${VENDOR}: ${vendor}`;
  return CLOUD_FILES.find((path) => exists(join(root, path))) ?? null;
}

function filesIn(root: string, directory: string, end: string): string[] {
  try {
    const names = readdirSync(join(root, directory)).filter((name) => name.endsWith(end));
    return names
      .sort()
      .slice(0, MOST_FILES)
      .map((name) => join(directory, name));
  } catch {
    return [];
  }
}

/** The text of a plain file of bounded size; null for anything else. */
function textOf(root: string, path: string): string | null {
  try {
    const file = join(root, path);
    const stat = statSync(file);
    return stat.isFile() && stat.size <= LARGEST ? readFileSync(file, 'utf8') : null;
  } catch {
    return null;
  }
}

function exists(path: string): boolean {
  try {
    statSync(path);
    return true;
  } catch {
    return false;
  }
}
