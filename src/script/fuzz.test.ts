import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type FileText, type Ground, ScriptReading } from './reading.ts';

/** A reading ends after this, whatever is read; on a machine with other work, and with cold code. */
const LIMIT_MS = 2500;

function reading(files: Readonly<Record<string, string>>): { reading: ScriptReading; ms: number } {
  const ground: Ground = {
    cwd: '/d',
    read: (path): FileText => {
      const text = files[path];
      return text === undefined ? { kind: 'missing' } : { kind: 'text', text };
    },
    isTool: () => false,
    name: (path) => path,
  };
  const result = new ScriptReading(ground);
  const start = performance.now();
  for (const path of Object.keys(files)) result.script(path);
  return { reading: result, ms: performance.now() - start };
}

/** Every place found is a line of the file it names. */
function expectPlaces({ findings }: ScriptReading, files: Readonly<Record<string, string>>): void {
  for (const { place } of [...findings.mentions, ...findings.unseen]) {
    expect(Object.keys(files)).toContain(place.file);
    expect(place.line).toBeGreaterThanOrEqual(1);
    expect(place.line).toBeLessThanOrEqual((files[place.file] ?? '').split('\n').length);
  }
}

const PIECES = [
  ...[
    'curl ',
    'https://',
    'a.example',
    '/x',
    ':443',
    '$X',
    '${X',
    '}',
    '"',
    "'",
    '`',
    '$(',
    ')',
    '(',
    '((',
    '))',
  ],
  ...[
    '{',
    '}',
    '[[',
    ']]',
    ' ',
    '\n',
    '\\',
    '\\\n',
    ';',
    '&&',
    '||',
    '|',
    '&',
    '#',
    '<<EOF\n',
    'EOF\n',
    '<<<',
    '>',
    '<(',
  ],
  ...[
    'if ',
    'then ',
    'else ',
    'fi\n',
    'for x in ',
    'do ',
    'done\n',
    'while ',
    'case ',
    ' in ',
    'esac\n',
    ';;',
    'f() ',
  ],
  ...[
    'X=',
    'X+=',
    'A=(',
    '${A[@]}',
    '${X:-',
    '${X//',
    '${X%%',
    '${!X}',
    '$1',
    '$@',
    'eval ',
    'bash -c ',
    '. ',
    './b.sh',
  ],
  ...[
    'python3 -c ',
    'node -e ',
    'sudo ',
    'exec ',
    'trap ',
    'set -- ',
    'shift ',
    'cd ',
    'local ',
    'export ',
    'source ',
  ],
  ...[
    '"""',
    'f"',
    '{x}',
    '/*',
    '*/',
    '//',
    'require(',
    'import ',
    'git@b.example:o/r',
    '/dev/tcp/h/1',
    '\0',
    '\ud800',
    '￼',
  ],
];
const soup = fc.array(fc.constantFrom(...PIECES), { maxLength: 120 }).map((pieces) => pieces.join(''));

describe('whatever a script is, reading it ends, and what it finds stands in it', () => {
  test.each(['/d/a.sh', '/d/a.py', '/d/a.js', '/d/Makefile'])('%s', (path) => {
    fc.assert(
      fc.property(soup, soup, (one, other) => {
        const files = { [path]: one, '/d/b.sh': other };
        const { reading: found, ms } = reading(files);
        expect(ms).toBeLessThan(LIMIT_MS);
        expectPlaces(found, files);
      }),
      { numRuns: 700 },
    );
  });

  test('a real script, with something changed in it', () => {
    const script = `#!/bin/bash
set -eu
HOSTS=(a.example b.example)
here=$(cd "$(dirname "$0")" && pwd)
fetch() { local url="https://$1/\${2:-latest}"; curl -fsS "$url" || return 1; }
for host in "\${HOSTS[@]}"; do fetch "$host" "v$VERSION"; done
cat > /tmp/x <<END
url = https://\${HOSTS[0]}/x
END
python3 - <<'END'
import urllib.request as u
u.urlopen(f"https://{host}/x")
END
`;
    const changed = fc
      .tuple(fc.nat(script.length), fc.nat(20), fc.constantFrom('', ...PIECES))
      .map(([at, length, put]) => script.slice(0, at) + put + script.slice(at + length));
    fc.assert(
      fc.property(changed, (text) => {
        const files = { '/d/a.sh': text };
        expectPlaces(reading(files).reading, files);
      }),
      { numRuns: 700 },
    );
  });
});

const LARGE = 1 << 18;
const filled = (unit: string) => unit.repeat(Math.ceil(LARGE / unit.length)).slice(0, LARGE);

describe('what is made to take long does not', () => {
  test.each([
    ['slashes', '/'],
    ['a host that never ends', 'a.'],
    ['hosts', 'a.example '],
    ['URLs', 'curl https://a.example/\n'],
    ['schemes', 'https://'],
    ['colons', '1:'],
    ['at signs', 'a@'],
    ['variables', 'A=$A$A$A$A\n'],
    ['doubling', 'A=$A$A;'],
    ['variables of a kind each', 'A1=a; '],
    ['nested substitutions', '$('],
    ['nested quotes', '"$(echo "'],
    ['backticks', '`\\`'],
    ['nested parentheses', '('],
    ['ifs', 'if a; then b; fi\n'],
    ['open ifs', 'if a; then '],
    ['functions that call each other', 'f() { g; g; }; g() { f; f; }; f; '],
    ['alternatives', 'if a; then A=$A.a; else A=$A.b; fi\n'],
    ['braces', '{a,b}'],
    ['brace words', 'echo {1..9}{1..9}{1..9}\n'],
    ['heredocs', 'cat <<E\nhttps://a.example\nE\n'],
    ['open heredocs', 'cat <<E\n'],
    ['comments in a heredoc', '# https://a.example\n'],
    ['patterns', 'A=${A%%*a*a*a*b}\n'],
    ['arrays', 'A+=(a.example)\n'],
    ['evals', 'eval "eval \\"a\\""\n'],
    ['sources of itself', '. ./a\n'],
    ['runs of itself', './a; '],
    ['exports', 'export A=https://a.example; sh b\n'],
    ['quotes', "'"],
    ['escapes', '\\'],
    ['regular expressions', '(/['],
    ['templates', '`${'],
    ['triple quotes', '"""'],
    ['f-strings', 'f"{'],
    ['printed strings', 'print("'],
    ['spaces', ' '],
    ['tabs and colons', 'a:\n\tcurl $(A) \\\n'],
  ])('%s', (_, unit) => {
    const text = filled(unit);
    const heredoc = `cat <<'END' > f\n${text}\nEND\n`;
    for (const name of ['a', 'a.py', 'a.js', 'Makefile'])
      expect(reading({ [`/d/${name}`]: text }).ms, name).toBeLessThan(LIMIT_MS);
    expect(reading({ '/d/h.sh': heredoc }).ms, 'heredoc').toBeLessThan(LIMIT_MS);
  });

  test('many files that run each other', () => {
    const names = Array.from({ length: 400 }, (_, i) => `/d/s${i}.sh`);
    const all = names.map((name) => `. ${name}\n${name}\n`).join('');
    const { reading: found, ms } = reading(Object.fromEntries(names.map((name) => [name, all])));
    expect(ms).toBeLessThan(LIMIT_MS);
    expect(found.findings.complete).toBe(false);
    expect(found.files.size).toBeLessThanOrEqual(200);
  });
});
