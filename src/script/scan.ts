import { type Host, looksLikeFile, readHost, readPort, schemePort } from './host.ts';
import type { Findings } from './mention.ts';
import { locator, type Place, spell, type Text, UNKNOWN } from './text.ts';

/** A scheme, then an authority: up to what ends one in a URL, or in the text a URL stands in. */
const URL = /([a-z][a-z0-9+.-]{0,30}):\/\/([^\s/?#"'`<>\\|;&()]{1,400})/gi;
/** `git@github.com:org/repo`; user, host, and a path that begins at once. */
const SCP = /(?<![\w.@/:-])[\w.-]{1,64}@([\w.-]{1,253}|\[[\da-f:.]{2,45}\]):(?![\s/]|\d+$|$)/gi;
const DEV = /\/dev\/(tcp|udp)\/([^\s/"']{1,253})\/([^\s/"';&|)]{1,30})/g;
/** A host and a port, with nothing around them that would make them something else. */
const HOST_PORT =
  /(?<![\w.@/:\]-])((?:[\w-]{1,63}\.){1,20}[\w-]{1,63}|localhost|\[[\da-f:.]{2,45}\]):(\d{1,5})(?![\w.:-])/gi;
/** What has dots in it, and could be a name or an IPv4 address; and what could be an IPv6 address. */
const DOTTED = /[\w-]{1,63}(?:\.[\w-]{1,63}){1,20}/g;
const COLONS = /(?<![\w:.])[\da-f]{0,4}(?::[\da-f]{0,4}){2,7}(?:\d{1,3}(?:\.\d{1,3}){3})?(?![\w:])/gi;

/** A place for a value in a text that is none of the shell's: `{host}`, `${HOST}`. */
const TEMPLATE = /\$?\{{1,2}[^{}:]{0,60}\}{1,2}/g;

/** How sure it is that a text is about calls: `said` texts only hold words that could be hosts. */
export type Weight = 'certain' | 'said';

/** Finds the hosts in a text: URLs, git remotes, `/dev/tcp`, hosts with a port, and words that could be hosts. */
export function scan(text: Text, findings: Findings, weight: Weight = 'certain'): void {
  const whole = spell(text);
  const certain = weight === 'certain';
  const placeOf = locator(text);
  const mention = (host: Host | null, offset: number, port: number | null, protocol?: 'tcp' | 'udp') => {
    if (!host) return;
    const place = placeOf(offset);
    if (certain) findings.mention(host, place, port, protocol);
    else findings.word(host, place);
  };
  if (whole.includes('://')) scanUrls(whole, placeOf, findings, weight);
  if (whole.includes('@'))
    for (const match of whole.matchAll(SCP))
      mention(readHost(match[1] ?? ''), match.index + match[0].indexOf('@') + 1, 22);
  if (whole.includes('/dev/'))
    for (const { 0: found, 1: protocol, 2: host = '', 3: port = '', index } of whole.matchAll(DEV)) {
      const at = index + found.indexOf(host, 9);
      mention(readHost(host), at, readPort(port), protocol === 'udp' ? 'udp' : 'tcp');
      if (certain && host.includes(UNKNOWN))
        findings.cannotTell('outside', `the host of ${shown(found)}`, placeOf(at));
    }
  for (const { 1: host = '', 2: digits = '', index } of whole.matchAll(HOST_PORT)) {
    const port = readPort(digits);
    if (port !== null && !looksLikeFile(host)) mention(readHost(host), index, port);
  }
  scanWords(whole, placeOf, findings, weight);
}

type PlaceOf = (offset: number) => Place;

function scanUrls(whole: string, placeOf: PlaceOf, findings: Findings, weight: Weight): void {
  for (const { 0: found, 1: scheme = '', 2: authority = '', index } of whole.matchAll(URL)) {
    const port = schemePort(scheme);
    if (port === undefined) continue;
    const start = index + found.length - authority.length;
    const userinfo = authority.lastIndexOf('@') + 1;
    let at = start + userinfo;
    for (const one of authority.slice(userinfo).split(',')) {
      const [, host = '', own] = /^(\[[^\]]*\]|[^:]*)(?::(.*))?$/s.exec(one.replace(TEMPLATE, UNKNOWN)) ?? [];
      const read = readHost(host);
      // What is known of a host begins after what is not, and an address in brackets after those.
      const before = read?.kind === 'below' ? host.lastIndexOf(UNKNOWN) + 1 : host.startsWith('[') ? 1 : 0;
      const place = placeOf(at + before);
      if (read && weight === 'certain')
        findings.mention(
          read,
          place,
          own === undefined ? port : readPort(own),
          scheme === 'udp' ? 'udp' : 'tcp',
        );
      else if (read) findings.word(read, place);
      if (weight === 'certain' && host.includes(UNKNOWN))
        findings.cannotTell('outside', `the host of ${shown(`${scheme}://${one}`)}`, place);
      at += one.length + 1;
    }
  }
}

function scanWords(whole: string, placeOf: PlaceOf, findings: Findings, weight: Weight): void {
  const word = (found: string, index: number) => {
    // What follows something that is not known is only the end of a name.
    const host = /[.\ufffc]/.test(whole[index - 1] ?? '') ? null : readHost(found);
    if (!host) return;
    const around = [whole[index - 1] ?? ' ', whole[index + found.length] ?? ' '] as const;
    const alone = /[\s'"=,@:([]/.test(around[0]) && /[\s'",:/)\]]/.test(around[1]);
    findings.word(host, placeOf(index), weight === 'certain' && alone);
  };
  if (whole.includes('.')) for (const match of whole.matchAll(DOTTED)) word(match[0], match.index);
  if (whole.includes(':')) for (const match of whole.matchAll(COLONS)) word(match[0], match.index);
}

/** A text with a mark where something is not known, for people. */
export function shown(text: string): string {
  const marked = text.replaceAll(UNKNOWN, '…').replace(/\s+/g, ' ');
  return marked.length > 60 ? `\`${marked.slice(0, 59)}…\`` : `\`${marked}\``;
}

/** Without lines that begin with one of `marks`: comments, in whatever a heredoc or a file of settings is written. */
export function withoutComments(text: Text, marks: '#' | '#;' = '#'): Text {
  const comments = new RegExp(`^[ \\t]*[${marks}](?!!)[^\\n]*`, 'gm');
  let [inComment, atStart] = [false, true];
  return text.map((piece) => {
    if (piece.text === null) {
      atStart = false;
      return inComment ? { ...piece, text: '' } : piece;
    }
    const newline = piece.text.indexOf('\n');
    // Line breaks stay, so that what follows stands where it stood.
    const rest = inComment ? (newline < 0 ? '' : piece.text.slice(newline)) : piece.text;
    if (newline >= 0) inComment = false;
    const fresh = atStart && !inComment;
    const kept = rest.replace(comments, (line, at: number) => {
      if (at === 0 && !fresh) return line;
      inComment = at + line.length === rest.length;
      return '';
    });
    atStart = /(?:^|\n)[ \t]*$/.test(rest.slice(-200)) && (fresh || newline >= 0);
    return { ...piece, text: kept };
  });
}
