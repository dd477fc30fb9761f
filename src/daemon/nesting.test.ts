import { expect, test } from 'vitest';
import { type Guards, refuseInner, refuseNested } from './nesting.ts';

const GUARDS: Guards = new Map([['/deploy.slice/one', { run: 'R1' }]]);

const refusal = (refuse: typeof refuseInner, place: string) => {
  try {
    refuse(place, GUARDS);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
};

test('a run started from a place that is guarded is refused, by the name of that place', () => {
  expect(refusal(refuseInner, '/deploy.slice/one')).toBe('/deploy.slice/one is guarded already, as run R1');
  expect(refusal(refuseInner, '/deploy.slice/one/a/b')).toBe(
    '/deploy.slice/one/a/b is guarded already, as run R1',
  );
});

test('beside what is guarded a run may start, while nothing around it may be guarded', () => {
  for (const place of ['/', '/deploy.slice', '/deploy.slice/one-more'])
    expect(refusal(refuseInner, place)).toBeNull();
  expect(refusal(refuseNested, '/deploy.slice')).toBe(
    '/deploy.slice holds run R1, which is guarded by itself',
  );
  expect(refusal(refuseNested, '/deploy.slice/one-more')).toBeNull();
});
