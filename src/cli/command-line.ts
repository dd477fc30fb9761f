import { type Command, CommanderError } from 'commander';
import { createOutput, Failure, harmless } from './output.ts';
import { allOf } from './program.ts';

/** Failed before there was a guard (design §2); and what fails a unit of systemd rather than pass it over. */
const FAILED: Readonly<Record<string, number>> = { run: 125, attach: 125, daemon: 125, require: 255 };
const ERROR = 2;
/** Node's own for a program that comes to no end though nothing is left to wait for. */
const UNSETTLED = 13;

/** Performs one command line, and sets the exit status of this process. */
export async function performCommandLine(program: Command, args: readonly string[]): Promise<void> {
  const unsettled = () => {
    process.exitCode = UNSETTLED;
  };
  process.once('beforeExit', unsettled);
  const status = await perform(program, args);
  process.off('beforeExit', unsettled);
  process.exitCode = status;
}

/** Gives the exit status. */
async function perform(program: Command, args: readonly string[]): Promise<number> {
  let active = program;
  for (const command of allOf(program))
    command.hook('preSubcommand', (_, subcommand) => {
      active = subcommand;
    });
  try {
    if (args.length === 0) throw new Failure('usage', 'no command given', 'try: acyclic --help');
    await program.parseAsync(args, { from: 'user' });
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    const failure = asFailure(error, active);
    const { json } = active.opts<{ json?: boolean }>();
    const output = createOutput({ quiet: false, json: json ?? false });
    const lines = [...failure.message.split('\n'), ...stackOf(failure)];
    if (failure.remedy !== null && lines.length > 1) lines.push(failure.remedy);
    else if (failure.remedy !== null) lines[0] += `; ${failure.remedy}`;
    output.say('error', lines, { code: failure.code });
    return failure.exit ?? FAILED[active.name()] ?? ERROR;
  }
}

/** What is told: message, what to do next, and the exit status if it has one of its own. */
interface Told {
  readonly code: string;
  readonly message: string;
  readonly remedy: string | null;
  readonly exit: number | null;
  readonly cause?: unknown;
}

/** `acyclic policy check`. */
function fullName(command: Command): string {
  return command.parent ? `${fullName(command.parent)} ${command.name()}` : command.name();
}

/** Errors of lower layers have the same parts as a Failure; what has none of them is a fault of ours. */
function asFailure(error: unknown, active: Command): Told {
  if (error instanceof CommanderError) {
    const [, said = '', guess] =
      /^(?:error: )?(.*?)(?:\n\(Did you mean (.*)\?\))?$/s.exec(error.message) ?? [];
    const hint = guess === undefined ? '' : ` (did you mean ${guess}?)`;
    const help = `try: ${fullName(active)} --help`;
    // What commander does where a command is nothing without one of its own.
    if (error.code === 'commander.help')
      return new Failure('usage', `no command given to ${fullName(active)}`, help);
    return new Failure('usage', harmless(said) + hint, help);
  }
  if (error instanceof Error && 'remedy' in error) {
    const { code, remedy, exit } = error as Error & { code?: unknown; remedy: unknown; exit?: unknown };
    return {
      code: String(code ?? 'internal'),
      message: error.message,
      remedy: typeof remedy === 'string' ? remedy : null,
      exit: typeof exit === 'number' ? exit : null,
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: 'internal', message: `internal error: ${message}`, remedy: null, exit: null, cause: error };
}

/** Where a fault of ours came from, so that it can be reported. */
function stackOf(told: Told): string[] {
  if (!(told.cause instanceof Error)) return [];
  return (told.cause.stack ?? '').split('\n').filter((line) => line.startsWith('    at '));
}
