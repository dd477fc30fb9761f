import { type Alias, type Document, isAlias, isMap, isScalar, type Node, visit, type YAMLMap } from 'yaml';
import type { Path } from './path.ts';
import { type Places, problemAt } from './place.ts';
import { type Fault, fault, type Problem } from './problem.ts';

/** Everything wrong with a file as YAML; whoever reads on may rely on unique keys and aliases that lead somewhere. */
export function yamlProblems(file: string, document: Document, places: Places, text: string): Problem[] {
  const problems = document.errors.map(({ code, message, pos }) => {
    const place = places.at(pos[0], Math.min(pos[1], pos[0] + 80));
    return problemAt(file, place, syntaxFault(code, message, text.slice(pos[0])));
  });
  if (problems.length > 0) return problems;
  const anchors = new Set<string>();
  visit(document, {
    Node(_, node, ancestors) {
      if (isAlias(node)) {
        if (!anchors.has(node.source)) problems.push(lostAlias(file, node, places));
        return;
      }
      if (node.anchor) anchors.add(node.anchor);
      if (isMap(node)) problems.push(...keyProblems(file, node, places, pathTo([...ancestors, node])));
    },
  });
  return problems;
}

/** The mistakes everybody makes, `host: *` and `owner: @web`, get the quotes they miss. */
function syntaxFault(code: string, message: string, rest: string): Fault {
  const word = /^[@`*%][^\s,\]}]*/.exec(rest)?.[0];
  if (word && (code === 'BAD_SCALAR_START' || code === 'BAD_ALIAS'))
    return fault('yaml', `\`${word}\` needs quotes in YAML`, `"${word}"`);
  if (code === 'MULTIPLE_DOCS')
    return fault('yaml', 'the file holds several YAML documents: one file, one document');
  return fault('yaml', `not valid YAML: ${message.replace(/\.$/, '')}`);
}

function lostAlias(file: string, alias: Alias, places: Places): Problem {
  const [start, end] = alias.range ?? [0, 0];
  const word = `*${alias.source}`;
  const found = fault(
    'alias',
    `\`${word}\` is a YAML alias that leads nowhere: a pattern needs quotes`,
    `"${word}"`,
  );
  return problemAt(file, places.at(start, end), found);
}

function keyProblems(file: string, map: YAMLMap, places: Places, path: Path): Problem[] {
  const first = new Map<string, Node>();
  const isObjects = path.length === 1 && (path[0] === 'services' || path[0] === 'deployments');
  return map.items.flatMap(({ key }) => {
    const node = key as Node;
    const [start, end] = node?.range ?? map.range ?? [0, 0];
    const here = places.at(start, end);
    if (!isScalar(node)) return [problemAt(file, here, fault('wrong-type', 'a key is a word'))];
    const name = String(node.value);
    if (name === '__proto__')
      return [problemAt(file, here, fault('unknown-key', `\`${name}\` has no meaning in a policy`))];
    const before = first.get(name);
    if (!before) {
      first.set(name, node);
      return [];
    }
    const { line } = places.at(before.range?.[0] ?? 0);
    const found = isObjects
      ? fault(
          'duplicate-object',
          `${String(path[0]).slice(0, -1)} \`${name}\` is defined at ${file}:${line} already`,
        )
      : fault('duplicate-key', `the key \`${name}\` is given at ${file}:${line} already`);
    return [problemAt(file, here, found)];
  });
}

/** The keys that lead to the innermost of nested nodes; lists count as no step. */
function pathTo(nodes: readonly unknown[]): string[] {
  return nodes.flatMap((node) => {
    const key = (node as { key?: unknown } | null)?.key;
    return isScalar(key) ? [String(key.value)] : [];
  });
}
