import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { Failure, harmless } from './output.ts';
import { addRunOptions, parseDuration, type RunOptions, readRunOptions } from './run-options.ts';

function read(...args: string[]): RunOptions {
  const program = new Command('acyclic').enablePositionalOptions().exitOverride();
  const command = addRunOptions(new Command('run'));
  let options: RunOptions | undefined;
  command.action(() => {
    options = readRunOptions(command);
  });
  program.addCommand(command).parse(['run', ...args], { from: 'user' });
  if (options === undefined) throw new Error('run did not act');
  return options;
}

function failure(...args: string[]): Failure {
  try {
    read(...args);
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error(`accepted: ${args.join(' ')}`);
}

describe('readRunOptions', () => {
  it('has neutral defaults', () => {
    expect(read('true')).toEqual({
      policy: null,
      deployment: null,
      mode: null,
      requireEnforce: false,
      allow: [],
      deny: [],
      default: null,
      labels: {},
      limits: { cpu: null, memory: null, tasks: null },
      timeoutMs: null,
      leftover: 'release',
      report: null,
      state: null,
      socket: null,
      json: false,
      quiet: false,
      failOn: 'never',
      baseline: [],
      breakGlass: null,
      allowInherited: false,
      syscalls: true,
      command: ['true'],
    });
  });

  it('takes every option of the design', () => {
    const args =
      '-p a.yaml -d mysql --enforce --require enforce --allow a.com --allow b.com --deny service:x --default deny';
    const more =
      '--label team=db --label ref=a=b --cpu 250% --memory 1.5GiB --tasks 512 --timeout 10m --leftover kill --report out --state st --socket s --json --quiet --fail-on cycle';
    expect(read(...args.split(' '), ...more.split(' '), '--allow-inherited', 'sh', '-c', 'x')).toEqual({
      policy: 'a.yaml',
      deployment: 'mysql',
      mode: 'enforce',
      requireEnforce: true,
      allow: ['a.com', 'b.com'],
      deny: ['service:x'],
      default: 'deny',
      labels: { team: 'db', ref: 'a=b' },
      limits: { cpu: 250, memory: 1536 * 2 ** 20, tasks: 512 },
      timeoutMs: 600_000,
      leftover: 'kill',
      report: 'out',
      state: 'st',
      socket: 's',
      json: true,
      quiet: true,
      failOn: 'cycle',
      baseline: [],
      breakGlass: null,
      allowInherited: true,
      syscalls: true,
      command: ['sh', '-c', 'x'],
    });
  });

  it.each([
    [['curl', '--audit', '--help', '-p', 'x']],
    [['--', '--audit']],
    [['curl', '--', '--', '-x']],
    [['curl', '']],
  ])('leaves the command %j as it is', (argv) => {
    const expected = argv[0] === '--' ? argv.slice(1) : argv;
    expect(read('--quiet', ...argv)).toMatchObject({ command: expected, mode: null, quiet: true });
    expect(read('--quiet', '--', ...expected).command).toEqual(expected);
  });

  it.each([[[]], [['--']], [['--audit']]])('asks for a command when given %j', (args) => {
    expect(failure(...args)).toMatchObject({
      code: 'no-command',
      message: 'no command given to guard',
      remedy: 'try: acyclic run -- ./deploy.sh',
      exit: null,
    });
  });

  it('does not find an empty command, as a shell does not', () => {
    expect(failure('--', '')).toMatchObject({ code: 'no-command', exit: 127 });
  });

  it.each([
    ['--audit', '--enforce'],
    ['--audit', '--require', 'enforce'],
    ['--break-glass', 'why', '--require', 'enforce'],
    ['--label', 'a=1', '--label', 'a=2'],
  ])('refuses the contradiction %s %s', (...args) => {
    expect(failure(...args, 'true')).toMatchObject({ code: 'contradiction', exit: null });
  });

  it.each([
    ['--require', 'audit'],
    ['--default', 'maybe'],
    ['--leftover', 'keep'],
    ['--fail-on', 'denied'],
    ['--label', 'novalue'],
    ['--label', '=x'],
    ['--label', 'a=b\nc'],
    ['--timeout', 'soon'],
    ['--timeout', '0'],
    ['--timeout', '-5'],
    ['--timeout', '30d'],
    ['--break-glass', ' '],
    ['--policy', ''],
    ['--deployment', ''],
    ['--report', ''],
  ])('refuses %s %j and says what is meant', (option, value) => {
    const found = failure(option, value, 'true');
    expect(found.code).toBe('bad-value');
    expect(found.message).toContain(`${option} cannot be \`${harmless(value)}\``);
    expect(found.remedy).toMatch(/^give it /);
  });

  it('compares with earlier runs only where a new destination is to fail', () => {
    expect(read('--fail-on', 'new', '--baseline', 'a', '--baseline', 'b', 'true')).toMatchObject({
      failOn: 'new',
      baseline: ['a', 'b'],
    });
    expect(failure('--baseline', 'a', 'true')).toMatchObject({ code: 'contradiction' });
  });

  it.each([
    ['--cpu', '2', '`2` is not a share of processors', 'did you mean `--cpu 2%`?'],
    ['--cpu', '0%', '`0%` is not a share of processors', null],
    ['--memory', '2GB', '`2GB` is not an amount of memory', 'did you mean `--memory 2GiB`?'],
    ['--memory', '512', '`512` is less memory than any command needs', 'did you mean `--memory 512MiB`?'],
    ['--memory', '-1', '`-1` is not an amount of memory', null],
    ['--tasks', 'many', '`many` is not a number of tasks', null],
    ['--tasks', '0', '`0` is not a number of tasks: write one from 1 to 4194304', null],
    ['--tasks', '4194305', '`4194305` is not a number of tasks', null],
    ['--tasks', '\u001b[31m', '`\\x1b[31m` is not a number of tasks', null],
  ])('refuses %s %j with its reason', (option, value, message, remedy) => {
    const found = failure(`${option}=${value}`, 'true');
    expect(found).toMatchObject({ code: 'bad-value', exit: null, remedy });
    expect(found.message).toContain(`${option}: ${message}`);
  });
});

describe('parseDuration', () => {
  it.each([
    ['30s', 30_000],
    ['10m', 600_000],
    ['2h', 7_200_000],
    ['1h30m', 5_400_000],
    ['250ms', 250],
    ['90', 90_000],
    ['1.5', 1500],
    ['1d', 86_400_000],
  ])('reads %s as %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(['', 's', '1x', '1 s', '1e3', '--', '1..5s', 'm1', '∞', '1m garbage'])('is null for %j', (text) => {
    expect(parseDuration(text)).toBeNull();
  });
});
