/** A minimal ClientHello (RFC 8446 §4.1.2), with the name as its SNI where there is one; `padding` in bytes. */
export function clientHello(name: string | null, { ech = false, padding = 0 } = {}): Buffer {
  const u16 = (value: number) => Buffer.of(value >> 8, value & 0xff);
  const sized = (bytes: Buffer) => Buffer.concat([u16(bytes.length), bytes]);
  const extension = (type: number, data: Buffer) => Buffer.concat([u16(type), sized(data)]);
  const sni =
    name === null ? [] : [extension(0, sized(Buffer.concat([Buffer.of(0), sized(Buffer.from(name))])))];
  const encrypted = ech ? [extension(0xfe0d, Buffer.alloc(16, 7))] : [];
  const padded = padding > 0 ? [extension(21, Buffer.alloc(padding))] : [];
  const extensions = Buffer.concat([...padded, ...sni, ...encrypted, extension(43, Buffer.of(2, 3, 4))]);
  const body = Buffer.concat([
    Buffer.of(3, 3),
    Buffer.alloc(32, 9),
    Buffer.of(0, 0, 2, 0x13, 1, 1, 0),
    sized(extensions),
  ]);
  const message = Buffer.concat([Buffer.of(1, 0), sized(body)]);
  return Buffer.concat([Buffer.of(0x16, 3, 1), sized(message)]);
}

/** The head of an HTTP/1.1 request; no Host where it is null. */
export function requestHead(target: string, host: string | null, method = 'GET'): Buffer {
  return Buffer.from(`${method} ${target} HTTP/1.1\r\n${host === null ? '' : `Host: ${host}\r\n`}\r\n`);
}
