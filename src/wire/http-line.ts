import { type Authority, readAuthority } from './authority.ts';
import type { OpeningFault } from './opening.ts';

/** The four forms of a request target (RFC 9112 §3.2). */
export type TargetForm = 'origin' | 'absolute' | 'authority' | 'asterisk';

/** The request line of an HTTP/1 request. */
export interface RequestLine {
  /** As sent: methods tell upper from lower case. */
  readonly method: string;
  readonly form: TargetForm;
  /** What an absolute or authority form names, with its port or that of its scheme; null for the other forms. */
  readonly target: Authority | null;
}

const STRICT = /^([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}) ([^\t\v\f\r ]+) HTTP\/(\d\.\d)$/;
/** Servers of HTTP take RTSP (RFC 2326) and ICE, made in its image, for it. */
const VERSION = /[\t\v\f\r ](HTTP|RTSP|ICE)\/\d/i;
const ABSOLUTE = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]*)/i;
/** A request without a version, as HTTP/0.9 had it; some servers read fields after it all the same. */
const SIMPLE = /^[A-Z_-]+ +(\/[^ ]*|\*[^ ]*|[A-Za-z]+:\/\/[^ ]*)$|^CONNECT +(?!\{)[^ ]*$/;

const SCHEME_PORTS: ReadonlyMap<string, number> = new Map([
  ['http', 80],
  ['ws', 80],
  ['https', 443],
  ['wss', 443],
  ['ftp', 21],
]);

/** Whether a line, complete, is the request line of some HTTP, well-formed or not. Other protocols have such lines too. */
export function isRequestLine(line: string): boolean {
  return VERSION.test(line) || SIMPLE.test(line);
}

/** Whether the beginning of a line can hardly be anything but that of an HTTP request. */
export function beginsRequest(start: string): boolean {
  return /^[a-z_-]+[\t ]+(\/|[a-z][a-z0-9+.-]*:\/\/)/i.test(start);
}

/** Reads a request line without its CRLF (RFC 9112 §3). */
export function readRequestLine(line: string): RequestLine | OpeningFault {
  const [, method, target, version] = STRICT.exec(line) ?? [];
  if (method === undefined || target === undefined)
    return / HTTP\/|[\t\v\f\r]/i.test(line) ? 'request-line' : 'version';
  if (version !== '1.1' && version !== '1.0') return 'version';
  if (method === 'CONNECT') return readConnect(method, target);
  if (target.startsWith('/')) return { method, form: 'origin', target: null };
  if (target === '*' && method === 'OPTIONS') return { method, form: 'asterisk', target: null };
  const [, scheme, text] = ABSOLUTE.exec(target) ?? [];
  if (scheme === undefined || text === undefined) return 'target';
  const authority = readAuthority(text);
  if (typeof authority === 'string') return authority;
  const port = authority.port ?? SCHEME_PORTS.get(scheme.toLowerCase()) ?? null;
  return { method, form: 'absolute', target: { ...authority, port } };
}

function readConnect(method: string, text: string): RequestLine | OpeningFault {
  if (/[/?#]/.test(text)) return 'target';
  const target = readAuthority(text);
  if (typeof target === 'string') return target;
  return target.port === null ? 'port' : { method, form: 'authority', target };
}
