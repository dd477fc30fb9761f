import { defineConfig } from 'vitest/config';

/** Tests that boot machines of their own under QEMU: they share nothing but the processors. */
const MACHINES = ['test/vm/*.test.ts', 'test/packaging/systemd.test.ts'];

export default defineConfig({
  test: {
    projects: [
      { test: { name: 'unit', include: ['src/**/*.test.ts'], testTimeout: 30_000 } },
      { test: { name: 'machines', include: MACHINES, globalSetup: ['test/state.ts'], maxWorkers: 2 } },
      {
        test: {
          name: 'integration',
          include: ['test/**/*.test.ts'],
          exclude: MACHINES,
          globalSetup: ['test/state.ts'],
          // They share one kernel: one tracefs, one bpffs, two cores.
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
