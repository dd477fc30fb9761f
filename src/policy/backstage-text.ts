import type { ImportedCatalog, ImportedService } from './backstage.ts';
import { DEFAULT_NAMESPACE } from './backstage-entities.ts';
import { scalar } from './suggest-text.ts';

const WIDEST_LINE = 100;

/** The services as a file of a policy. */
export function servicesText({ services }: ImportedCatalog): string {
  return [
    '# Written by `acyclic graph import --backstage`.',
    '# A catalog has no hosts and addresses: add them, since calls to a service without them cannot be told.',
    'version: 1',
    '',
    ...(services.length === 0 ? ['services: {}'] : ['services:', ...services.flatMap(serviceLines)]),
    '',
  ].join('\n');
}

function serviceLines({ name, ref, owner, dependsOn }: ImportedService): string[] {
  const said = ref === `component:${DEFAULT_NAMESPACE}/${name}` ? '' : ` # ${ref}`;
  const owned = owner === null ? [] : [`owner: ${scalar(owner)}`];
  const needs = dependsOn.length === 0 ? [] : [`depends_on: [${dependsOn.map(scalar).join(', ')}]`];
  const flow = [...owned, ...needs].join(', ');
  const line = `  ${scalar(name)}: ${flow === '' ? '{}' : `{ ${flow} }`}${said}`;
  if (line.length <= WIDEST_LINE) return [line];
  return [
    `  ${scalar(name)}:${said}`,
    ...owned.map((one) => `    ${one}`),
    ...(dependsOn.length === 0
      ? []
      : ['    depends_on:', ...dependsOn.map((other) => `      - ${scalar(other)}`)]),
  ];
}
