import type { Name } from '../model/name.ts';
import { isShared } from './shared-zones.ts';

/** So many names that differ only in a number or a generated id are a pool, of which the next run meets another. */
const POOL = 3;
/** So many names of any kind, in a zone of one's own, are read better as one. */
const CROWD = 8;

/** Zones nobody else registers names in: special use (RFC 6762, 8375, 9476, ICANN's .internal) or customary. */
const PRIVATE = new Set([
  'internal',
  'local',
  'localdomain',
  'lan',
  'corp',
  'home',
  'intranet',
  'private',
  'test',
]);

/**
 * The zones directly below which these names are best allowed as `*.zone`: all of them, and only where that is
 * justified. A zone is never a public suffix, nor a domain whose names belong to others, and never holds a name
 * in `others`. With each zone, the names it stands for.
 */
export function zonesOf(names: readonly Name[], others: readonly Name[]): Map<Name, readonly Name[]> {
  const byZone = new Map<Name, Name[]>();
  for (const name of names) {
    const zone = zoneOf(name);
    if (zone === null) continue;
    const siblings = byZone.get(zone);
    if (siblings) siblings.push(name);
    else byZone.set(zone, [name]);
  }
  const justified = [...byZone].filter(
    ([zone, siblings]) =>
      isJustified(zone, siblings) &&
      !others.some((other) => other.endsWith(`.${zone}`)) &&
      !names.some((name) => name.endsWith(`.${zone}`) && zoneOf(name) !== zone),
  );
  return new Map(justified);
}

function zoneOf(name: Name): Name | null {
  const dot = name.indexOf('.');
  return dot < 0 ? null : name.slice(dot + 1);
}

function isJustified(zone: Name, siblings: readonly Name[]): boolean {
  const own = isPrivate(zone);
  if (!own && !isDeepInPublic(zone)) return false;
  const shapes = new Set(siblings.map((name) => shapeOf(name.slice(0, name.indexOf('.')))));
  const [shape = ''] = shapes;
  const pool = shapes.size === 1 && shape.includes('#') && siblings.length >= POOL;
  return pool || (own && siblings.length >= CROWD);
}

/** A label with its numbers and generated ids as `#`: `db-12` is `db-#`, `i-0abc123def` is `i-#`. */
function shapeOf(label: string): string {
  return label.replace(/(?=[a-f]*\d)[0-9a-f]{6,}/g, '#').replace(/\d+/g, '#');
}

function isPrivate(zone: Name): boolean {
  const labels = zone.split('.');
  if (zone.endsWith('.home.arpa')) return true;
  return labels.length >= 2 && PRIVATE.has(labels.at(-1) ?? '');
}

/**
 * Below a domain that is surely somebody's own. There is no public suffix list here: so a zone has a label more
 * than `example.com` has, and below a country, where `example.co.uk` is a domain, two more.
 */
function isDeepInPublic(zone: Name): boolean {
  const labels = zone.split('.');
  const country = labels.at(-1)?.length === 2;
  return labels.length >= (country ? 4 : 3) && !isShared(zone);
}
