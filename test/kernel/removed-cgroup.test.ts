import { expect, test } from 'vitest';
import { createCgroup, ownCgroup, removeCgroup } from '../../src/kernel/cgroup.ts';
import { ensureBpffs } from '../../src/kernel/mounts.ts';
import { loadPrograms } from '../../src/kernel/programs.ts';

test('a cgroup that is removed before it is attached to is what is told, and no fault of the kernel', async () => {
  ensureBpffs();
  const name = `acyclic-removed-${process.pid}`;
  const cgroup = createCgroup(ownCgroup(), name);
  const programs = await loadPrograms(['audit']);
  try {
    removeCgroup(cgroup.path);
    expect(() => programs.attach(cgroup, name, { modes: ['audit'], closes: false })).toThrow(
      expect.objectContaining({
        code: 'attach-refused',
        message: `cannot attach to ${cgroup.path}: it was removed meanwhile`,
      }),
    );
  } finally {
    programs.close();
  }
});
