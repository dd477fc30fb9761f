import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { SandboxError } from './sandbox-error.ts';

/** A server's certificate and key, PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

const run = promisify(execFile);
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
const LIFE = ['-days', '2'];

/**
 * Makes an authority that lives two days and one certificate for all the names, with openssl.
 *
 * @param names DNS names (wildcards may stand) and IP addresses written `IP:…`.
 * @returns The certificate, and the path of the authority's own for clients to trust.
 */
export async function makeCertificate(
  dir: string,
  names: readonly string[],
): Promise<Certificate & { caPath: string }> {
  const file = (name: string) => path.join(dir, name);
  const alternatives = names.map((name) => (name.startsWith('IP:') ? name : `DNS:${name}`)).join(',');
  const extensions = `basicConstraints=critical,CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=${alternatives}\n`;
  await writeFile(file('server.ext'), extensions);
  const openssl = (...args: string[]) =>
    run('openssl', args, { cwd: dir, env: { PATH: process.env.PATH ?? '' } }).catch((error: Error) => {
      throw new SandboxError(`openssl could not make a certificate: ${error.message.trim()}`);
    });
  await Promise.all([
    openssl(
      'req',
      '-x509',
      ...NEW_KEY,
      '-keyout',
      'ca.key',
      '-out',
      'ca.pem',
      ...LIFE,
      '-subj',
      '/CN=Sandbox CA',
    ),
    openssl('req', ...NEW_KEY, '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=sandbox'),
  ]);
  const authority = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial'];
  await openssl(
    'x509',
    '-req',
    '-in',
    'server.csr',
    ...authority,
    ...LIFE,
    '-extfile',
    'server.ext',
    '-out',
    'server.pem',
  );
  const [cert, key] = await Promise.all([
    readFile(file('server.pem'), 'utf8'),
    readFile(file('server.key'), 'utf8'),
  ]);
  return { cert, key, caPath: file('ca.pem') };
}
