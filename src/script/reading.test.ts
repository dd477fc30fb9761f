import { describe, expect, test } from 'vitest';
import { formatHost } from './host.ts';
import { type FileText, type Ground, ScriptReading } from './reading.ts';

/** Reads `/d/deploy.sh`, with other files beside it, as if it had been started in `/d`. */
function read(script: string, files: Readonly<Record<string, string>> = {}): ScriptReading {
  const all = new Map(
    Object.entries({ 'deploy.sh': script, ...files }).map(([name, text]) => [`/d/${name}`, text]),
  );
  const ground: Ground = {
    cwd: '/d',
    read: (path): FileText => {
      const text = all.get(path);
      return text === undefined ? { kind: 'missing' } : { kind: 'text', text };
    },
    isTool: (path) => path.startsWith('/d/bin/'),
    name: (path) => path.replace(/^\/d\//, ''),
  };
  const reading = new ScriptReading(ground);
  reading.script('/d/deploy.sh');
  return reading;
}

/** `file:line host:port`, without the file where it is deploy.sh. */
function named(script: string, files?: Readonly<Record<string, string>>): string[] {
  return read(script, files).findings.mentions.map(({ place, host, port }) => {
    const at = `${place.file}:${place.line}`.replace('deploy.sh:', '');
    return `${at} ${formatHost(host)}${port === null ? '' : `:${port}`}`;
  });
}

function unseen(script: string, files?: Readonly<Record<string, string>>): string[] {
  return read(script, files).findings.unseen.map(({ place, kind, what }) => `${place.line} ${kind} ${what}`);
}

describe('what names a host', () => {
  test.each([
    ['curl https://a.example/x', ['1 a.example:443']],
    ['curl http://a.example:8080/x', ['1 a.example:8080']],
    ['curl https://user:secret@a.example/', ['1 a.example:443']],
    ['curl "http://[2001:db8::1]:81/" http://192.0.2.7', ['1 2001:db8::1:81', '1 192.0.2.7:80']],
    ['psql postgres://a.example,b.example:6000/x', ['1 a.example:5432', '1 b.example:6000']],
    ['run --url=jdbc:mysql://db.example/x', ['1 db.example:3306']],
    ['curl a.example/x', ['1 a.example:80']],
    ['curl -o out.tar -H "x: y.example" --output b.txt a.example', ['1 a.example:80']],
    ['git clone git@git.example:org/x.git', ['1 git.example:22']],
    ['git clone git.example:org/x.git', ['1 git.example:22']],
    ['git clone ssh://git@git.example:7999/x', ['1 git.example:7999']],
    ['scp a.txt root@a.example:/tmp/', ['1 a.example:22']],
    ['rsync -a ./x b.example:/srv rsync://c.example/m', ['1 c.example:873', '1 b.example:22']],
    ['exec 3<>/dev/tcp/a.example/443', ['1 a.example:443']],
    ['echo x > /dev/udp/192.0.2.7/514', ['1 192.0.2.7:514']],
    ['nc -z -w 3 a.example 5432', ['1 a.example:5432']],
    ['telnet 192.0.2.7', ['1 192.0.2.7:23']],
    ['ssh -p 2222 -i key deploy@a.example uptime', ['1 a.example:2222']],
    ['mysql -h db.example -P 3307 -e x', ['1 db.example:3307']],
    ['mysqldump --host=db.example x', ['1 db.example:3306']],
    ['psql -hdb.example -p 6000', ['1 db.example:6000']],
    ['redis-cli -h cache ping', ['1 cache:6379']],
    ['ping -c 1 a.example', ['1 a.example']],
    ['dig @192.0.2.53 a.example MX', ['1 192.0.2.53:53', '1 a.example']],
    ['getent ahosts a.example', ['1 a.example']],
    ['openssl s_client -connect a.example:8443', ['1 a.example:8443']],
    ['tool --broker kafka.example:9092', ['1 kafka.example:9092']],
    ['curl HTTPS://A.Example.', ['1 a.example:443']],
    ['sudo -u x env A=b timeout -k 1 5 curl a.example', ['1 a.example:80']],
    ['find . -exec curl a.example {} +', ['1 a.example:80']],
    ['PIP_INDEX_URL=https://a.example/simple pip install x', ['1 a.example:443']],
    ['export VAULT_ADDR=https://a.example:8200', ['1 a.example:8200']],
    ['declare -x A=https://a.example', ['1 a.example:443']],
    ['set -a; A=https://a.example', ['1 a.example:443']],
    ['A=https://a.example/never/used', ['1 a.example:443']],
  ])('%s', (script, expected) => {
    expect(named(script)).toEqual(expected);
  });

  test.each([
    '# curl https://a.example',
    'true # https://a.example',
    'echo "see https://a.example"',
    'echo "https://a.example" >&2',
    'printf "%s\\n" https://a.example 2>/dev/null',
    'cat <<END\nsee https://a.example\nEND',
    'cat > f <<END\n# https://a.example\nEND',
    'log() { local text="$*"; echo "$text"; }; log https://a.example',
    '[[ $X == https://a.example ]] && true',
    'case $X in https://a.example) ;; esac',
    'grep https://a.example file; sed -i s,https://a.example,, file',
    'tool file:///a.example s3://bucket.name/x',
    'sh deploy.sh:12 x.yaml:14',
    'curl https://1.2.3/ https://300.1.1.1/ https://a..example/',
    'bash -c "true # https://a.example"',
    'docker run image:8080',
  ])('not: %s', (script) => {
    expect(named(script)).toEqual([]);
  });
});

describe('a host is named where its text stands', () => {
  test.each([
    [
      'variables',
      'H=a.example\n\ncurl "https://$H/" "https://${H}:8/"',
      ['1 a.example:443', '1 a.example:8'],
    ],
    ['its last value', 'H=old.example\nH=a.example\ncurl "https://$H/"', ['2 a.example:443']],
    [
      'either value',
      'if x; then H=a.example; else H=b.example; fi\ncurl https://$H/',
      ['1 a.example:443', '1 b.example:443'],
    ],
    [
      'a value it may have',
      'H=a.example\nx && H=b.example\ncurl https://$H/',
      ['1 a.example:443', '2 b.example:443'],
    ],
    ['parts', 'D=example\nS=a\ncurl https://$S.$D/', ['2 a.example:443']],
    [
      'its known end',
      'curl https://$X.b.example/ https://x-$Y.c.example',
      ['1 *.b.example:443', '1 *.c.example:443'],
    ],
    ['appended text', 'U=https://\nU+=a.example\ncurl $U', ['2 a.example:443']],
    ['a default', 'curl ${X:-https://a.example}', ['1 a.example:443']],
    [
      'a default that is not needed',
      'X=https://b.example\ncurl ${X:-https://a.example}',
      ['1 b.example:443'],
    ],
    ['what is cut off', 'U=https://a.example/x/y\nH=${U#https://}\nping ${H%%/*}', ['1 a.example']],
    ['what is replaced', 'U=https://HOST/\ncurl ${U/HOST/a.example}', ['1 a.example:443']],
    [
      'braces',
      'ping {a,b}.example; ping n{1..2}.example',
      ['1 a.example', '1 b.example', '1 n1.example', '1 n2.example'],
    ],
    [
      'arrays',
      'A=(a.example\nb.example)\nfor h in "${A[@]}"; do ping $h; done; ping ${A[1]}',
      ['1 a.example', '2 b.example'],
    ],
    ['lists', 'L="a.example b.example"\nfor h in $L; do ping $h; done', ['1 a.example', '1 b.example']],
    ['functions', 'f() {\n  curl "https://$1/$2"\n}\nf a.example x', ['4 a.example:443']],
    ['shift and $@', 'f() { shift; g "$@"; }\ng() { ping $2; }\nf x y a.example', ['3 a.example']],
    ['output', 'H=$(echo a.example)\nping "$H"', ['1 a.example']],
    ['a function’s output', 'h() { echo a.example; }\nping $(h)', ['1 a.example']],
    ['eval', 'C="ping a.example"\neval "$C"', ['1 a.example']],
    ['traps', 'trap "curl a.example" EXIT', ['1 a.example:80']],
    ['backticks', 'X=`curl a.example \\`curl b.example\\``', ['1 b.example:80', '1 a.example:80']],
    [
      'continued lines',
      'curl -s \\\n  https://a.example \\\n  "https://b\\\n.example"',
      ['2 a.example:443', '3 b.example:443'],
    ],
    [
      'text of several lines',
      'X=\'\nhttps://a.example\n\nhttps://b.example\'\ncurl -K - <<< "$X"',
      ['2 a.example:443', '4 b.example:443'],
    ],
    [
      'heredocs',
      'cat > f <<END\nx $(curl c.example)\nhttps://a.example\n# https://b.example\nEND',
      ['2 c.example:80', '3 a.example:443'],
    ],
    ['heredocs for a shell', "bash <<'END'\ntrue # b.example\ncurl a.example\nEND", ['3 a.example:80']],
    ['pipes to a shell', 'echo "curl a.example" | sh', ['1 a.example:80']],
    ['pipes to a file', 'echo "deb http://a.example ./" | sudo tee /etc/x', ['1 a.example:80']],
    ['functions nobody calls', 'f() { curl "$1"; ping a.example; }', ['1 a.example']],
    ['escapes', "curl https://a\\.example $'https://b.example\\n'", ['1 a.example:443', '1 b.example:443']],
  ])('%s', (_, script, expected) => {
    expect(named(script)).toEqual(expected);
  });
});

describe('what a script runs is read', () => {
  test.each([
    ['. lib.sh', 'lib.sh'],
    ['source ./lib.sh', 'lib.sh'],
    ['./lib.sh', 'lib.sh'],
    ['sh -eu lib.sh x', 'lib.sh'],
    ['bash -o pipefail -- lib.sh', 'lib.sh'],
    ['exec sudo -E ./lib.sh', 'lib.sh'],
    ['(cd sub && ./lib.sh)', 'sub/lib.sh'],
    ['cd sub || exit\n./lib.sh', 'sub/lib.sh'],
    ['. "$(dirname "$0")/sub/lib.sh"', 'sub/lib.sh'],
    ['D=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)\n. "$D/sub/lib.sh"', 'sub/lib.sh'],
    ['. "${0%/*}/lib.sh"', 'lib.sh'],
    ['. $(readlink -f lib.sh)', 'lib.sh'],
    ['for f in sub/lib; do . $f.sh; done', 'sub/lib.sh'],
    ['$PWD/lib.sh', 'lib.sh'],
    ['pushd sub; ./lib.sh; popd', 'sub/lib.sh'],
  ])('%s', (script, file) => {
    const files = { 'lib.sh': '\ncurl a.example', 'sub/lib.sh': '\ncurl a.example' };
    expect(named(script, files)).toEqual([`${file}:2 a.example:80`]);
  });

  test('with what is exported, and a sourced file with everything', () => {
    const files = { 'run.sh': 'ping $A; ping $B', 'lib.sh': 'ping $B\nC=c.example' };
    expect(named('export A=a.example\nB=b.example\n./run.sh\n. ./lib.sh\nping $C', files)).toEqual([
      '2 b.example',
      'lib.sh:2 c.example',
      '1 a.example',
    ]);
  });

  test('a tool of the host is not, and is a program that is called', () => {
    const { findings } = read('bin/tool; bare; command -v other; sudo x; ./gone.sh', {
      'bin/tool': 'curl a.example',
    });
    expect(findings.mentions).toEqual([]);
    expect([...findings.programs.keys()]).toEqual(['/d/bin/tool', 'bare', 'other', 'sudo', 'x']);
  });

  test('a command in text that only a run knows is no program, and is told', () => {
    const { findings } = read('eval "$SOMETHING"; eval "run-$X now"; bash -c "$Y"', {});
    expect([...findings.programs.keys()]).toEqual(['bash']);
    expect(findings.unseen.map(({ kind, what }) => `${kind} ${what}`)).toEqual([
      'later the command `…`',
      'later the command `run-…`',
    ]);
  });

  test('scripts that run each other for ever', () => {
    const files = { 'a.sh': '. ./a.sh; ./b.sh', 'b.sh': './a.sh; ping b.example; f() { f; }; f' };
    expect(named('./a.sh', files)).toEqual(['b.sh:1 b.example']);
  });
});

describe('Python', () => {
  test.each([
    ["U = 'https://a.example'", ['x.py:1 a.example:443']],
    ['x = """\nhttps://a.example\n"""', ['x.py:2 a.example:443']],
    ["f(rb'https://a.example', '''https://b.example''')", ['x.py:1 a.example:443', 'x.py:1 b.example:443']],
    ["f(f'https://{org}.a.example/{x}')", ['x.py:1 *.a.example:443']],
    ["f(\n  'https://a.example', # 'https://b.example'\n)", ['x.py:2 a.example:443']],
    ["x = 'it\\'s https://a.example'", ['x.py:1 a.example:443']],
    ['# https://a.example', []],
    ['def f():\n    """See https://a.example."""\n    return 1', []],
    ["print('https://a.example')", []],
    ["x = 'unfinished\n# https://a.example\n", []],
    ['if x:\n  "https://a.example"\n', []],
  ])('%j', (code, expected) => {
    expect(named('python3 x.py', { 'x.py': code })).toEqual(expected);
    expect(named('./x.py', { 'x.py': `#!/usr/bin/env python3\n${code}` }).length).toBe(expected.length);
  });

  test('modules beside the script, and code on a command line', () => {
    const files = {
      'x.py': 'import os, mod\nfrom pkg.sub import y\nfrom . import z',
      'mod.py': "A = 'https://a.example'",
      'pkg/sub.py': "B = 'https://b.example'",
    };
    expect(named('python3 x.py', files)).toEqual(['mod.py:1 a.example:443', 'pkg/sub.py:1 b.example:443']);
    expect(named(`python3 -c "f('https://a.example')  # https://b.example"`)).toEqual(['1 a.example:443']);
    expect(named("python3 - <<'END'\n# https://b.example\nf('https://a.example')\nEND")).toEqual([
      '3 a.example:443',
    ]);
  });
});

describe('Node', () => {
  test.each([
    ["fetch('https://a.example')", ['x.js:1 a.example:443']],
    ['fetch(`https://${org}.a.example/${x}`)', ['x.js:1 *.a.example:443']],
    ['x = `a ${`https://a.example`} b`', ['x.js:1 a.example:443']],
    ['x = `\nhttps://a.example`', ['x.js:2 a.example:443']],
    ['// https://a.example\n/* "https://b.example" */', []],
    ['x = /"/; y = "https://a.example"; // "', ['x.js:1 a.example:443']],
    ['x = a / b; // "https://a.example" /', []],
    ['return /[/"]/.test("https://a.example")', ['x.js:1 a.example:443']],
    ['console.log("https://a.example")', []],
  ])('%j', (code, expected) => {
    expect(named('node x.js', { 'x.js': code })).toEqual(expected);
  });

  test('modules beside the script, and code on a command line', () => {
    const files = {
      'x.mjs':
        "import { a } from './a.mjs';\nconst b = require('./b');\nawait import('./c.mjs'); import 'd';",
      'a.mjs': "export const a = 'https://a.example'",
      'b.js': "module.exports = 'https://b.example'",
      'c.mjs': "x('https://c.example')",
    };
    expect(named('node x.mjs', files)).toEqual([
      'a.mjs:1 a.example:443',
      'b.js:1 b.example:443',
      'c.mjs:1 c.example:443',
    ]);
    expect(named(`node -e 'f("https://a.example") // "https://b.example"'`)).toEqual(['1 a.example:443']);
  });
});

describe('files that tell tools what to do', () => {
  test('Makefile, package.json, .npmrc, requirements', () => {
    const files = {
      Makefile:
        'U = https://a.example # https://x.example\n# https://x.example\nall: b\n\t@curl $(U) https://b.example \\\n\t  https://c.example # https://x.example\n\t./run.sh $$X\n',
      'run.sh': 'ping d.example',
      'package.json':
        '{\n "homepage": "https://x.example",\n "scripts": {\n  "build": "curl e.example"\n },\n "dependencies": {\n  "f": "git+https://f.example/x"\n }\n}',
      '.npmrc': '; https://x.example\nregistry=https://g.example/\n',
      'req.txt': '# https://x.example\n-i https://h.example/simple\n',
    };
    expect(named('make all; npm ci; pip3 install -r req.txt', files).sort()).toEqual([
      '.npmrc:2 g.example:443',
      'Makefile:1 a.example:443',
      'Makefile:4 b.example:443',
      'Makefile:5 c.example:443',
      'package.json:4 e.example:80',
      'package.json:7 f.example:443',
      'req.txt:2 h.example:443',
      'run.sh:1 d.example',
    ]);
  });
});

describe('what reading cannot tell is said', () => {
  test.each([
    ['curl https://$HOST/x', ['1 outside the host of `https://…`']],
    ['ping "$1"', ['1 outside the host that `ping "$1"` calls']],
    ['exec 3<>/dev/tcp/$H/1', ['1 outside the host of `/dev/tcp/…/1`']],
    ['"$TOOL" x', ['1 later the command `"$TOOL"`']],
    ['eval "$CMD"', ['1 later the command `…`']],
    ['sh -c "$CMD x"', ['1 later the command `…`']],
    ['. "$LIB/x.sh"', ['1 later the sourced file `"$LIB/x.sh"`']],
    ['\nsh "$(mktemp)"', ['2 later the file `"$(mktemp)"`']],
    ['bash lib/*.sh', ['1 later the file `lib/*.sh`']],
    ['curl https://a.example | bash -s -- x', ['1 downloaded what `bash` is given to run']],
    ['./gone.sh', ['1 unread `gone.sh`: there is no such file now']],
    ['./x.rb', ['1 unread `x.rb`: a script for `/usr/bin/env ruby`']],
    ['if true; then', [expect.stringMatching(/^1 unread not all of the script: /)]],
  ])('%s', (script, expected) => {
    expect(unseen(script, { 'x.rb': '#!/usr/bin/env ruby\n' })).toEqual(expected);
  });
});

describe('find', () => {
  const { findings } = read(
    'curl https://a.example\nX=word.example; grep other.example f\ncurl https://$Y.b.example 192.0.2.7 http://[2001:DB8::1]/',
  );

  test.each([
    [['a.example'], null, 1],
    [['word.example'], null, 2],
    [['other.example'], null, 2],
    [['x.y.b.example'], null, 3],
    [['b.example'], null, undefined],
    [['xa.example'], null, undefined],
    [['z.example', 'a.example'], null, 1],
    [[], '192.0.2.7', 3],
    [['z.example'], '2001:db8::1', 3],
    [[], '192.0.2.70', undefined],
  ])('%j %s', (names, address, line) => {
    expect(findings.find(names, address)?.line).toBe(line);
  });
});
