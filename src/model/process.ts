/** One program image of a process. */
export interface ProcessImage {
  readonly pid: number;
  /** RFC 3339 with nanoseconds; null when the process started before it was watched. */
  readonly start: string | null;
  readonly uid: number | null;
  readonly comm: string | null;
  readonly exe: string | null;
  readonly argv: readonly string[] | null;
}

/** A process and the processes that led to it, nearest parent first, ending at the run's command. */
export interface ProcessWithAncestry extends ProcessImage {
  readonly ancestry: readonly ProcessImage[];
}

const SHELL = /^(ba|da|z|k|a)?sh$/;
const INTERPRETER = /^(python|perl|ruby|node|php|lua)[0-9.]*$/;

/** What people call a process: the script for one an interpreter runs from a file, otherwise the program. */
export function programName(image: ProcessImage): string {
  const program = baseName(image.exe) ?? image.comm ?? baseName(image.argv?.[0] ?? null) ?? 'process';
  const shell = SHELL.test(program);
  if (!shell && !INTERPRETER.test(program)) return program;
  const args = image.argv?.slice(1) ?? [];
  const script = args.findIndex((arg) => !arg.startsWith('-'));
  const inline = shell ? /^-[a-z]*c$/ : /^-[a-z]*[ce]$/;
  if (args.slice(0, script).some((arg) => inline.test(arg))) return program;
  return baseName(args[script] ?? null) ?? program;
}

function baseName(path: string | null): string | null {
  const name = path?.slice(path.lastIndexOf('/') + 1) ?? '';
  return name === '' ? null : name;
}
