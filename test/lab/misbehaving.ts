/** DNS servers that misbehave, as a process of its own. usage: misbehaving.ts JSON, a list of DnsServerOptions. */
import { startDnsServer } from './dns-server.ts';

for (const options of JSON.parse(process.argv[2] ?? '[]')) await startDnsServer(options);
process.stdout.write('ready\n');
