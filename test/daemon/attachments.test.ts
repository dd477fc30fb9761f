import { expect, test } from 'vitest';
import type { Attachment } from '../../src/daemon/answers.ts';
import { findCgroup2 } from '../../src/kernel/mounts.ts';
import { until } from '../cli/harness.ts';
import { type Resident, startResident } from '../cli/residents.ts';
import { ask, MEMBER } from './harness.ts';
import { type Hosted, hostForAll } from './host.ts';

let hosted: Hosted;
hostForAll((one) => {
  hosted = one;
});

const attach = (resident: Resident, more: object = {}) => {
  const target = { kind: 'cgroup', path: resident.cgroup.slice(findCgroup2().length) };
  const body = { target, deployment: 'mysql', mode: null, ...more };
  return hosted.client.request<Attachment>('POST', '/v1/attachments', { body });
};

test('an existing cgroup is guarded until it is detached; what was connected before is left alone and listed', async () => {
  const resident = await startResident(hosted.place);
  expect(await resident.ask('connect 127.2.0.4')).toBe('ok');
  const attachment = await attach(resident);
  expect(attachment).toMatchObject({
    ...{ cgroup: resident.cgroup, deployment: 'mysql', mode: 'enforce' },
    established: [expect.stringMatching(/^python3\[\d+\] → 127\.2\.0\.4:9\/tcp {3}github$/)],
  });
  expect(await resident.ask('talk 0')).toBe('ok');
  expect(await resident.ask('connect 127.2.0.5')).toBe('PermissionError');
  expect(await resident.ask('connect 127.3.0.1')).toBe('ok');
  await expect(attach(resident)).rejects.toMatchObject({ code: 'conflict' });
  expect((await hosted.status()).attachments).toMatchObject([{ id: attachment.id, denials: 1 }]);
  await hosted.client.request('DELETE', `/v1/attachments/${attachment.id}`);
  expect(await resident.ask('connect 127.2.0.5')).toBe('ok');
  expect((await hosted.status()).attachments).toEqual([]);
  await resident.stop();
});

test('by pid, in audit; when the cgroup is gone, so is the attachment', async () => {
  const resident = await startResident(hosted.place);
  const target = { kind: 'pid', pid: resident.pid };
  await attach(resident, { target, mode: 'audit' });
  expect(await resident.ask('connect 127.2.0.5')).toBe('ok');
  await resident.stop();
  let left = -1;
  const timer = setInterval(async () => {
    left = (await hosted.status()).attachments.length;
  }, 50);
  await until(() => left === 0, 'the attachment is gone').finally(() => clearInterval(timer));
});

test('an observed one goes by no policy; a member may not attach', async () => {
  const resident = await startResident(hosted.place);
  const attachment = await attach(resident, { deployment: null });
  expect(attachment).toMatchObject({ policy: null, mode: 'audit' });
  const body = { target: { kind: 'pid', pid: resident.pid }, deployment: null, mode: null };
  expect(await ask(MEMBER, hosted.socket, 'POST', '/v1/attachments', body)).toMatchObject({ status: 403 });
  await hosted.client.request('DELETE', `/v1/attachments/${attachment.id}`);
  await resident.stop();
});
