import { Command } from 'commander';
import { createOutput, Failure, harmless, printResult } from './output.ts';
import { FINDINGS, JSON_OPTION, plural } from './policy-options.ts';

const EXAMPLES = `
Prints a services file of a policy; what could not be mapped is told on standard error, each with its place.
Components and resources become services. A consumed API is a dependency on whoever provides it; a system is one where
something depends on it.
Exit status: 0 all of it was mapped, 1 something could not be, 2 error.

Example:
  acyclic graph import --backstage catalog-info.yaml > services/catalog.yaml`;

interface Options {
  readonly backstage?: string[];
  readonly json?: true;
}

/** `acyclic graph import`: a services file from a catalog somebody keeps already. */
export function graphImportCommand(): Command {
  return new Command('import')
    .description('a services file from a catalog')
    .option('--backstage <file...>', 'catalog files of Backstage')
    .addOption(JSON_OPTION)
    .addHelpText('after', EXAMPLES)
    .action(async ({ backstage = [], json }: Options) => {
      if (backstage.length === 0)
        throw new Failure('usage', 'no catalog was named', 'try: acyclic graph import --backstage FILE');
      const [{ readCatalog }, { importBackstage }, { servicesText }] = await Promise.all([
        import('../guard/catalog-files.ts'),
        import('../policy/backstage.ts'),
        import('../policy/backstage-text.ts'),
      ]);
      const catalog = importBackstage(backstage.map(readCatalog));
      const { services, unmapped, passedOver } = catalog;
      const text = servicesText(catalog);
      const kinds = [...passedOver].map(([kind, count]) => `${count} ${kind}`);
      const about = { unmapped, passed_over: Object.fromEntries(passedOver) };
      if (json) printResult(JSON.stringify({ v: 1, services, ...about, text }));
      else printResult(text);
      const lines = [
        ...unmapped.map(({ file, line, message }) => `${file}:${line}: ${harmless(message)}`),
        ...(kinds.length > 0 ? [`passed over, since they are no services: ${kinds.join(', ')}`] : []),
      ];
      const level = unmapped.length > 0 ? 'warning' : 'info';
      const head = `acyclic: ${plural(services.length, 'service')}; ${plural(unmapped.length, 'thing')} could not be mapped`;
      if (!json) createOutput({ quiet: false, json: false }).say(level, [head, ...lines]);
      process.exitCode = unmapped.length > 0 ? FINDINGS : 0;
    });
}
