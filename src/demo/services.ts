import http from 'node:http';
import net from 'node:net';
import type { Certificate } from './certificate.ts';
import { listenPlain } from './listen.ts';
import { listenDns } from './nameserver.ts';
import { MIGRATIONS_PORT, MYSQL_PORT, PLACES, ZONE } from './places.ts';
import { listenWeb, type WebHandler, type WebOptions } from './web.ts';
import type { Recorder, StartServer } from './world.ts';

/** What the demo's servers need to start. */
export interface ServicesPlan {
  /** Null leaves out the HTTPS servers. */
  readonly certificate: Certificate | null;
}

const HTTP_PORT = 80;
const HTTPS_PORT = 443;
/** How long github.com tries to reach its database before it gives up on a request. */
const DATABASE_PATIENCE_MS = 700;

const RELEASE = '#!/bin/sh\necho "schema tool 8.4: schema is up to date"\n';
const UPDATE = '{"tool":"mysqlctl","latest":"2.2"}\n';

/** The demo's servers by name. They are as small as servers can be, and as entangled as real ones. */
export function demoServices(plan: ServicesPlan, record: Recorder): ReadonlyMap<string, StartServer> {
  const { certificate } = plan;
  const web = (name: string, addresses: readonly string[], handle: WebHandler) =>
    webServers({ name, addresses, certificate, handle }, record);
  return new Map<string, StartServer>([
    ['dns', () => listenDns('dns', PLACES.dns, ZONE, record)],
    [
      'mysql',
      () => listenPlain('mysql', PLACES.mysql, MYSQL_PORT, record, (socket) => socket.end('8.4.3\n')),
    ],
    ...web('github', PLACES.github, needingMysql(RELEASE)),
    ...web('github-api', PLACES.githubApi, needingMysql(UPDATE)),
    ...web('mirror', PLACES.mirror, (_request, response) => response.end(RELEASE)),
    [
      'migrations',
      () =>
        listenWeb(
          {
            name: 'migrations',
            addresses: PLACES.migrations,
            certificate: null,
            port: MIGRATIONS_PORT,
            handle: migrate,
          },
          record,
        ),
    ],
  ]);
}

/** The two servers of a web host: `NAME:80`, and `NAME:443` if there is a certificate. */
export function webServers(host: Omit<WebOptions, 'port'>, record: Recorder): [string, StartServer][] {
  const plain = { ...host, certificate: null, port: HTTP_PORT };
  const secure = { ...host, port: HTTPS_PORT };
  const servers: [string, StartServer][] = [[`${host.name}:80`, () => listenWeb(plain, record)]];
  if (host.certificate) servers.push([`${host.name}:443`, () => listenWeb(secure, record)]);
  return servers;
}

/** github.com keeps its users and releases in mysql: without it no request is answered. */
function needingMysql(body: string): WebHandler {
  return (_request, response) => {
    const database = net.connect({ host: PLACES.mysql[0], port: MYSQL_PORT });
    database.on('data', () => database.end());
    database.once('close', (failed) => {
      if (!failed) {
        response.end(body);
        return;
      }
      setTimeout(() => {
        response.writeHead(503);
        response.end('database unavailable\n');
      }, DATABASE_PATIENCE_MS);
    });
    database.on('error', () => database.destroy());
  };
}

/** The migrations service applies a schema, which it fetches from github.com. Nobody who calls it is told. */
const migrate: WebHandler = (_request, response) => {
  const fail = () => {
    response.writeHead(502);
    response.end('migrations: cannot fetch the schema\n');
  };
  const fetch = http.get(
    {
      host: PLACES.github[0],
      localAddress: PLACES.migrations[0],
      path: '/mysql/schema.sql',
      headers: { host: 'github.com' },
      agent: false,
    },
    (answer) => {
      answer.resume();
      answer.once('end', () => {
        if (answer.statusCode === 200) response.end('12 migrations applied\n');
        else fail();
      });
    },
  );
  fetch.on('error', fail);
};
