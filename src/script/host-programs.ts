import type { Transport } from '../model/destination.ts';
import { type Host, readHost, readPort } from './host.ts';
import { takesNext } from './invocation.ts';
import type { Findings } from './mention.ts';
import { shown } from './scan.ts';
import { placeAt, spell, type Text, UNKNOWN } from './text.ts';
import type { Argument } from './walker.ts';

/** How a program's command line names hosts. */
interface Usage {
  /** Port it calls if none is said; null: it calls none, or any. */
  readonly port: number | null;
  readonly protocol?: Transport;
  /** Words that are hosts: the first that is no option, the first with a port after it, all, or those before a `:`. */
  readonly words: 'first' | 'with-port' | 'all' | 'before-colon' | 'none';
  /** Options whose value is a host. */
  readonly hosts?: readonly string[];
  /** Options whose value is the port. */
  readonly ports?: readonly string[];
  /** Short options whose value is something else; a long one that is not known is taken to have a value. */
  readonly valued?: string;
  /** Long options without a value. */
  readonly flags?: readonly string[];
}

const MYSQL: Usage = { port: 3306, words: 'none', hosts: ['-h', '--host'], ports: ['-P', '--port'] };
const POSTGRES: Usage = { port: 5432, words: 'none', hosts: ['-h', '--host'], ports: ['-p', '--port'] };
const MONGO: Usage = { port: 27017, words: 'none', hosts: ['--host'], ports: ['--port'] };
const PING: Usage = { port: null, protocol: 'other', words: 'first', valued: 'cfFgGIiklmMnNopQsStTwWX' };
const NETCAT: Usage = { port: null, words: 'with-port', valued: 'eGgIiMmOPpqsTVWwXx' };
const LOOKUP: Usage = { port: null, words: 'all', valued: 'cmNRtWbfkpqxy' };
const SSH: Usage = { port: 22, words: 'first', ports: ['-p'], valued: 'BbcDEeFIiJLlmOoPpQRSWw' };
const COPY: Usage = { port: 22, words: 'before-colon', ports: ['-P'], valued: 'cDFiJloPSXefMT' };
const FETCH_FLAGS = [
  ...[
    '--compressed',
    '--create-dirs',
    '--disable',
    '--fail',
    '--fail-early',
    '--fail-with-body',
    '--get',
    '--globoff',
  ],
  ...[
    '--head',
    '--http1.1',
    '--http2',
    '--include',
    '--insecure',
    '--ipv4',
    '--ipv6',
    '--location',
    '--no-buffer',
  ],
  ...[
    '--no-progress-meter',
    '--progress-bar',
    '--remote-name',
    '--remote-name-all',
    '--retry-all-errors',
    '--silent',
  ],
  ...[
    '--retry-connrefused',
    '--show-error',
    '--verbose',
    '--continue',
    '--no-check-certificate',
    '--no-verbose',
  ],
  ...[
    '--quiet',
    '--recursive',
    '--spider',
    '--timestamping',
    '--no-clobber',
    '--show-progress',
    '--https-only',
  ],
];

const PROGRAMS: Readonly<Record<string, Usage>> = {
  curl: {
    ...{ port: 80, words: 'all', hosts: ['-x', '--proxy'], flags: FETCH_FLAGS },
    valued: 'AbcCdDeEFhHKmoPQrtTuUwXyYz',
  },
  wget: { port: 80, words: 'all', flags: FETCH_FLAGS, valued: 'aABDeIloOPQRtTUwX' },
  ...{ ping: PING, ping6: PING, traceroute: PING, tracepath: PING, mtr: PING },
  ...{ nc: NETCAT, ncat: NETCAT, netcat: NETCAT, telnet: { ...NETCAT, port: 23, valued: 'eklnSX' } },
  ...{ dig: LOOKUP, host: LOOKUP, nslookup: { ...LOOKUP, valued: '' } },
  ...{
    ssh: SSH,
    sftp: SSH,
    mosh: SSH,
    'ssh-keyscan': { ...SSH, words: 'all', valued: 'fOpTt' },
    'ssh-copy-id': SSH,
  },
  ...{ scp: COPY, rsync: COPY },
  ...{
    mysql: MYSQL,
    mysqladmin: MYSQL,
    mysqldump: MYSQL,
    mysqlimport: MYSQL,
    mysqlcheck: MYSQL,
    mysqlsh: MYSQL,
  },
  ...{ mariadb: MYSQL, 'mariadb-admin': MYSQL, 'mariadb-dump': MYSQL },
  ...{ psql: POSTGRES, pg_dump: POSTGRES, pg_dumpall: POSTGRES, pg_restore: POSTGRES, pg_isready: POSTGRES },
  ...{
    createdb: POSTGRES,
    dropdb: POSTGRES,
    mongo: MONGO,
    mongosh: MONGO,
    mongodump: MONGO,
    mongorestore: MONGO,
  },
  'redis-cli': { port: 6379, words: 'none', hosts: ['-h'], ports: ['-p'] },
  openssl: { port: 443, words: 'none', hosts: ['-connect'] },
  git: { port: 22, words: 'before-colon', valued: 'cC' },
  ...{ ftp: { port: 21, words: 'first' }, lftp: { port: 21, words: 'first', valued: 'cefpu' } },
  mount: { port: 2049, words: 'before-colon', valued: 'ot' },
  ntpdate: { port: 123, protocol: 'udp', words: 'all', valued: 'adeopt' },
};

/** Finds the hosts that the program's own command line gives it without a URL. */
export function nameHosts(program: string, args: readonly Argument[], findings: Findings): void {
  // `getent hosts NAME`, `getent ahosts NAME`.
  const looksUp = program === 'getent' && args[0]?.text?.includes('hosts');
  const usage = looksUp ? LOOKUP : Object.hasOwn(PROGRAMS, program) ? PROGRAMS[program] : undefined;
  if (!usage) return;
  const { hosts, port, rest } = sort(looksUp ? args.slice(1) : args, usage);
  const own = port ?? usage.port;
  const certain = usage.words !== 'before-colon' ? rest : [];
  const named = usage.words === 'all' ? certain : certain.slice(0, 1);
  const after = usage.words === 'with-port' ? readPort(certain[1]?.text ?? '') : null;
  const call = { program, port: after ?? own, protocol: usage.protocol ?? 'tcp' };
  for (const { readings, raw } of usage.words === 'none' ? hosts : [...hosts, ...named])
    for (const text of readings) nameHost(text, raw, call, findings);
  if (usage.words !== 'before-colon') return;
  for (const { readings } of rest) for (const text of readings) nameRemote(text, findings, own);
}

/** Options apart from words; the value of an option is one or the other, or nothing that matters here. */
function sort(args: readonly Argument[], usage: Usage) {
  const { hosts = [], ports = [], valued = '', flags } = usage;
  const found = { hosts: [] as Argument[], rest: [] as Argument[], port: null as number | null };
  const take = (option: string, value: Argument | undefined) => {
    if (value && hosts.includes(option)) found.hosts.push(value);
    if (value && ports.includes(option)) found.port = readPort(value.text ?? '') ?? found.port;
  };
  for (let at = 0; at < args.length; at++) {
    const arg = args[at];
    const text = arg?.text ?? '';
    if (!arg || text === '-' || text === '--') continue;
    if (!text.startsWith('-')) {
      found.rest.push(arg);
      continue;
    }
    const option = [...hosts, ...ports].find((one) => text.startsWith(one)) ?? '';
    const glued = text.slice(option.length).replace(/^=/, '');
    if (option !== '' && text === option) take(option, args[++at]);
    else if (option !== '' && (text[option.length] === '=' || !option.startsWith('--'))) {
      found.hosts.push(
        ...(hosts.includes(option) ? [{ ...arg, readings: tails(arg, text.length - glued.length) }] : []),
      );
      if (ports.includes(option)) found.port = readPort(glued) ?? found.port;
    } else if (takesNext(text, valued, [])) at++;
    else if (flags && text.startsWith('--') && !text.includes('=') && !flags.includes(text)) at++;
  }
  return found;
}

function tails({ readings }: Argument, from: number): Text[] {
  return readings.map((text) =>
    text.map((piece, i) =>
      i === 0 && piece.text !== null ? { ...piece, text: piece.text.slice(from) } : piece,
    ),
  );
}

/** `host`, `user@host`, `host:port`, `host/path`, `@server` (dig's). What has a scheme is found by `scan`. */
function nameHost(
  text: Text,
  raw: string,
  call: { readonly program: string; readonly port: number | null; readonly protocol: Transport },
  findings: Findings,
): void {
  const { program, port, protocol } = call;
  const whole = spell(text);
  if (whole.includes('://') || /\s/.test(whole) || whole.length > 400) return;
  const server = program === 'dig' && whole.startsWith('@');
  const [, before = '', word = '', own] =
    /^((?:[^@/]*@)?)(\[[^\]]*\]|[^:/?#]*)(?::(\d+))?(?:[/?#].*)?$/.exec(whole) ?? [];
  const bare = /^[\da-f:]*:[\da-f:.]*:[\da-f:.]*$/i.test(whole) ? whole : word;
  const host = usable(readHost(bare), program);
  const place = placeAt(text, before.length);
  if (host && server) findings.mention(host, place, 53, 'udp');
  else if (host) findings.mention(host, place, own === undefined ? port : readPort(own), protocol);
  if (bare.includes(UNKNOWN))
    findings.cannotTell('outside', `the host that ${shown(`${program} ${raw}`)} calls`, place);
}

/** `host:path` and `user@host:path`. */
function nameRemote(text: Text, findings: Findings, port: number | null): void {
  const whole = spell(text);
  const [, before = '', word = ''] = /^((?:[^@/:]*@)?)(\[[^\]]*\]|[^:/@]+):(?!\/\/)/.exec(whole) ?? [];
  const host = readHost(word);
  if (host && (before !== '' || word.includes('.')))
    findings.mention(host, placeAt(text, before.length), port);
}

/** A single word without dots is a host only to programs that take nothing else. */
function usable(host: Host | null, program: string): Host | null {
  const single = host?.kind === 'name' && !host.name.includes('.');
  return single && /^(curl|wget|dig|host|nslookup)$/.test(program) ? null : host;
}
