/** One request by the client. usage: client-program.ts SOCKET METHOD ROUTE BODY; says what came of it, as JSON. */
import { Client } from '../../src/daemon/client.ts';

const [path = '', method = 'GET', route = '/', text = 'null'] = process.argv.slice(2);
const body = JSON.parse(text);
try {
  const answer = await new Client(path).request(method as 'GET', route, body === null ? {} : { body });
  process.stdout.write(JSON.stringify({ answer }));
} catch (error) {
  const { code, status, message } = error as { code?: string; status?: number; message: string };
  process.stdout.write(JSON.stringify({ code, status, message }));
}
