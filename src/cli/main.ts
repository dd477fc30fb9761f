import { performCommandLine } from './command-line.ts';
import { wholeProgram } from './whole-program.ts';

void performCommandLine(wholeProgram(), process.argv.slice(2));
