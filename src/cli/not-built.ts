import { Command } from 'commander';
import { Failure } from './output.ts';

/** A command that is named in the design and still to come: refused by name. */
export function notBuilt(name: string): Command {
  return new Command(name)
    .helpOption(false)
    .allowUnknownOption()
    .argument('[anything...]')
    .action(() => {
      throw new Failure('not-built', `'${name}' is not built yet`, null, 2);
    });
}
