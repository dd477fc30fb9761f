import { connect, createServer, type Socket } from 'node:net';

/** Passes connections on to a daemon. */
export interface Proxy {
  /** Ends every connection, and takes no new one until `resume`. */
  cut(): void;
  resume(): void;
  close(): void;
}

/** `mayPass`: whether a request, as far as it has come, is passed on. */
export function openProxy(to: string, at: string, mayPass: (request: string) => boolean = () => true): Proxy {
  const open = new Set<Socket>();
  let taken = true;
  const server = createServer((client) => {
    if (!taken) return void client.destroy();
    const daemon = connect(to);
    for (const socket of [client, daemon]) {
      open.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => {
        open.delete(socket);
        client.destroy();
        daemon.destroy();
      });
    }
    client.on('data', (bytes) => {
      if (mayPass(String(bytes))) daemon.write(bytes);
    });
    daemon.pipe(client);
  }).listen(at);
  const cut = () => {
    taken = false;
    for (const socket of open) socket.destroy();
  };
  return {
    cut,
    resume() {
      taken = true;
    },
    close() {
      cut();
      server.close();
    },
  };
}

/** A proxy that keeps back the request to move a command into its run. */
export function holdCommands(
  to: string,
  at: string,
): Proxy & { readonly held: Promise<{ run: string; pid: number }> } {
  const { promise, resolve } = Promise.withResolvers<{ run: string; pid: number }>();
  const proxy = openProxy(to, at, (request) => {
    const [, run, pid] = /^POST \/v1\/runs\/(\w+)\/command .*\{"pid":(\d+)\}$/s.exec(request) ?? [];
    if (run !== undefined) resolve({ run, pid: Number(pid) });
    return run === undefined;
  });
  return { ...proxy, held: promise };
}
