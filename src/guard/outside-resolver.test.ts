import { expect, test } from 'vitest';
import { outsideResolver } from './outside-resolver.ts';

const unix = (path: string) =>
  `Num       RefCount Protocol Flags    Type St Inode Path\n0000000000000000: 00000002 00000000 00010000 0001 01 21508 ${path}\n`;
const RESOLVED = unix('/run/systemd/resolve/io.systemd.Resolve');

test('nss-resolve counts where nsswitch.conf names it and systemd-resolved listens', () => {
  const nsswitch = 'passwd: files\nhosts:  files resolve [!UNAVAIL=return] dns\n';
  expect(outsideResolver(nsswitch, RESOLVED)?.name).toContain('nss-resolve');
  expect(outsideResolver(nsswitch, unix('/run/other'))).toBeNull();
  expect(outsideResolver('hosts: files dns # resolve\n', RESOLVED)).toBeNull();
  expect(outsideResolver('networks: resolve\n', RESOLVED)).toBeNull();
});

test('nscd counts wherever it listens, whatever nsswitch.conf says', () => {
  expect(outsideResolver('hosts: files dns\n', unix('/run/nscd/socket'))?.name).toBe('nscd');
  expect(outsideResolver('', unix('/var/run/nscd/socket'))?.name).toBe('nscd');
});

test('a host without either has none', () => {
  expect(outsideResolver('hosts: files dns\n', '')).toBeNull();
});
