import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  type Node,
  type YAMLMap,
} from 'yaml';
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
  walk(document.contents, []);
  return problems;

  /** `path`: the keys that lead here; lists count as no step. */
  function walk(node: unknown, path: Path): void {
    if (isPair(node)) {
      walk(node.key, path);
      walk(node.value, isScalar(node.key) ? [...path, String(node.key.value)] : path);
    }
    if (isAlias(node)) {
      if (!anchors.has(node.source)) problems.push(lostAlias(file, node, places));
      return;
    }
    if (!isNode(node)) return;
    if (node.anchor) anchors.add(node.anchor);
    if (isMap(node)) problems.push(...keyProblems(file, node, places, path));
    if (isMap(node) || isSeq(node)) for (const item of node.items) walk(item, path);
  }
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
    const problem = (found: Fault) => {
      const [start, end] = node?.range ?? map.range ?? [0, 0];
      return [problemAt(file, places.at(start, end), found)];
    };
    if (!isScalar(node)) return problem(fault('wrong-type', 'a key is a word'));
    const name = String(node.value);
    if (name === '__proto__') return problem(fault('unknown-key', `\`${name}\` has no meaning in a policy`));
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
    return problem(found);
  });
}
