import { expect, test } from 'vitest';
import { parseResolvConf } from './resolv.ts';

test('reads servers, search list and options', () => {
  const text = [
    '# written by someone',
    'domain ignored.example',
    'search corp.example  prod.example',
    'nameserver 10.0.0.2',
    'nameserver\t2001:db8::53',
    'options ndots:2 timeout:3 attempts:1 rotate',
  ].join('\n');
  expect(parseResolvConf(text)).toEqual({
    servers: [
      { address: '10.0.0.2', port: 53 },
      { address: '2001:db8::53', port: 53 },
    ],
    search: ['corp.example', 'prod.example'],
    ndots: 2,
    timeout: 3,
    attempts: 1,
  });
});

test('takes three servers, caps options, and skips what is no address', () => {
  const text =
    'nameserver 010.0.0.1\nnameserver 1.1.1.1\n;nameserver 9.9.9.9\nnameserver fe80::1%eth0\r\nnameserver 3.3.3.3\nnameserver 4.4.4.4\noptions ndots:99 timeout:x';
  const conf = parseResolvConf(text);
  expect(conf.servers.map((server) => server.address)).toEqual(['1.1.1.1', 'fe80::1%eth0', '3.3.3.3']);
  expect(conf).toMatchObject({ ndots: 15, timeout: 5 });
});

test('an empty file means the local machine', () => {
  expect(parseResolvConf('').servers).toEqual([{ address: '127.0.0.1', port: 53 }]);
});
