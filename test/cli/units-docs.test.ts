import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const read = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8');

test('the drop-in of docs/units.md is the one in examples, and systemd takes it', () => {
  const [, shown = ''] = /```ini\n([\s\S]*?)```/.exec(read('docs/units.md')) ?? [];
  const shipped = read('examples/systemd/require.conf');
  const settings = (text: string) => text.replace(/^#.*\n/gm, '');
  expect(settings(shipped)).toBe(settings(shown));

  const directory = mkdtempSync(join(tmpdir(), 'acyclic-units-'));
  try {
    const unit = join(directory, 'deploy-mysql@.service');
    writeFileSync(unit, '[Service]\nType=oneshot\nUser=nobody\nExecStart=/bin/true\n');
    mkdirSync(`${unit}.d`);
    // What is to be found here stands for what the package installs.
    writeFileSync(join(`${unit}.d`, 'acyclic.conf'), shipped.replace('/usr/bin/acyclic', '/bin/true'));
    writeFileSync(join(directory, 'acyclic.service'), '[Service]\nExecStart=/bin/true\n');
    const verified = (text: string) => {
      writeFileSync(join(`${unit}.d`, 'acyclic.conf'), text);
      const { status, stderr } = spawnSync(
        'systemd-analyze',
        ['verify', join(directory, 'deploy-mysql@1.service')],
        {
          encoding: 'utf8',
          env: { ...process.env, SYSTEMD_UNIT_PATH: `${directory}:` },
        },
      );
      return `${status} ${stderr}`;
    };
    const good = shipped.replace('/usr/bin/acyclic', '/bin/true');
    expect(verified(good)).not.toMatch(/acyclic\.conf/);
    expect(verified(good.replace('ExecCondition', 'ExecConditon'))).toMatch(/acyclic\.conf:.*Unknown/);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
