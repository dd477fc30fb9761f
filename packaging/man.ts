/** Man pages, made of the program's own help: an option that is in one is in the other. */
import type { Command, Help } from 'commander';
import { wholeProgram } from '../src/cli/whole-program.ts';

/** What help does not say. */
const FILES: readonly (readonly [string, string])[] = [
  ['/etc/acyclic', 'the installed policy: *.yaml, services/*.yaml and deployments/*.yaml; none as packaged'],
  ['/var/lib/acyclic', 'the audit trail'],
  ['/run/acyclic/acyclic.sock', 'the control socket, for root and the group acyclic'],
  ['/sys/fs/bpf/acyclic', 'programs of runs in progress, which go on deciding if Acyclic dies'],
  ['/usr/share/doc/acyclic', 'the policy language, the audit trail, errors, examples, alert rules'],
];
const ENVIRONMENT: readonly (readonly [string, string])[] = [
  ['ACYCLIC_STATE', 'the directory of the audit trail, where --state does not name one'],
  ['ACYCLIC_SOCKET', 'the control socket of the daemon, where --socket does not name one'],
];
const RUN_STATUS: readonly (readonly [string, string])[] = [
  ['122', 'the command succeeded, and --fail-on found something'],
  ['124', 'the command timed out'],
  ['125', 'Acyclic failed before the command started, or lost the guard'],
  ['126', 'the command is not executable'],
  ['127', 'the command was not found'],
  ['128+n', 'the command was killed by signal n'],
];
const ABOUT = `Acyclic runs a deploy script in a cgroup of its own. eBPF programs on that cgroup see every outbound call, and stop
those that would make the deployment depend on the thing it deploys. The script needs no change, and everything else on
the host goes on untouched.`;

/** A page of section 1: its name, without the section, and its text. */
export interface ManPage {
  readonly name: string;
  readonly text: string;
}

/** A page for the program and one for each of its commands, dated `date` (YYYY-MM-DD). */
export function manPages(version: string, date: string): ManPage[] {
  const program = wholeProgram();
  const commands = visible(program);
  const head = (name: string) =>
    `.TH ${name.toUpperCase()} 1 ${date} "acyclic ${version}" "Acyclic"\n.nh\n.ad l\n`;
  const pages = commands.map((command): ManPage => {
    const name = `acyclic-${command.name()}`;
    return { name, text: head(name) + commandPage(name, command) };
  });
  return [{ name: 'acyclic', text: head('acyclic') + programPage(program, commands) }, ...pages];
}

function programPage(program: Command, commands: readonly Command[]): string {
  const { before, examples } = proseOf(program);
  return [
    section('NAME', `acyclic \\- ${roff(program.description().replace(/\.$/, ''))}`),
    section('SYNOPSIS', synopsis(program)),
    section('DESCRIPTION', paragraphs([ABOUT, ...before])),
    section('OPTIONS', terms(optionsOf(program))),
    section(
      'COMMANDS',
      commands
        .map((command) => term(`.BR acyclic\\-${roff(command.name())} (1)`, command.description()))
        .join(''),
    ),
    section('FILES', terms(FILES)),
    section('ENVIRONMENT', terms(ENVIRONMENT)),
    section('EXAMPLES', verbatim(examples)),
    section('SEE ALSO', commands.map((command) => `.BR acyclic\\-${roff(command.name())} (1)`).join(',\n')),
  ].join('');
}

function commandPage(name: string, command: Command): string {
  const { before, examples } = proseOf(command);
  const below = visible(command);
  return [
    section('NAME', `${roff(name)} \\- ${roff(command.description())}`),
    section('SYNOPSIS', synopsis(command)),
    section('DESCRIPTION', paragraphs(before)),
    section('ARGUMENTS', terms(argumentsOf(command))),
    section('OPTIONS', terms(optionsOf(command))),
    ...below.map((one) => section(roff(fullName(one)), inner(one))),
    command.name() === 'run'
      ? section('EXIT STATUS', `The command\\(aqs own, and\n${terms(RUN_STATUS)}`)
      : '',
    section('EXAMPLES', verbatim(examples)),
    section('SEE ALSO', '.BR acyclic (1)'),
  ].join('');
}

/** A command of a command, as a section of its page. */
function inner(command: Command): string {
  const { before, examples } = proseOf(command);
  const options = [...argumentsOf(command), ...optionsOf(command)];
  return [
    `${synopsis(command)}\n.PP\n`,
    paragraphs([command.description(), ...before]),
    terms(options),
    examples === '' ? '' : `.PP\nExamples:\n${verbatim(examples)}`,
  ].join('');
}

function visible(command: Command): Command[] {
  return help(command)
    .visibleCommands(command)
    .filter((one) => one.name() !== 'help');
}

function help(command: Command): Help {
  return command.createHelp();
}

function optionsOf(command: Command): [string, string][] {
  const words = help(command);
  return words.visibleOptions(command).map((one) => [words.optionTerm(one), words.optionDescription(one)]);
}

function argumentsOf(command: Command): [string, string][] {
  const words = help(command);
  return words
    .visibleArguments(command)
    .map((one) => [words.argumentTerm(one), words.argumentDescription(one)]);
}

function fullName(command: Command): string {
  return command.parent ? `${fullName(command.parent)} ${command.name()}` : command.name();
}

function synopsis(command: Command): string {
  return `.B ${roff(fullName(command))}\n${roff(command.usage())}`;
}

/** What follows the options in a command's help. */
function proseOf(command: Command): { readonly before: string[]; readonly examples: string } {
  let said = '';
  command.configureOutput({ writeOut: (text) => (said += text) });
  command.outputHelp();
  const after = said.slice(said.indexOf(command.helpInformation()) + command.helpInformation().length);
  const [before = '', examples = ''] = after.split(/^Examples?:\n/m);
  return { before: before.split(/\n\n+/).map((text) => text.trim()), examples: examples.trimEnd() };
}

function section(title: string, text: string): string {
  return text.trim() === '' ? '' : `.SH "${title}"\n${text.trimEnd()}\n`;
}

function paragraphs(texts: readonly string[]): string {
  return texts
    .filter((text) => text !== '')
    .map((text) => `${roff(text)}\n`)
    .join('.PP\n');
}

function terms(list: readonly (readonly [string, string])[]): string {
  return list.map(([name, text]) => term(`.B "${roff(name)}"`, text)).join('');
}

function term(tag: string, text: string): string {
  return `.TP\n${tag}\n${roff(text)}\n`;
}

function verbatim(text: string): string {
  return text === '' ? '' : `.nf\n${roff(text)}\n.fi\n`;
}

/** Text as roff has it: nothing in it is a request or an escape. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('"', '\\(dq')
    .replaceAll('~', '\\(ti')
    .replaceAll('^', '\\(ha')
    .replace(/^(?=[.'])/gm, '\\&');
}
