import { decodeHttpHead, type HttpHead } from './http.ts';
import { type Incomplete, type Other, other, type Unreadable } from './opening.ts';
import { decodeTlsHello, type TlsHello } from './tls.ts';

/** What the first bytes a client sends on a TCP connection say of whom it wants to reach. */
export type FirstBytes = TlsHello | HttpHead | Unreadable | Incomplete | Other;

const SSH = 'SSH-';

/**
 * Reads the first bytes of a TCP stream, as many as there are so far; of more than MAX_OPENING_BYTES only those.
 * Total, and final: an answer other than `incomplete` holds for every stream that begins with these bytes. A client
 * that waits for the server to speak has sent nothing, and stays `incomplete`.
 */
export function readFirstBytes(bytes: Uint8Array): FirstBytes {
  const tls = decodeTlsHello(bytes);
  if (tls.kind !== 'other') return tls;
  const http = decodeHttpHead(bytes);
  if (http.kind === 'other' && http.protocol === 'unknown' && beginsWith(bytes, SSH)) return other('ssh');
  return http;
}

function beginsWith(bytes: Uint8Array, text: string): boolean {
  for (let at = 0; at < text.length; at++) if (bytes[at] !== text.charCodeAt(at)) return false;
  return true;
}
