import type { Told } from '../../src/daemon/answers.ts';

export const RUN = '01KAR2RZ0000000000000000AA';

/** An event of a process with a secret on its command line, and on its parent's. */
export function sampleEvent(secret: string): Told {
  const image = { pid: 1, start: null, uid: 0, comm: 'curl', exe: '/usr/bin/curl', argv: ['curl', secret] };
  return {
    event: {
      ...{
        v: 1,
        id: RUN,
        time: '',
        host: '',
        run: RUN,
        deployment: null,
        policy: null,
        count: 1,
        kind: 'connect',
      },
      ...{ destination: null, process: { ...image, ancestry: [image] }, verdict: 'allow', rule: null },
      ...{ dependency: null, outcome: null, hook: null },
    },
    ...{ rule: null, cycle: null, saw: null },
  };
}

/** A policy of two files that say which it is. */
export function numbered(n: number): { path: string; text: string }[] {
  const service = `version: 1\nservices: { mysql: { hosts: [h${n}.internal] } }\n`;
  const deployment = `version: 1\ndeployments: { mysql: { allow: [{ host: h${n}.example }] } }\n`;
  return [
    { path: 'acyclic.yaml', text: deployment },
    { path: `services/s${n}.yaml`, text: service },
  ];
}
