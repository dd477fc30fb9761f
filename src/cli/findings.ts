import manifest from '../../package.json' with { type: 'json' };

/** Something wrong, where it stands. */
export interface Finding extends Note {
  readonly level: 'error' | 'warning';
  /** Which kind of thing it is: one word. */
  readonly rule: string;
}

/** Something to know, where it stands. */
export interface Note {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** One sentence without a full stop. */
  readonly message: string;
}

export interface Found {
  /** The worst first. */
  readonly findings: readonly Finding[];
  readonly notes: readonly Note[];
}

/** Workflow commands of GitHub Actions, which shows each as an annotation at its line. */
export function formatGithub({ findings, notes }: Found): string {
  const command = (kind: string, { file, line, message }: Note) =>
    `::${kind} file=${escaped(file, ':,')},line=${line},title=acyclic::${escaped(message, '')}`;
  const lines = [
    ...findings.map((finding) => command(finding.level, finding)),
    ...notes.map((note) => command('notice', note)),
  ];
  return lines.map((line) => `${line}\n`).join('');
}

function escaped(text: string, more: string): string {
  return [...text]
    .map((character) =>
      character < ' ' || character === '%' || more.includes(character)
        ? `%${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(2, '0')}`
        : character,
    )
    .join('');
}

/** SARIF 2.1.0; notes are notifications of the tool. */
export function formatSarif({ findings, notes }: Found): string {
  const rules = [...new Set(findings.map(({ rule }) => rule))];
  return JSON.stringify({
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: {
          driver: { name: 'acyclic', version: manifest.version, rules: rules.map((id) => ({ id })) },
        },
        invocations: [
          {
            executionSuccessful: true,
            toolExecutionNotifications: notes.map((note) => ({
              level: 'note',
              message: { text: note.message },
              locations: [locationOf(note)],
            })),
          },
        ],
        results: findings.map((finding) => ({
          ruleId: finding.rule,
          ruleIndex: rules.indexOf(finding.rule),
          level: finding.level,
          message: { text: finding.message },
          locations: [locationOf(finding)],
        })),
      },
    ],
  });
}

function locationOf({ file, line }: Note): object {
  // A path from the root is a URI of its own; any other is from where the tool was run.
  const path = file.split('/').map(encodeURIComponent).join('/');
  const uri = file.startsWith('/') ? `file://${path}` : path;
  return { physicalLocation: { artifactLocation: { uri }, region: { startLine: line } } };
}
