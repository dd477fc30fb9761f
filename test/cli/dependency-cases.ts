/** One way a deploy comes to call github.com, and what a person would say of it. */
export interface DependencyCase {
  readonly what: string;
  /** What is called; default: `cN.github.com`, which the texts below write as `HOST`. */
  readonly host?: string;
  /** Lines of deploy.sh. */
  readonly script: string;
  /** Other files, by name; executable. `~` is the home of whoever runs it. */
  readonly files?: Readonly<Record<string, string>>;
  readonly kind: 'direct' | 'hidden' | 'transient';
  /** `FILE`: the line of that file that has HOST in it, first where it is no comment; `argv of X`; or in full. */
  readonly evidence: string;
}

const FETCH = 'curl -sS -m 5';

/** The script itself, or a file it runs, names what is called. */
const NAMED: DependencyCase[] = [
  { what: 'a URL', script: `${FETCH} https://HOST/tools`, kind: 'direct', evidence: 'deploy.sh' },
  { what: 'a host without a scheme', script: `${FETCH} HOST/tools`, kind: 'direct', evidence: 'deploy.sh' },
  {
    what: 'a URL in a variable',
    script: `url=https://HOST/x\n${FETCH} "$url"`,
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: 'a URL built from a variable',
    script: `name=HOST\n${FETCH} "https://$\{name}/x"`,
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: 'a URL of which only the end is in the script',
    host: 'part-1.c5parts.github.com',
    script: `sub=$(cat sub.txt)\n${FETCH} "https://$sub.c5parts.github.com/x"`,
    files: { 'sub.txt': 'part-1\n' },
    kind: 'direct',
    evidence: 'deploy.sh:.c5parts.github.com',
  },
  {
    what: 'a URL in a heredoc',
    script: `curl -sS -K - <<END\n# none\nurl = "https://HOST/"\nEND`,
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: 'a heredoc that a shell runs',
    script: `bash <<'END'\n# https://HOST/ is far\n${FETCH} https://HOST/\nEND`,
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: 'a sourced file',
    script: '. lib/sourced.sh',
    files: { 'lib/sourced.sh': `# sourced\n${FETCH} https://HOST/\n` },
    kind: 'direct',
    evidence: 'lib/sourced.sh',
  },
  {
    what: 'a file sourced from beside the script',
    script: 'here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)\nsource "$here/lib/beside.sh"',
    files: { 'lib/beside.sh': `fetch_beside() {\n  ${FETCH} "$1"\n}\nfetch_beside https://HOST/\n` },
    kind: 'direct',
    evidence: 'lib/beside.sh',
  },
  {
    what: 'a script it calls',
    script: './lib/called.sh',
    files: { 'lib/called.sh': `#!/bin/sh\n${FETCH} https://HOST/\n` },
    kind: 'direct',
    evidence: 'lib/called.sh',
  },
  {
    what: 'a script that is known only when it runs',
    script: 'for one in later/*.sh; do "./$one"; done',
    files: { 'later/a.sh': `#!/bin/bash\n\n${FETCH} https://HOST/\n` },
    kind: 'direct',
    evidence: 'later/a.sh',
  },
  {
    what: 'a Python script it calls',
    script: 'python3 lib/fetch.py || true',
    files: {
      'lib/fetch.py': `"""Fetches https://HOST/ (not here)."""\nimport socket\n# https://HOST/ nor here\nprint(socket.getaddrinfo('HOST', 443))\n`,
    },
    kind: 'direct',
    evidence: 'lib/fetch.py:getaddrinfo',
  },
  {
    what: 'a module of a Python script',
    script: 'python3 lib/modular.py || true',
    files: {
      'lib/modular.py': 'import socket, places\nsocket.getaddrinfo(places.TOOLS, 443)\n',
      'lib/places.py': `# places\nTOOLS = 'HOST'\n`,
    },
    kind: 'direct',
    evidence: 'lib/places.py',
  },
  {
    what: 'a Node script it calls',
    script: 'node lib/fetch.mjs',
    files: {
      'lib/fetch.mjs': `// https://HOST/ is not called here\nimport { lookup } from 'node:dns';\nlookup('HOST', () => {});\n`,
    },
    kind: 'direct',
    evidence: 'lib/fetch.mjs:lookup(',
  },
  {
    what: 'a module of a Node script',
    script: 'node lib/modular.cjs',
    files: {
      'lib/modular.cjs': `require('node:dns').lookup(require('./places.cjs'), () => {});\n`,
      'lib/places.cjs': `/* HOST */\nmodule.exports = 'HOST';\n`,
    },
    kind: 'direct',
    evidence: 'lib/places.cjs:module.exports',
  },
  {
    what: 'a git remote over https',
    script: 'git ls-remote -q https://HOST/mysql/tools.git',
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: 'a git remote over ssh',
    script: 'git ls-remote -q git@HOST:mysql/tools.git',
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: 'a remote that the script adds',
    script: 'git init -q work\ngit -C work remote add up https://HOST/x.git\ngit -C work fetch -q up',
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: 'a pip index in the environment',
    script: 'PIP_INDEX_URL=https://HOST/simple /usr/bin/pip3 --retries 0 download -q lab-hello',
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: 'a list of requirements',
    script: '/usr/bin/pip3 --retries 0 download -q -r requirements.txt',
    files: { 'requirements.txt': '# what it needs\n--index-url https://HOST/simple\nlab-hello\n' },
    kind: 'direct',
    evidence: 'requirements.txt',
  },
  {
    what: 'an npm registry on the command line',
    script: 'npm view lab-hello --registry https://HOST/ --fetch-retries 0',
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: 'a script of a package',
    script: 'npm run -s --prefix app fetch',
    files: {
      'app/package.json': `{\n  "name": "app",\n  "homepage": "https://HOST/app",\n  "scripts": {\n    "fetch": "${FETCH} https://HOST/release"\n  }\n}\n`,
    },
    kind: 'direct',
    evidence: 'app/package.json:"fetch"',
  },
  {
    what: 'a recipe of a Makefile',
    script: 'make -s -C app release',
    files: { 'app/Makefile': `HOSTS = none\nrelease: # HOST\n\t@${FETCH} https://HOST/\n` },
    kind: 'direct',
    evidence: 'app/Makefile:@curl',
  },
  {
    what: 'an apt source that the script writes',
    script:
      'echo "deb [trusted=yes] http://HOST/debian ./" > apt-own.list\napt-get -o Dir::Etc::SourceList="$PWD/apt-own.list" -o Acquire::Retries=0 -qq update',
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: 'a proxy that the script sets',
    script: `http_proxy=http://HOST:3128/ ${FETCH} http://tools.mirror.internal/`,
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: 'an IP literal',
    host: '192.0.2.101',
    script: `${FETCH} http://192.0.2.101/`,
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: 'an IPv6 literal in a variable',
    host: '2001:db8:9::101',
    script: `address=2001:db8:9::101\n${FETCH} "http://[$address]:8080/"`,
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: '/dev/tcp',
    host: '192.0.2.102',
    script: '(exec 3<>/dev/tcp/192.0.2.102/443)',
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: 'a CNAME to github',
    host: 'cdn.example',
    script: `${FETCH} https://cdn.example/tools`,
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: 'a name in capitals, with a dot',
    script: `${FETCH} https://UPPER./`,
    kind: 'direct',
    evidence: 'deploy.sh:https://C',
  },
  {
    what: 'the code of bash -c',
    script: `bash -c '${FETCH} https://HOST/'`,
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: 'code that is eval’d',
    script: `command="${FETCH} https://HOST/"\neval "$command"`,
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: 'what a function is given',
    script: `fetch() { ${FETCH} "https://$1/"; }\nfetch HOST`,
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: 'one of an array',
    script: `hosts=(tools.mirror.internal\n  HOST)\nfor one in "$\{hosts[@]}"; do ${FETCH} -o /dev/null "http://$one/"; done`,
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: 'a default',
    script: `${FETCH} "$\{NO_SUCH:-https://HOST/}"`,
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: 'one of two ways',
    script: `if [ -e /no/such ]; then tools=mirror; else tools=HOST; fi\n${FETCH} "https://$tools/"`,
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: 'a command substitution',
    script: `version=$(${FETCH} https://HOST/version)`,
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  {
    what: 'a job in the background',
    script: `${FETCH} https://HOST/ &\nwait`,
    kind: 'direct',
    evidence: 'deploy.sh',
  },
  { what: 'a trap', script: `(trap '${FETCH} https://HOST/' EXIT)`, kind: 'direct', evidence: 'deploy.sh' },
  { what: 'a lookup', script: 'getent hosts HOST', kind: 'direct', evidence: 'deploy.sh' },
];

/** Only the command line of a process that the script started names it. */
const ON_ARGV: DependencyCase[] = [
  {
    what: 'an argument of the script',
    host: 'c-argument.github.com',
    script: `${FETCH} "https://$1/"`,
    kind: 'direct',
    evidence: 'argv of curl',
  },
  {
    what: 'a variable from outside',
    host: 'c-outside.github.com',
    script: `${FETCH} "https://$FROM_OUTSIDE/"`,
    kind: 'direct',
    evidence: 'argv of curl',
  },
  {
    what: 'a file it reads',
    script: `${FETCH} "https://$(cat data/host.txt)/"`,
    files: { 'data/host.txt': 'HOST\n' },
    kind: 'direct',
    evidence: 'argv of curl',
  },
  {
    what: 'a wrapper',
    script: `timeout 9 env A=b ${FETCH} "https://$(cat data/wrapped.txt)/"`,
    files: { 'data/wrapped.txt': 'HOST\n' },
    kind: 'direct',
    evidence: 'argv of curl',
  },
  {
    what: 'xargs',
    script: `xargs -n1 ${FETCH} < data/xargs.txt`,
    files: { 'data/xargs.txt': 'https://HOST/\n' },
    kind: 'direct',
    evidence: 'argv of curl',
  },
  {
    what: 'a comment in the script, and a file',
    script: `# the tools are at https://HOST/\n${FETCH} "https://$(cat data/comment.txt)/"`,
    files: { 'data/comment.txt': 'HOST\n' },
    kind: 'direct',
    evidence: 'argv of curl',
  },
];

/** Nothing of the deployment names it. */
const HIDDEN: DependencyCase[] = [
  {
    what: 'an update check of a tool',
    script: 'mysqlctl restart',
    files: { 'bin/mysqlctl': `#!/bin/bash\n${FETCH} https://HOST/latest\n` },
    kind: 'hidden',
    evidence: 'mysqlctl (in no package): deploy.sh → mysqlctl → curl',
  },
  {
    what: 'telemetry of a tool that becomes another program',
    script: 'deployctl start',
    files: { 'bin/deployctl': `#!/bin/sh\nexec ${FETCH} -X POST https://HOST/telemetry\n` },
    kind: 'hidden',
    evidence: 'deployctl (in no package): deploy.sh → deployctl → curl',
  },
  {
    what: 'a tool whose address the script only prints',
    script: `echo "see https://HOST/docs"\nprinter`,
    files: { 'bin/printer': `#!/bin/sh\n${FETCH} https://HOST/docs\n` },
    kind: 'hidden',
    evidence: 'printer (in no package): deploy.sh → printer → curl',
  },
  {
    what: 'a tool called by an alias of github',
    host: 'alias.example',
    script: 'aliased',
    files: { 'bin/aliased': `#!/bin/sh\n${FETCH} https://alias.example/\n` },
    kind: 'hidden',
    evidence: 'aliased (in no package): deploy.sh → aliased → curl',
  },
  {
    what: 'the apt source of the host',
    script: 'APT_CONFIG=$PWD/host/apt.conf apt-get -qq update',
    files: { 'host/sources.list': 'deb [trusted=yes] http://HOST/debian ./\n' },
    kind: 'hidden',
    evidence: 'apt-get (package apt): deploy.sh → apt-get → http',
  },
  {
    what: 'the pip index of the host',
    script: 'PIP_CONFIG_FILE=host/pip.conf /usr/bin/pip3 --retries 0 download -q lab-hello',
    files: { 'host/pip.conf': '[global]\nindex-url = https://HOST/simple\n' },
    kind: 'hidden',
    evidence: 'pip3 (package python3-pip): deploy.sh → pip3',
  },
  {
    what: 'npm’s own update check',
    script: 'export NPM_CONFIG_CACHE=$PWD/npm-cache\nNPM_CONFIG_USERCONFIG=host/npmrc npm view @lab/hello',
    files: {
      'host/npmrc': 'registry=https://HOST/\n@lab:registry=https://npm.mirror.internal/\nfetch-retries=0\n',
    },
    kind: 'hidden',
    evidence: 'npm*: deploy.sh → npm',
  },
  {
    what: 'a remote in the configuration of a repository',
    script: 'git init -q cloned\ncp host/git-config cloned/.git/config\ngit -C cloned fetch -q',
    files: {
      'host/git-config':
        '[remote "origin"]\n\turl = https://HOST/x.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n',
    },
    kind: 'hidden',
    evidence: 'git (package git): deploy.sh → git → git-remote-https',
  },
  {
    what: 'insteadOf in the configuration of git',
    script: 'GIT_CONFIG_GLOBAL=host/gitconfig git ls-remote -q https://git.mirror.internal/tools.git',
    files: { 'host/gitconfig': '[url "https://HOST/"]\n\tinsteadOf = https://git.mirror.internal/\n' },
    kind: 'hidden',
    evidence: 'git (package git): deploy.sh → git → git-remote-https',
  },
  {
    what: 'the proxy of the host',
    script: `CURL_HOME=$PWD/host ${FETCH} http://tools.mirror.internal/`,
    files: { 'host/.curlrc': 'proxy = http://HOST:3128\n' },
    kind: 'hidden',
    evidence: 'curl (package curl): deploy.sh → curl',
  },
  {
    what: 'the settings of a program',
    script: 'wget -q --tries=1 -T 3 -O /dev/null http://tools.mirror.internal/',
    files: { '~/.wgetrc': '# proxies\nhttp_proxy = http://HOST:3128\n' },
    kind: 'hidden',
    evidence: 'wget (package wget), told by ~/.wgetrc:2: deploy.sh → wget',
  },
  {
    what: 'a script of the deployment that puts the name together',
    script: 'python3 lib/joined.py || true',
    files: {
      'lib/joined.py': `import socket\nsocket.getaddrinfo('.'.join(['NAME', 'git' + 'hub', 'com']), 443)\n`,
    },
    kind: 'hidden',
    evidence: '*joined.py*',
  },
];

/** Through another service: the path says it all. */
const TRANSIENT: DependencyCase[] = [
  {
    what: 'a service that needs github',
    host: 'migrations.internal',
    script: `${FETCH} http://migrations.internal:8080/apply`,
    kind: 'transient',
    evidence: 'migrations → github → mysql',
  },
  {
    what: 'such a service called by a tool',
    host: 'hidden-migrations.internal',
    script: 'migrator',
    files: { 'bin/migrator': `#!/bin/sh\n${FETCH} http://hidden-migrations.internal:8080/apply\n` },
    kind: 'transient',
    evidence: 'migrations → github → mysql',
  },
];

/** Every case with a host of its own; deploy.sh is their scripts one after the other. */
export const CASES: readonly DependencyCase[] = [...NAMED, ...ON_ARGV, ...HIDDEN, ...TRANSIENT].map(
  (one, i) => {
    const host = one.host ?? `c${i + 1}.github.com`;
    const fill = (text: string) =>
      text
        .replaceAll('HOST', host)
        .replaceAll('UPPER', host.toUpperCase())
        .replaceAll('NAME', `c${i + 1}`);
    const files = Object.entries(one.files ?? {}).map(([name, text]) => [name, fill(text)]);
    return {
      ...one,
      host,
      script: fill(one.script),
      files: Object.fromEntries(files),
      evidence: fill(one.evidence),
    };
  },
);
