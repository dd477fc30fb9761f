import { expect, test } from 'vitest';
import { parseHosts } from './hosts-file.ts';

test('reads names of addresses as the resolver does, and passes over what is no entry', () => {
  const text = [
    '127.0.0.1 localhost',
    '::1\tip6-localhost ip6-loopback # comment',
    '# 10.0.0.1 nobody',
    '10.0.0.5 GitHub.com github.com.',
    'not-an-address name',
    '10.0.0.6',
    '',
  ].join('\n');
  expect(parseHosts(text)).toEqual([
    { address: '127.0.0.1', names: ['localhost'] },
    { address: '::1', names: ['ip6-localhost', 'ip6-loopback'] },
    { address: '10.0.0.5', names: ['github.com', 'github.com'] },
  ]);
});
