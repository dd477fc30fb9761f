import { isIP } from 'node:net';

/** What resolv.conf(5) says, with glibc's defaults and caps. */
export interface ResolvConf {
  /** At most three, in order, port 53; the local machine when none is named. */
  readonly servers: readonly { readonly address: string; readonly port: number }[];
  readonly search: readonly string[];
  readonly ndots: number;
  /** Seconds to wait for one server. */
  readonly timeout: number;
  readonly attempts: number;
}

const DNS_PORT = 53;
const MAX_SERVERS = 3;

/** Reads the text of a resolv.conf as glibc would: lines it does not know are skipped. */
export function parseResolvConf(text: string): ResolvConf {
  const servers: { address: string; port: number }[] = [];
  let search: readonly string[] = [];
  const options = { ndots: 1, timeout: 5, attempts: 2 };
  for (const line of text.split(/\r?\n/)) {
    if (/^[#;]/.test(line)) continue;
    const [keyword, ...values] = line.trim().split(/[ \t]+/);
    const [first] = values;
    if (keyword === 'nameserver' && first !== undefined) {
      if (isIP(first) !== 0 && servers.length < MAX_SERVERS) servers.push({ address: first, port: DNS_PORT });
    } else if (keyword === 'search') {
      search = values;
    } else if (keyword === 'domain' && first !== undefined) {
      search = [first];
    } else if (keyword === 'options') {
      for (const option of values) readOption(option, options);
    }
  }
  if (servers.length === 0) servers.push({ address: '127.0.0.1', port: DNS_PORT });
  return { servers, search, ...options };
}

const CAPS = { ndots: 15, timeout: 30, attempts: 5 } as const;

function readOption(text: string, options: { ndots: number; timeout: number; attempts: number }): void {
  const match = /^(ndots|timeout|attempts):(\d+)$/.exec(text);
  if (match === null) return;
  const key = match[1] as keyof typeof CAPS;
  options[key] = Math.min(Number(match[2]), CAPS[key]);
}
