import { isIPv4 } from 'node:net';
import type { Answer } from 'dns-packet';

/**
 * Records by owner name (lower case; `*.example` for any name below), each in zone-file style with an optional TTL:
 * `A 192.0.2.7`, `60 AAAA 2001:db8::7`, `CNAME x.example`, `TXT some text`, `MX 10 mail.example`,
 * `SRV 0 0 443 host.example`, `NS ns.example`, `PTR host.example`, `DNAME other.example`,
 * `HTTPS 1 . ipv4hint=192.0.2.7,192.0.2.8 ipv6hint=2001:db8::7`, `CAA 0 issue ca.example`,
 * `SOA ns.example admin.example 1`, `TYPE1234 0a0b`. An owner without records exists, with no data.
 */
export type Zone = Readonly<Record<string, readonly string[]>>;

export interface ZoneRecord {
  readonly type: string;
  readonly ttl: number;
  readonly data: string;
}

const DEFAULT_TTL = 30;
const MAX_CHAIN = 20;

/** What the zone answers: records in order, following aliases (also in a loop, a while). Null: NXDOMAIN. */
export function lookUp(zone: Zone, name: string, type: string): Answer[] | null {
  const answers: Answer[] = [];
  let owner = name;
  for (let i = 0; i < MAX_CHAIN; i++) {
    const records = recordsOf(zone, owner.toLowerCase());
    const dname = records === null ? dnameAbove(zone, owner.toLowerCase()) : null;
    if (dname !== null) {
      answers.push(toAnswer(dname.at, dname.record));
      const target = `${owner.slice(0, -dname.at.length)}${dname.record.data}`;
      answers.push(toAnswer(owner, { type: 'CNAME', ttl: dname.record.ttl, data: target }));
      owner = target;
      continue;
    }
    if (records === null) return i === 0 ? null : answers;
    const wanted = records.filter((record) => record.type === type || type === 'ANY');
    if (wanted.length > 0) return [...answers, ...wanted.map((record) => toAnswer(owner, record))];
    const alias = records.find((record) => record.type === 'CNAME');
    if (alias === undefined) return answers;
    answers.push(toAnswer(owner, alias));
    owner = alias.data;
  }
  return answers;
}

function recordsOf(zone: Zone, name: string): ZoneRecord[] | null {
  const exact = zone[name];
  if (exact !== undefined) return exact.map(parseRecord);
  const below = Object.keys(zone).some((owner) => owner.endsWith(`.${name}`) || name === '');
  if (below) return [];
  const labels = name.split('.');
  for (let i = 1; i < labels.length; i++) {
    const wild = zone[`*.${labels.slice(i).join('.')}`];
    if (wild !== undefined) return wild.map(parseRecord);
  }
  return null;
}

function dnameAbove(zone: Zone, name: string): { at: string; record: ZoneRecord } | null {
  const labels = name.split('.');
  for (let i = 1; i < labels.length; i++) {
    const at = labels.slice(i).join('.');
    const record = zone[at]?.map(parseRecord).find((one) => one.type === 'DNAME');
    if (record !== undefined) return { at, record };
  }
  return null;
}

function parseRecord(line: string): ZoneRecord {
  const match = /^(?:(\d+) )?([A-Z0-9]+)(?: (.*))?$/.exec(line);
  if (match?.[2] === undefined) throw new Error(`not a zone record: ${line}`);
  return { type: match[2], ttl: Number(match[1] ?? DEFAULT_TTL), data: match[3] ?? '' };
}

function toAnswer(name: string, { type, ttl, data }: ZoneRecord): Answer {
  const words = data.split(' ');
  const number = (at: number): number => Number(words[at]);
  const last = words.at(-1) ?? '';
  switch (type) {
    case 'A':
    case 'AAAA':
    case 'CNAME':
    case 'DNAME':
    case 'NS':
    case 'PTR':
      return { name, type, ttl, data };
    case 'TXT':
      return { name, type, ttl, data: data.match(/.{1,255}/g) ?? [''] };
    case 'MX':
      return { name, type, ttl, data: { preference: number(0), exchange: last } };
    case 'SRV':
      return {
        name,
        type,
        ttl,
        data: { priority: number(0), weight: number(1), port: number(2), target: last },
      };
    case 'HTTPS':
      // dns-packet encodes the type name HTTPS as 0.
      return { name, type: 'UNKNOWN_65', ttl, data: encodeHttps(words) } as unknown as Answer;
    case 'CAA':
      return { name, type, ttl, data: { flags: number(0), tag: 'issue', value: last } };
    case 'SOA': {
      const [mname = '', rname = '', serial] = words;
      const times = { serial: Number(serial), refresh: 3600, retry: 600, expire: 86_400, minimum: 60 };
      return { name, type, ttl, data: { mname, rname, ...times } };
    }
    default:
      if (type.startsWith('TYPE')) {
        const unknown = `UNKNOWN_${type.slice(4)}`;
        return { name, type: unknown, ttl, data: Buffer.from(data, 'hex') } as unknown as Answer;
      }
      throw new Error(`the test zone has no records of type ${type}`);
  }
}

/** RFC 9460 §2.2, with the hints only. */
function encodeHttps([priority, target = '.', ...parameters]: string[]): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(Number(priority));
  return Buffer.concat([head, encodeName(target), ...parameters.map(encodeHint)]);
}

function encodeHint(parameter: string): Buffer {
  const [key, value = ''] = parameter.split('=');
  const addresses = value.split(',').map(encodeAddress);
  const size = addresses.reduce((sum, one) => sum + one.length, 0);
  const head = Buffer.alloc(4);
  head.writeUInt16BE(key === 'ipv4hint' ? 4 : 6, 0);
  head.writeUInt16BE(size, 2);
  return Buffer.concat([head, ...addresses]);
}

/** An uncompressed name as it goes into a message. */
function encodeName(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '');
  return Buffer.concat([
    ...labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')])),
    Buffer.from([0]),
  ]);
}

function encodeAddress(text: string): Buffer {
  if (isIPv4(text)) return Buffer.from(text.split('.').map(Number));
  const [left = '', right = ''] = text.split('::');
  const groups = (half: string): string[] => (half === '' ? [] : half.split(':'));
  const head = groups(left);
  const tail = groups(right);
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0');
  return Buffer.from([...head, ...zeros, ...tail].map((group) => group.padStart(4, '0')).join(''), 'hex');
}
