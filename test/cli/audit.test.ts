import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { spoolDirectories } from '../../src/audit/spool.ts';
import type { AuditEvent } from '../../src/model/event.ts';
import { parseReport } from '../report.ts';
import { acyclic, byTime, openPlace, type Place, remains, STRICT, until } from './harness.ts';

let place: Place;
let policy: string;
/** Ids of the runs of `beforeAll`: one that was denied something, and one that observed. */
let denied: string;
let observed: string;

const SCRIPT = `(exec 3<>/dev/tcp/192.0.2.7/443)
(exec 3<>/dev/tcp/198.51.100.9/80)
getent hosts api.github.com
curl -s -u joe:s3cretValue --max-time 1 http://127.0.0.1:1/?token=s3cretValue
exec 4<>/dev/udp/127.0.0.1/9`;

beforeAll(() => {
  place = openPlace();
  process.env.ACYCLIC_STATE = join(place.directory, 'state');
  policy = place.file('policy.yaml', STRICT);
  const options = ['-p', policy, '--label', 'team=db', '--report', 'report.jsonl'];
  const first = place.run(['run', ...options, '--', 'bash', '-c', SCRIPT]);
  denied = /run (\w{26})/.exec(first.stderr)?.[1] ?? '';
  expect(first.stderr).not.toContain('s3cretValue');
  const second = place.run(['run', '--', 'bash', '-c', 'exec 4<>/dev/udp/127.0.0.1/9']);
  observed = /run (\w{26})/.exec(second.stderr)?.[1] ?? '';
});
afterAll(() => {
  const own = json('runs').map(({ run }) => run);
  place.close();
  expect(remains().filter((what) => own.some((run) => what.includes(run)))).toEqual([]);
});

const lines = (...args: string[]) => {
  const { status, stdout, stderr } = place.run(args);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout.split('\n').slice(0, -1);
};
const json = (...args: string[]) => lines(...args, '--json').map((line) => JSON.parse(line));
const listed = (...args: string[]) => parseReport(lines('audit', 'list', '--json', ...args).join('\n'));

describe('acyclic audit list', () => {
  test('has of a run what its report has, and the summary last', () => {
    expect(listed('--run', denied)).toEqual(byTime(place.report('report.jsonl')));
  });

  test.each<[string[], (event: AuditEvent) => boolean]>([
    [['--verdict', 'deny'], ({ verdict }) => verdict === 'deny'],
    [['--verdict', 'allow'], ({ verdict }) => verdict === 'allow'],
    [['--kind', 'dns'], ({ kind }) => kind === 'dns'],
    [['--deployment', 'mysql'], ({ deployment }) => deployment === 'mysql'],
    [['--label', 'team=db'], ({ run }) => run === denied],
    [['--service', 'github'], ({ destination }) => destination?.service === 'github'],
    [['--host', '*.github.com'], ({ destination }) => destination?.names[0] === 'api.github.com'],
    [['--host', '192.0.2.0/24'], ({ destination }) => destination?.address === '192.0.2.7'],
    [['--host', '127.0.0.1:9/udp'], ({ destination }) => destination?.port === 9],
    [['--host', 'service:migrations'], ({ destination }) => destination?.service === 'migrations'],
    [['--process', 'getent'], ({ process }) => process?.comm === 'getent'],
    [['--process', '/usr/bin/curl'], ({ process }) => process?.exe === '/usr/bin/curl'],
    [['--since', '1h', '--verdict', 'deny'], ({ verdict }) => verdict === 'deny'],
  ])('%j', (options, means) => {
    const all = listed();
    const found = listed(...options);
    expect(found).toEqual(all.filter(means));
    expect(found.length).toBeGreaterThan(0);
    expect(found.length).toBeLessThan(all.length);
  });

  test('finds nothing without complaint', () => {
    expect(lines('audit', 'list', '--until', '2020-01-01')).toEqual([]);
    expect(lines('audit', 'stats', '--since', '2999-01-01')).toEqual([]);
  });

  test('the newest only', () => {
    expect(listed('-n', '2')).toEqual(listed().slice(-2));
  });

  test('is a table without colours when piped, one line an event', () => {
    const [heading, ...rows] = lines('audit', 'list');
    expect(heading).toMatch(/^TIME \(UTC\) +DEPLOYMENT +VERDICT +PROCESS +DESTINATION +ID$/);
    expect(rows).toHaveLength(listed().length);
    expect(rows.join('\n')).not.toContain('\u001b');
    expect(rows.find((row) => row.includes('192.0.2.7'))).toMatch(
      /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +mysql +deny +bash\[\d+\] +192\.0\.2\.7:443\/tcp +\w{26}$/,
    );
  });

  test.each([80, 100, 200])('fits a terminal of %d columns, in colour', (columns) => {
    const command = `stty cols ${columns}; ${acyclic} audit list; ${acyclic} runs; ${acyclic} audit stats`;
    const { stdout } = spawnSync('script', ['-qec', command, '/dev/null'], {
      encoding: 'utf8',
      env: { ...process.env, TERM: 'xterm' },
    });
    const plain = stripVTControlCharacters(stdout).split('\r\n');
    expect(plain.length).toBeGreaterThan(10);
    expect(plain.filter((line) => [...line].length > columns)).toEqual([]);
    expect(stdout).toContain('\u001b[31m');
  });

  test('--follow goes on with what is recorded meanwhile, in order', async () => {
    const child = place.start([
      acyclic,
      'audit',
      'list',
      '--follow',
      '--json',
      '-n',
      '1',
      '--process',
      'bash',
    ]);
    let output = '';
    child.stdout?.on('data', (chunk) => {
      output += chunk;
    });
    const events = () =>
      output
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as AuditEvent);
    await until(() => events().length === 1, 'the newest event');
    for (const port of [11, 12])
      place.run(['run', '--quiet', '--', 'bash', '-c', `exec 4<>/dev/udp/127.0.0.1/${port}`]);
    await until(() => events().length === 3, 'the events that follow');
    expect(events().map(({ destination }) => destination?.port)).toEqual([9, 11, 12]);
    child.kill('SIGINT');
    const [, signal] = await new Promise<unknown[]>((resolve) =>
      child.once('exit', (...end) => resolve(end)),
    );
    expect(signal).toBe('SIGINT');
  });

  test('ends quietly when its reader has seen enough', () => {
    const { stdout, stderr } = place.bare([
      'bash',
      '-c',
      `${acyclic} audit list | head -n 1; echo "\${PIPESTATUS[0]}"`,
    ]);
    expect(stdout).toMatch(/^TIME.*\n0\n$/);
    expect(stderr).toBe('');
  });
});

describe('acyclic audit show', () => {
  test('the command a denial names shows everything about it', () => {
    const { stderr } = place.run(['run', '-p', policy, '--', 'bash', '-c', 'exec 3<>/dev/tcp/192.0.2.7/443']);
    const [, command = ''] = /^ {2}more +acyclic (audit show \w{26})$/m.exec(stderr) ?? [];
    const shown = lines(...command.split(' ')).join('\n');
    for (const part of [
      ...['kind       connect', 'to         192.0.2.7:443/tcp', 'service    github', 'verdict    deny'],
      ...[
        'rule       circular (policy.yaml:4)',
        'owner      @db-platform',
        'cycle      mysql → github → mysql',
      ],
      ...[
        'outcome    EPERM',
        'seen by    cgroup/connect4',
        'process    bash[',
        'deployment mysql',
        'state      exit 1',
      ],
      "bash -c 'exec 3<>/dev/tcp/192.0.2.7/443'",
    ])
      expect(shown).toContain(part);
    expect(shown).toMatch(/^ *outcome +EPERM, after \d+ µs$/m);
  });

  test('the beginning of an id is enough; --json has the event and its run', () => {
    const [event] = listed('--verdict', 'deny');
    const [shown] = json('audit', 'show', event.id.slice(0, 25).toLowerCase());
    const { run_record, ...rest } = shown;
    expect(rest).toEqual(event);
    expect(run_record).toMatchObject({
      run: event.run,
      deployment: 'mysql',
      labels: { team: 'db' },
      state: 'ended',
    });
  });

  test.each<[string[], number, RegExp]>([
    [['audit', 'show', '0'], 2, /several ids begin with `0`: .*; give more of it/],
    [['audit', 'show', '01ZZZZ'], 2, /there is no record `01ZZZZ` in .*; see `acyclic audit list`/],
    [['runs', '01ZZZZ'], 2, /there is no record `01ZZZZ`/],
    [['audit', 'list', '--run', '01ZZZZ'], 2, /there is no record `01ZZZZ`/],
    [['audit', 'list', '--since', 'tomorrow'], 2, /--since cannot be `tomorrow`; give it a time, such as 7d/],
    [
      ['audit', 'list', '--host', 'https://github.com/'],
      2,
      /is a URL, not a destination; did you mean `github.com`\?/,
    ],
    [['audit', 'list', '--verdict', 'denied'], 2, /--verdict.*Allowed choices are allow, deny, would-deny/],
    [['audit', 'list', '-n', 'all'], 2, /--limit cannot be `all`; give it a number/],
    [['audit', 'stats', '--by', 'program', '--over', 'day'], 2, /--by and --over contradict each other/],
    [['audit', 'list', '--state', '/nowhere/at/all'], 2, /nothing is recorded in \/nowhere\/at\/all/],
    [['audit'], 2, /no command given to acyclic audit; try: acyclic audit --help/],
    [['audit', 'lst'], 2, /unknown command 'lst' \(did you mean list\?\); try: acyclic audit --help/],
    [['audit', 'list', '--ferbose'], 2, /unknown option '--ferbose'.*; try: acyclic audit list --help/],
  ])('%j fails with %d', (args, status, message) => {
    const result = place.run(args);
    expect(result.status).toBe(status);
    expect(result.stderr).toMatch(message);
    expect(result.stderr).toMatch(/^acyclic: /);
  });

  test('an id of a run is told where it belongs', () => {
    expect(place.run(['audit', 'show', denied]).stderr).toContain(
      `is a run, not an event; try: acyclic runs ${denied}`,
    );
    const { stderr } = place.run(['audit', 'show', '--json', '01ZZZZ']);
    expect(JSON.parse(stderr)).toMatchObject({ level: 'error', code: 'no-record' });
  });

  test('nobody but root may read', () => {
    const { status, stderr } = place.bare([
      'setpriv',
      '--reuid=65534',
      '--clear-groups',
      acyclic,
      'audit',
      'list',
    ]);
    expect(status).toBe(2);
    expect(stderr).toMatch(/is not yours to read; run it with sudo/);
  });
});

describe('acyclic audit stats and export', () => {
  test('counts by destination, by program, by deployment and over time', () => {
    const filter = ['--run', denied];
    const destinations = json('audit', 'stats', ...filter);
    expect(destinations).toContainEqual(
      expect.objectContaining({
        destination: '192.0.2.7:443/tcp',
        service: 'github',
        calls: 1,
        denied: 1,
        runs: 1,
      }),
    );
    const total = listed(...filter).at(-1).calls;
    const sum = (counts: { calls: number }[]) => counts.reduce((all, { calls }) => all + calls, 0);
    expect(sum(destinations)).toBe(total);
    const programs = json('audit', 'stats', ...filter, '--by', 'program');
    expect(programs.map(({ program }) => program).sort()).toEqual(['bash', 'curl', 'getent']);
    expect(sum(programs)).toBe(total);
    expect(json('audit', 'stats', '--by', 'deployment').map(({ deployment }) => deployment)).toContain(
      'mysql',
    );
    expect(sum(json('audit', 'stats', ...filter, '--over', 'hour'))).toBe(total);
    expect(lines('audit', 'stats', ...filter)[0]).toMatch(
      /^DESTINATION +CALLS +DENIED +WOULD +FAILED +RUNS +WAITED +RETRIED$/,
    );
    expect(json('audit', 'stats', '-n', '1')).toHaveLength(1);
  });

  test('exports what is listed, and CSV that Python reads', () => {
    expect(parseReport(lines('audit', 'export').join('\n'))).toEqual(listed());
    place.file('export.csv', `${lines('audit', 'export', '--format', 'csv').join('\n')}\n`);
    const read = `import csv, json; print(json.dumps([r for r in csv.DictReader(open('export.csv'))]))`;
    const rows = JSON.parse(place.bare(['python3', '-c', read]).stdout);
    const events = listed();
    expect(rows.map(({ id }: { id: string }) => id)).toEqual(events.map(({ id }) => id));
    const at = events.findIndex(({ process }) => process?.comm === 'getent');
    expect(rows[at]).toMatchObject({
      ...{ verdict: 'deny', names: 'api.github.com', port: '53', command: 'getent hosts api.github.com' },
      ...{ owner: "'@db-platform", path: 'mysql > github > mysql', rule_source: 'policy.yaml:4' },
    });
    expect(rows.find(({ comm }: { comm: string }) => comm === 'curl')).toMatchObject({
      ...{ errno: 'ECONNREFUSED', result: 'refused', bytes_sent: '' },
    });
  });
});

describe('acyclic runs', () => {
  test('lists what ran, and one run with what it called', () => {
    const rows = lines('runs');
    expect(rows[0]).toMatch(/^RUN +BEGUN \(UTC\) +DEPLOYMENT +CALLS +DENIED +STATE +COMMAND$/);
    expect(rows.find((row) => row.startsWith(denied))).toMatch(/ mysql +\d+ +[34] +exit 0 +bash -c /);
    const [run] = json('runs', '--label', 'team=db');
    expect(run).toMatchObject({
      run: denied,
      mode: 'enforce',
      state: 'ended',
      command: ['bash', '-c', expect.any(String)],
    });
    expect(run.summary).toEqual(place.report('report.jsonl').at(-1));
    expect(json('runs', denied.slice(0, 24))[0]).toEqual(run);
    const shown = lines('runs', denied).join('\n');
    expect(shown).toContain(`run ${denied}`);
    expect(shown).toMatch(/192\.0\.2\.7:443\/tcp ×1, 1 denied/);
    expect(json('runs', '--deployment', 'mysql').map(({ run: id }) => id)).not.toContain(observed);
  });

  test('one in progress is running, and one whose Acyclic was killed is lost', async () => {
    const state = (id: string) => json('runs', id)[0]?.state;
    const child = place.start([acyclic, 'run', '-p', policy, '--', 'sleep', '30'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    child.stderr?.on('data', (chunk) => {
      said += chunk;
    });
    const id = () => /run (\w{26})/.exec(said)?.[1] ?? '';
    await until(() => id() !== '' && json('runs').some(({ run }) => run === id()), 'the run to be on record');
    expect(state(id())).toBe('running');
    const [pid = ''] = readdirSync('/run/acyclic/runs').filter((name) => name.startsWith(id()));
    const { command } = JSON.parse(readFileSync(join('/run/acyclic/runs', pid), 'utf8'));
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    process.kill(command.pid, 'SIGKILL');
    await until(() => !existsSync(`/proc/${command.pid}`), 'the command to end');
    expect(state(id())).toBe('lost');
    place.run(['run', '--quiet', '--', 'true']);
  });
});

describe('a run whose trail cannot be written', () => {
  test('goes on, says so loudly, and is on record once it can', () => {
    const state = join(place.directory, 'full');
    mkdirSync(state, { mode: 0o700 });
    const mount = (...args: string[]) => expect(spawnSync('mount', args).status).toBe(0);
    mount('-t', 'tmpfs', '-o', 'mode=700,size=16m', 'none', state);
    try {
      place.run(['run', '--quiet', '--state', state, '--', 'true']);
      mount('-o', 'remount,ro', state);
      const run = place.run([
        'run',
        '--quiet',
        '--state',
        state,
        '-p',
        policy,
        '--',
        'bash',
        '-c',
        'echo on; exec 3<>/dev/tcp/192.0.2.7/443',
      ]);
      expect(run).toMatchObject({ status: 1, stdout: 'on\n' });
      expect(run.stderr).toContain(`acyclic: the audit trail cannot be written: ${state} is read-only\n`);
      expect(run.stderr).toMatch(
        /^ {2}the run goes on, and its records wait in \/run\/acyclic\/spool\/.*; mount it for writing/m,
      );
      expect(run.stderr).toMatch(
        /^acyclic: 3 records wait in \/run\/acyclic\/spool\/.*; the next run puts them into the trail$/m,
      );
      expect(run.stderr).toContain(`more     acyclic audit show --state ${state} `);
      const reading = place.run(['runs', '--state', state]);
      expect(reading.stderr).toMatch(/^acyclic: \d KiB of records wait in .*, and are not in this$/m);
      mount('-o', 'remount,rw', state);
      expect(place.run(['run', '--state', state, '--', 'true']).stderr).toContain(
        '3 records that had waited are in it',
      );
      expect(json('runs', '--state', state).map(({ denials }) => denials)).toEqual([0, 1, 0]);
      // Now its spool cannot be had either.
      mount('-o', 'remount,ro', state);
      const [, fallback = ''] = spoolDirectories(state);
      writeFileSync(fallback, '');
      const losing = place.run(['run', '--state', state, '--report', 'lost.jsonl', '--', 'true']);
      rmSync(fallback);
      expect(losing.status).toBe(0);
      expect(losing.stderr).toContain(
        `acyclic: records are lost to the audit trail: ${state} is read-only; and `,
      );
      expect(losing.stderr).toMatch(/^ {2}lost +1 event \(store full\)$/m);
      expect(losing.stderr).toContain('acyclic: 2 records of this run are lost to the audit trail\n');
      expect(place.report('lost.jsonl').at(-1)).toMatchObject({ kind: 'summary', lost: { 'store full': 1 } });
    } finally {
      spawnSync('umount', ['-l', state]);
    }
  });
});

describe('docs/audit.md', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/audit.md'), 'utf8');
  const [, block = ''] = /```sh\n([^`]*)```/.exec(page) ?? [];
  const help = [['runs'], ...['list', 'show', 'stats', 'export'].map((name) => ['audit', name])].map(
    (command) => spawnSync(acyclic, [...command, '--help'], { encoding: 'utf8' }).stdout,
  );
  const helped = help.flatMap((text) => text.match(/(?<=^ {2})sudo acyclic .*/gm) ?? []);
  // Without remarks, and without what other programs do with the answer.
  const examples = [...block.trim().split('\n'), ...helped].map((line) =>
    line.replace(/( {3,}| +# | \| ).*/, ''),
  );

  test.each(examples)('%s', (example) => {
    const [denial] = listed('--verdict', 'deny');
    const command = example
      .replace(/^sudo acyclic/, example.includes('--follow') ? `timeout 1 ${acyclic}` : acyclic)
      .replace(/01KAR2S0RW\w*/, denial.id)
      .replace('01KAR2RZ', denied);
    const { status, stderr } = place.bare(['bash', '-c', command]);
    expect({ status, stderr }).toEqual({ status: example.includes('--follow') ? 124 : 0, stderr: '' });
  });
});

test('no secret is in the report, in the store, or in what is shown of it', () => {
  const report = readFileSync(join(place.directory, 'report.jsonl'), 'utf8');
  expect(report).toContain('joe:***');
  expect(report).not.toContain('s3cretValue');
  expect(lines('audit', 'export', '--run', denied).join('\n')).not.toContain('s3cretValue');
  expect(lines('runs', denied).join('\n')).toContain('joe:***');
  const state = join(place.directory, 'state');
  for (const name of readdirSync(state).filter((file) => file.startsWith('audit.db')))
    expect(readFileSync(join(state, name)).includes('s3cretValue')).toBe(false);
});

test('patterns of the policy are masked too', () => {
  const masking = place.file('mask.yaml', `${STRICT}mask: ["vault:v1:*"]\n`);
  const { stderr } = place.run([
    'run',
    '-p',
    masking,
    '--',
    'bash',
    '-c',
    ': vault:v1:s3cretValue; exec 3<>/dev/tcp/192.0.2.7/443',
  ]);
  expect(stderr).toContain(': vault:v1:***; exec');
  expect(stderr).not.toContain('acyclic: internal');
});
