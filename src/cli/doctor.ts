import { Command } from 'commander';

/** `acyclic doctor`: what this kernel and host offer, what is missing, what it costs. */
export function doctorCommand(): Command {
  return new Command('doctor').description('what this kernel and host can do');
}
