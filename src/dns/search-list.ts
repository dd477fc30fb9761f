import { type Name, normalizeName } from '../model/name.ts';
import { parseResolvConf } from './resolv.ts';

/** How a process's resolver makes names of what it is asked (resolv.conf(5)). */
export interface Habits {
  /** Appended in this order; in policy form. */
  readonly search: readonly Name[];
  /** What has as many dots is asked as it is first, and expanded after; anything else the other way round. */
  readonly ndots: number;
  /** How often one question is sent, over all servers, when none gives an answer. */
  readonly tries: number;
}

/** What a process may have asked its resolver for, seen from a name that it asked the server for. */
export interface Reading {
  readonly asked: Name;
  /** The names its resolver makes of that, in the order it asks for them. */
  readonly names: readonly Name[];
}

/** Search domains considered; a resolver that has more asks for names that are attempts of their own. */
const MOST_DOMAINS = 32;

/**
 * The habits of a glibc process: what resolv.conf says, `LOCALDOMAIN` and `RES_OPTIONS` over it, and the domain of
 * the host's name where no search list is given.
 */
export function habitsOf(
  resolvConf: string,
  environment: { readonly LOCALDOMAIN?: string; readonly RES_OPTIONS?: string },
  hostname: string,
): Habits {
  const { LOCALDOMAIN, RES_OPTIONS } = environment;
  const line = (keyword: string, value: string | undefined): string =>
    value === undefined ? '' : `\n${keyword} ${value.replace(/\s+/g, ' ')}`;
  const own = line('search', LOCALDOMAIN) + line('options', RES_OPTIONS);
  const conf = parseResolvConf(resolvConf + own);
  const [, ...domain] = hostname.split('.');
  const listed = conf.search.length > 0 ? conf.search : [domain.join('.')];
  const search = listed.map(normalizeName).filter((name) => name !== null);
  return {
    search: [...new Set(search)].slice(0, MOST_DOMAINS),
    ndots: conf.ndots,
    tries: conf.servers.length * conf.attempts,
  };
}

/** Every reading of a name, that it was asked for as it is first. */
export function readingsOf(name: Name, habits: Habits): readonly [Reading, ...Reading[]] {
  const relative = habits.search
    .filter((domain) => name.endsWith(`.${domain}`))
    .map((domain) => name.slice(0, -domain.length - 1))
    .map((asked) => ({ asked, names: expand(asked, habits) }));
  const whole = dots(name) >= habits.ndots ? expand(name, habits) : [name];
  return [{ asked: name, names: whole }, ...relative];
}

/** The names a reading has still to come after this one. */
export function namesAfter({ names }: Reading, name: Name): readonly Name[] {
  return names.slice(names.indexOf(name) + 1);
}

/** What a resolver asks for; an expansion too long to be a name it passes over. */
function expand(asked: Name, { search, ndots }: Habits): readonly Name[] {
  const expansions = search
    .map((domain) => normalizeName(`${asked}.${domain}`))
    .filter((name) => name !== null);
  return dots(asked) >= ndots ? [asked, ...expansions] : [...expansions, asked];
}

function dots(name: Name): number {
  return name.split('.').length - 1;
}
