import { HEADER_BYTES, TYPE } from './dns-code.ts';
import { readName } from './dns-name.ts';
import { readRecord, u16 } from './dns-record.ts';

/**
 * An answer without its additional section, but for the OPT record: addresses of names that were not asked for
 * (of mail exchanges, of SRV targets) are taken out, so that a client asks for them, and each is judged by its
 * name. `bytes` is a message that decodes; what does not comes back as it is.
 */
export function withoutGlue(bytes: Uint8Array): Uint8Array {
  let at = HEADER_BYTES;
  for (let i = u16(bytes, 4); i > 0; i--) {
    const name = readName(bytes, at, 'refuse');
    if (name === null) return bytes;
    at = name.end + 4;
  }
  const kept = u16(bytes, 6) + u16(bytes, 8);
  const count = kept + u16(bytes, 10);
  let start = at;
  let opt: Uint8Array = new Uint8Array(0);
  for (let i = 0; i < count; i++) {
    const record = readRecord(bytes, at);
    if (record === null) return bytes;
    if (i >= kept && record.type === TYPE.OPT) opt = bytes.subarray(at, record.end);
    at = record.end;
    if (i < kept) start = at;
  }
  const message = Buffer.concat([bytes.subarray(0, start), opt]);
  message.writeUInt16BE(opt.length > 0 ? 1 : 0, 10);
  return message;
}
