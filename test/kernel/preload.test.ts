import { ulid } from 'ulid';
import { expect, test } from 'vitest';
import { startSession } from '../../src/guard/session.ts';
import { SetupFailure } from '../../src/kernel/failure.ts';
import { compiled } from './harness-cases.ts';

test('what was loaded ahead for either mode and refused stops no run that needs less', async () => {
  const written = { version: 1, deployments: { d: { mode: 'audit', default: 'allow' } } };
  const policy = compiled({ written, options: { allow: [], deny: [], default: null } }, []);
  const refused = Promise.reject(new SetupFailure('load-refused', 'program message was refused', ''));
  const session = await startSession({
    ...{ id: ulid(), host: 'test', deployment: 'd', policyId: null, staged: null, leftover: 'kill' },
    ...{ policy, policyElsewhere: policy, programs: refused },
    ...{ syscalls: false, onDenied: () => undefined, onUnwatched: () => undefined },
    ...{ onEvent: () => undefined, onLost: () => undefined },
  });
  const finished = await session.finish();
  expect(finished).toMatchObject({ lost: {}, guardLost: false, failures: [] });
});
