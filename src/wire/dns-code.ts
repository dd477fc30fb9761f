/** Response codes (IANA "DNS RCODEs"). */
export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
} as const;

/** Record types this program looks into (IANA "Resource Record (RR) TYPEs"). */
export const TYPE = {
  A: 1,
  CNAME: 5,
  PTR: 12,
  AAAA: 28,
  OPT: 41,
  SVCB: 64,
  HTTPS: 65,
  IXFR: 251,
  AXFR: 252,
} as const;

/** Extended DNS Errors this program gives (RFC 8914 §4). */
export const EDE = {
  OTHER: 0,
  BLOCKED: 15,
  NOT_SUPPORTED: 21,
  NO_REACHABLE_AUTHORITY: 22,
  NETWORK_ERROR: 23,
} as const;

/** An Extended DNS Error: code and text for people. */
export interface ExtendedError {
  readonly code: number;
  readonly text: string;
}

export const CLASS_IN = 1;
export const HEADER_BYTES = 12;

const RCODE_NAMES = [
  'NOERROR',
  'FORMERR',
  'SERVFAIL',
  'NXDOMAIN',
  'NOTIMP',
  'REFUSED',
  'YXDOMAIN',
  'YXRRSET',
  'NXRRSET',
  'NOTAUTH',
  'NOTZONE',
] as const;

const TYPE_NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'A'],
  [2, 'NS'],
  [5, 'CNAME'],
  [6, 'SOA'],
  [12, 'PTR'],
  [15, 'MX'],
  [16, 'TXT'],
  [28, 'AAAA'],
  [33, 'SRV'],
  [35, 'NAPTR'],
  [39, 'DNAME'],
  [43, 'DS'],
  [46, 'RRSIG'],
  [48, 'DNSKEY'],
  [52, 'TLSA'],
  [64, 'SVCB'],
  [65, 'HTTPS'],
  [251, 'IXFR'],
  [252, 'AXFR'],
  [255, 'ANY'],
  [257, 'CAA'],
]);

/** `NXDOMAIN`, or `RCODE16` where there is no common mnemonic. */
export function rcodeName(rcode: number): string {
  return RCODE_NAMES[rcode] ?? `RCODE${rcode}`;
}

/** `AAAA`, or `TYPE1234` (RFC 3597 §5) where there is no common mnemonic. */
export function typeName(type: number): string {
  return TYPE_NAMES.get(type) ?? `TYPE${type}`;
}
