import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { type Context, Hono } from 'hono';
import type { z } from 'zod';
import { cgroupOf } from '../kernel/cgroup.ts';
import type { Access } from './access.ts';
import { readBody } from './body.ts';
import type { Bounds } from './bounds.ts';
import {
  type ApiError,
  applyPolicyBody,
  commandBody,
  createAttachmentBody,
  createEntryBody,
  createRunBody,
  endRunBody,
  guardedPlace,
  rollbackPolicyBody,
  runId,
} from './contract.ts';
import { EventStream } from './event-stream.ts';
import type { Gate } from './gate.ts';
import type { Host, Peer } from './host-interface.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import { checkOwnChild } from './own-child.ts';
import type { Rate } from './rate.ts';
import { Refusal } from './refusal.ts';
import { Turns } from './turns.ts';
import { tellMessage, tellRuns } from './withhold.ts';

/** What the routes are served with. */
export interface Served {
  readonly host: Host;
  readonly access: Access;
  readonly gate: Gate;
  readonly rate: Rate;
  readonly bounds: Bounds;
  readonly metrics: Metrics;
  readonly log: Log;
  /** Streams that are open. */
  readonly streams: Set<EventStream>;
}

type Env = { Bindings: HttpBindings; Variables: { peer: Peer } };
type Request = Context<Env>;

/** What a request comes to: a status and, but for 204, what is told as JSON. */
type Outcome = readonly [status: 200 | 201, value: object] | readonly [status: 204];

/** Every route of the API (docs/api.md). Each asks `access` before anything else. */
export function createRoutes(served: Served): Hono<Env> {
  const { host, access, gate, rate, bounds, metrics, log, streams } = served;
  const app = new Hono<Env>();
  const turns = new Turns();

  app.use(async (c, next) => {
    const peer = gate.peerOf(c.env.incoming.socket);
    c.set('peer', peer);
    access.checkMember(peer);
    const wait = rate.take(peer.uid, performance.now());
    if (wait !== null) {
      c.header('Retry-After', `${Math.ceil(wait)}`);
      throw new Refusal('busy', 'there are too many requests of this user', 'ask less often');
    }
    await next();
  });

  const answer = (work: (c: Request, peer: Peer) => Outcome | Promise<Outcome>) => async (c: Request) => {
    const [status, value] = await within(bounds.answerMs, work(c, c.get('peer')));
    if (c.req.method !== 'GET') tellDone(log, c, status);
    return value === undefined ? c.body(null, 204) : c.json(value, status as 200 | 201);
  };
  const bodyOf = <T>(c: Request, schema: z.ZodType<T>, most = bounds.body) =>
    readBody(c.env.incoming, most, schema);
  const stream = (c: Request, peer: Peer, run: string | null) => {
    const opened = new EventStream(c.env.outgoing, bounds);
    streams.add(opened);
    const after = c.req.header('Last-Event-ID');
    const end = host.subscribe({ run, after: runId.safeParse(after).data ?? null }, (told) => {
      opened.send({ id: told.id, data: tellMessage(peer, told) });
      if (run !== null && told.message.kind === 'ended') opened.end();
    });
    c.env.outgoing.once('close', () => {
      streams.delete(opened);
      end();
    });
    return RESPONSE_ALREADY_SENT;
  };

  app.get(
    '/v1/status',
    answer(async (_, peer) => {
      const status = await host.status();
      return [200, { ...status, runs: tellRuns(peer, status.runs) }];
    }),
  );
  app.get('/metrics', async (c) =>
    c.body(await metrics.text(), 200, { 'Content-Type': metrics.contentType }),
  );

  app.get(
    '/v1/runs',
    answer(async (_, peer) => [200, tellRuns(peer, await host.runs())]),
  );
  app.get(
    '/v1/runs/:id',
    answer(async (c, peer) => {
      const id = runOf(c);
      const [run] = tellRuns(
        peer,
        (await host.runs()).filter((known) => known.id === id),
      );
      if (!run) throw new Refusal('not-found', `there is no run ${id} in progress`, 'see acyclic runs');
      return [200, run];
    }),
  );
  app.post(
    '/v1/runs',
    answer(async (c, peer) => {
      const body = await bodyOf(c, createRunBody);
      access.check(peer, { what: 'run', deployment: body.deployment });
      if (body.breakGlass !== null) access.check(peer, { what: 'break-glass', deployment: body.deployment });
      const present = () => gate.checkPresent(c.env.incoming.socket);
      // A policy of ten thousand rules is compiled for tens of milliseconds.
      await turns.take(peer.uid);
      return [201, await host.createRun(peer, body, present)];
    }),
  );
  app.post(
    '/v1/runs/:id/command',
    answer(async (c, peer) => {
      const run = runOf(c);
      access.checkOwner(peer, run);
      const { pid } = await bodyOf(c, commandBody);
      gate.checkPresent(c.env.incoming.socket);
      await host.moveCommand(peer, run, pid, checkOwnChild(peer, pid));
      return [204];
    }),
  );
  app.post(
    '/v1/runs/:id/end',
    answer(async (c, peer) => {
      const run = runOf(c);
      access.checkOwner(peer, run);
      return [200, await host.endRun(peer, run, await bodyOf(c, endRunBody))];
    }),
  );
  app.get('/v1/runs/:id/events', (c) => {
    const run = runOf(c);
    access.checkOwner(c.get('peer'), run);
    return stream(c, c.get('peer'), run);
  });
  app.get('/v1/events', (c) => stream(c, c.get('peer'), null));

  app.get(
    '/v1/policy',
    answer(async () => [200, await host.policy()]),
  );
  app.get(
    '/v1/policy/history',
    answer(async () => [200, await host.policyHistory()]),
  );
  app.post(
    '/v1/policy/apply',
    answer(async (c, peer) => {
      access.check(peer, { what: 'apply' });
      return [200, await host.applyPolicy(peer, await bodyOf(c, applyPolicyBody, bounds.policyBody))];
    }),
  );
  app.post(
    '/v1/policy/reload',
    answer(async (_, peer) => {
      access.check(peer, { what: 'apply' });
      return [200, await host.reloadPolicy(peer)];
    }),
  );
  app.post(
    '/v1/policy/rollback',
    answer(async (c, peer) => {
      access.check(peer, { what: 'apply' });
      return [200, await host.rollbackPolicy(peer, await bodyOf(c, rollbackPolicyBody))];
    }),
  );

  app.get(
    '/v1/entries',
    answer(async () => [200, await host.entries()]),
  );
  app.post(
    '/v1/entries',
    answer(async (c, peer) => {
      const body = await bodyOf(c, createEntryBody);
      access.check(peer, { what: 'entries', deployment: body.deployment ?? null });
      return [201, await host.createEntry(peer, body)];
    }),
  );
  app.delete(
    '/v1/entries/:id',
    answer(async (c, peer) => {
      const entry = (await host.entries()).find(({ id }) => id === c.req.param('id'));
      access.check(peer, { what: 'entries', deployment: entry?.deployment ?? null });
      if (!entry) throw new Refusal('not-found', 'there is no such entry', 'see GET /v1/entries');
      await host.removeEntry(peer, entry.id);
      return [204];
    }),
  );

  app.get(
    '/v1/guarded',
    answer(async (c, peer) => [200, await host.guarded(placeOf(c, peer))]),
  );

  app.get(
    '/v1/attachments',
    answer(async () => [200, await host.attachments()]),
  );
  app.post(
    '/v1/attachments',
    answer(async (c, peer) => {
      access.check(peer, { what: 'attach' });
      return [201, await host.createAttachment(peer, await bodyOf(c, createAttachmentBody))];
    }),
  );
  app.delete(
    '/v1/attachments/:id',
    answer(async (c, peer) => {
      access.check(peer, { what: 'attach' });
      const found = (await host.attachments()).find(({ id }) => id === c.req.param('id'));
      if (!found) throw new Refusal('not-found', 'there is no such attachment', 'see GET /v1/attachments');
      await host.removeAttachment(peer, found.id);
      return [204];
    }),
  );

  const paths = [...new Set(app.routes.filter(({ method }) => method !== 'ALL').map(({ path }) => path))];
  for (const path of paths)
    app.all(path, (c) => {
      throw new Refusal('method', `${c.req.method} is nothing to do with ${path}`, 'see docs/api.md');
    });
  app.notFound((c) => {
    throw new Refusal('not-found', `there is no ${c.req.path.slice(0, 200)}`, 'see docs/api.md');
  });
  app.onError((error, c) => fail(log, error, c as unknown as Request));
  return app;
}

function runOf(c: Request): string {
  const id = runId.safeParse(c.req.param('id'));
  if (!id.success) throw new Refusal('bad-request', 'the id of a run is a ULID');
  return id.data;
}

/** The cgroup that is asked about; where none is, that of who asks. */
function placeOf(c: Request, { pid }: Peer): string {
  const named = c.req.query('cgroup');
  if (named === undefined) return cgroupOf(pid);
  const place = guardedPlace.safeParse(named);
  if (!place.success)
    throw new Refusal('bad-request', `cgroup: ${place.error.issues[0]?.message ?? 'it is no path'}`);
  return place.data;
}

/** The work goes on where it cannot be called off; who asked is told. */
async function within<T>(ms: number, work: T | Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | null = null;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Refusal('slow', `there is no answer within ${ms / 1000} s`, 'see GET /v1/status')),
      ms,
    );
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    if (timer) clearTimeout(timer);
  }
}

function tellDone(log: Log, c: Request, status: number): void {
  const { uid, pid } = c.get('peer');
  log.info({ method: c.req.method, path: c.req.path, uid, pid, status }, 'done');
}

/** Errors of lower layers have a code and a remedy, as a Refusal has; what has none of them is a fault of ours. */
function fail(log: Log, error: Error, c: Request): Response {
  const { code, remedy } = error as Error & { code?: unknown; remedy?: unknown };
  const told = remedy !== undefined && typeof code === 'string';
  const status = error instanceof Refusal ? error.status : told ? 422 : 500;
  const peer = c.get('peer') as Peer | undefined;
  const who = { method: c.req.method, path: c.req.path.slice(0, 200), uid: peer?.uid, pid: peer?.pid };
  if (status === 500) log.error({ ...who, stack: error.stack }, 'a fault of ours');
  else log.debug({ ...who, status, code }, error.message);
  const body: ApiError = {
    error: told
      ? { code, message: error.message, remedy: typeof remedy === 'string' ? remedy : null }
      : { code: 'internal', message: 'a fault of the daemon itself', remedy: 'see the journal of acyclic' },
  };
  return c.json(body, status);
}
