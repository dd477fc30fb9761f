import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseMaskPattern } from '../model/mask-pattern.ts';
import { createMask } from './mask.ts';
import { SECRETS, SECRETS_IN_NAMES } from './mask-patterns.ts';

const { argv, name } = createMask();

/** Never the secret of anything. Put together here, so that no scanner of this repository takes it for one. */
const made = (prefix: string, length: number) => prefix + 'Zk3bN8q'.repeat(20).slice(0, length);
const PAIR = `${'AKIA'}IOSFODNN7EXAMPLE`;
const HALF = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const JWT = `${made('eyJ', 20)}.${made('eyJ', 30)}.${made('', 40)}`;
const BLOCK = ['-----BEGIN RSA PRIVATE', ' KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----'].join('');

/** By the pattern's name: a text with the secret, and what is left of it. */
const BY_PATTERN: Record<string, [text: string, masked: string][]> = {
  'private key block': [
    [BLOCK, '***'],
    [`key=${BLOCK} next`, 'key=*** next'],
    [BLOCK.slice(0, 40), '***'],
  ],
  'AWS secret key beside its id': [[`${PAIR}:${HALF}`, '***:***']],
  'AWS key id': [
    [PAIR, '***'],
    [`aws_access_key_id=${'ASIA'}Y34FZKBOKMUTVV7A`, 'aws_access_key_id=***'],
  ],
  'GitHub token': [
    [made('ghp_', 36), '***'],
    [made('gho_', 36), '***'],
    [made('ghs_', 36), '***'],
    [`${made('ghp_', 12)}…`, '***…'],
  ],
  'GitHub fine-grained token': [[made('github_pat_', 82), '***']],
  'GitLab token': [[made('glpat-', 20), '***']],
  'Slack token': [[made('xoxb-', 40), '***']],
  'Slack app token': [[made('xapp-1-', 40), '***']],
  'Slack webhook': [
    [`https://hooks.slack.com/services/T00/B00/${made('', 24)}`, 'https://hooks.slack.com/services/***'],
  ],
  'Google API key': [[made('AIza', 35), '***']],
  'Google access token': [[made('ya29.', 60), '***']],
  'Google client secret': [[made('GOCSPX-', 28), '***']],
  'npm token': [
    [`//registry.internal/:_authToken=${made('npm_', 36)}`, '//registry.internal/:_authToken=***'],
  ],
  'PyPI token': [[made('pypi-AgE', 60), '***']],
  'Docker token': [[made('dckr_pat_', 27), '***']],
  'Vault token': [[made('hvs.', 90), '***']],
  'Stripe key': [[made('sk_live_', 24), '***']],
  'JSON web token': [
    [JWT, '***'],
    [JWT.slice(0, 30), '***'],
  ],
  'userinfo of a URL of the web': [
    ['https://alice:s3cret@github.com/a.git', 'https://***@github.com/a.git'],
    ['https://t0k3n@github.com/a.git', 'https://***@github.com/a.git'],
    ['https://alice:p@ss@github.com/', 'https://***@github.com/'],
    ['-xhttp://u:p@proxy.internal:3128', '-xhttp://***@proxy.internal:3128'],
  ],
  'userinfo with a password': [
    ['postgres://app:s3cret@db.internal/app', 'postgres://***@db.internal/app'],
    ['git+ssh://git:s3cret@git.internal/a', 'git+ssh://***@git.internal/a'],
    ['redis://:s3cret@cache.internal', 'redis://***@cache.internal'],
  ],
  'header of authorization': [
    ['Authorization: Bearer s3cret', 'Authorization: Bearer ***'],
    ['authorization:Basic czNjcmV0', 'authorization:Basic ***'],
    ['Proxy-Authorization: s3cret', 'Proxy-Authorization: ***'],
  ],
  'header of a token, a key or cookies': [
    ['X-Auth-Token: s3cret', 'X-Auth-Token: ***'],
    ['X-Vault-Token: s3cret', 'X-Vault-Token: ***'],
    ['PRIVATE-TOKEN: s3cret', 'PRIVATE-TOKEN: ***'],
    ['x-api-key:s3cret', 'x-api-key:***'],
    ['-HX-Vault-Token: s3cret', '-HX-Vault-Token: ***'],
    ['Cookie: sid=s3cret; a=b', 'Cookie: ***'],
  ],
  'member of a JSON object': [
    ['{"user":"joe","password":"s3cret","port":1}', '{"user":"joe","password":"***","port":1}'],
    ['{"client_secret" : "s3cret"}', '{"client_secret" : "***"}'],
  ],
  'parameter of a query': [
    ['https://h.internal/a?key=s3cret&b=c', 'https://h.internal/a?key=***&b=c'],
    ['https://b.s3.internal/a?X-Amz-Signature=abc', 'https://b.s3.internal/a?X-Amz-Signature=***'],
  ],
  'password in SQL': [
    ["ALTER USER app IDENTIFIED BY 's3cret'", "ALTER USER app IDENTIFIED BY '***'"],
    ["CREATE ROLE app PASSWORD 's3cret' LOGIN", "CREATE ROLE app PASSWORD '***' LOGIN"],
  ],
};

describe('every pattern masks what it is for', () => {
  test('none is without an example', () =>
    expect(SECRETS.map((pattern) => pattern.name)).toEqual(Object.keys(BY_PATTERN)));

  test.each(SECRETS.map((pattern) => pattern.name))('%s', (pattern) => {
    const examples = BY_PATTERN[pattern] ?? [];
    expect(examples.length).toBeGreaterThan(0);
    for (const [text, masked] of examples) expect(argv(['tool', text])).toEqual(['tool', masked]);
  });
});

describe('what an option or a variable says is secret is masked', () => {
  test.each([
    ['curl -u alice:s3cret https://h.internal/', 'curl -u alice:*** https://h.internal/'],
    ['curl -ualice:s3cret https://h.internal/', 'curl -ualice:*** https://h.internal/'],
    ['curl --user alice:s3cret h.internal', 'curl --user alice:*** h.internal'],
    ['curl --proxy-user=alice:s3cret h.internal', 'curl --proxy-user=alice:*** h.internal'],
    ['deploy --password s3cret --host db', 'deploy --password *** --host db'],
    ['deploy --password=s3cret --host db', 'deploy --password=*** --host db'],
    ['deploy --db-password=a&b;c', 'deploy --db-password=***'],
    ['deploy --registry-token s3cret', 'deploy --registry-token ***'],
    ['deploy --api-key=s3cret', 'deploy --api-key=***'],
    ['wget --http-password=s3cret http://h.internal/', 'wget --http-password=*** http://h.internal/'],
    ['keytool -storepass s3cret -list', 'keytool -storepass *** -list'],
    ['mysql -h db -u root -ps3cret app', 'mysql -h db -u root -p*** app'],
    ['/usr/bin/mysqldump -ps3cret app', '/usr/bin/mysqldump -p*** app'],
    ['mariadb-dump --password=s3cret app', 'mariadb-dump --password=*** app'],
    ['sudo -u app mysql -ps3cret', 'sudo -u app mysql -p***'],
    ['docker exec -it db mysql -ps3cret', 'docker exec -it db mysql -p***'],
    ['kubectl exec db-0 -- mysql -ps3cret', 'kubectl exec db-0 -- mysql -p***'],
    ['sshpass -p s3cret ssh -p 22 db', 'sshpass -p *** ssh -p 22 db'],
    ['redis-cli -h cache -a s3cret ping', 'redis-cli -h cache -a *** ping'],
    ['ldapsearch -D cn=admin -w s3cret', 'ldapsearch -D cn=admin -w ***'],
    ['docker login -u ci -p s3cret hub.internal', 'docker login -u ci -p *** hub.internal'],
    ['unzip -P s3cret a.zip', 'unzip -P *** a.zip'],
    ['env PGPASSWORD=s3cret psql -h db', 'env PGPASSWORD=*** psql -h db'],
    ['MYSQL_PWD=s3cret', 'MYSQL_PWD=***'],
    ['docker run -e DB_PASS=s3cret app', 'docker run -e DB_PASS=*** app'],
    ['env AWS_SECRET_ACCESS_KEY=s3cret/x+y aws s3 ls', 'env AWS_SECRET_ACCESS_KEY=*** aws s3 ls'],
    ['aws configure set aws_secret_access_key s3cret', 'aws configure set aws_secret_access_key ***'],
    ['curl -d token=s3cret&user=joe h.internal', 'curl -d token=***&user=joe h.internal'],
    ['curl h.internal/?access_token=s3cret&a=b', 'curl h.internal/?access_token=***&a=b'],
    ['curl h.internal/?a=b&api_key=s3cret#top', 'curl h.internal/?a=b&api_key=***#top'],
    ['kubectl create --from-literal=password=s3cret', 'kubectl create --from-literal=password=***'],
    ['openssl req -passin -passwd s3cret', 'openssl req -passin -passwd ***'],
  ])('%s', (given, masked) => expect(argv(given.split(' ')).join(' ')).toBe(masked));

  test('and so is a value with blanks', () => {
    expect(argv(['deploy', '--password', 'two words'])).toEqual(['deploy', '--password', '***']);
    expect(argv(['deploy', '--password=two words'])).toEqual(['deploy', '--password=***']);
    expect(argv(['env', 'DB_PASSWORD=two words', 'x'])).toEqual(['env', 'DB_PASSWORD=***', 'x']);
    expect(argv(['curl', '-u', 'alice:two words'])).toEqual(['curl', '-u', 'alice:***']);
  });
});

describe('a script in an argument is read as a shell would', () => {
  test.each([
    ['mysql -h db -ps3cret -e "select 1"', 'mysql -h db -p*** -e "select 1"'],
    ['set -e; curl -u alice:s3cret h.internal | tar x', 'set -e; curl -u alice:*** h.internal | tar x'],
    ['PGPASSWORD=s3cret psql -h db', 'PGPASSWORD=*** psql -h db'],
    ["export DB_PASSWORD='two words' && run", 'export DB_PASSWORD=*** && run'],
    ['deploy --password "two words" --now', 'deploy --password "***" --now'],
    ['curl -H "Authorization: Bearer s3cret" h.internal', 'curl -H "Authorization: Bearer ***" h.internal'],
    [`ssh db 'mysql -ps3cret -e "select 1"'`, `ssh db 'mysql -p*** -e "select 1"'`],
    ['a=1\nmysql -ps3cret\nb=2', 'a=1\nmysql -p***\nb=2'],
    ['login --password "$PASS" --token $(cat token)', 'login --password "$PASS" --token $(cat token)'],
  ])('%s', (script, masked) => expect(argv(['bash', '-c', script])).toEqual(['bash', '-c', masked]));
});

test.each([
  ['curl', '-fsSL', 'https://github.com/acme/tools/releases/download/v1.2.3/tools.tar.gz'],
  ['git', 'clone', 'ssh://git@git.internal/db/deploy.git'],
  ['git', 'clone', 'git@github.com:acme/deploy.git'],
  ['git', 'push', '-u', 'origin', 'main:main'],
  ['docker', 'run', '-u', '1000:1000', '-p', '3306:3306', '--name', 'mysql', 'mysql:8.4'],
  ['docker', 'run', '--user', 'www-data:www-data', 'nginx:1.25@sha256:0a1b2c3d4e5f60718293a4b5c6d7e8f9'],
  ['docker', 'build', '--secret', 'id=npm,src=.npmrc', '.'],
  ['mysql', '-h', 'db-1.mysql.internal', '-P', '3306', '-u', 'root', '--protocol=tcp', 'app'],
  ['mysql', '--password', 'app'],
  ['psql', '--no-password', '-p', '5432', 'app'],
  ['psql', '--password', 'app'],
  ['ssh', '-p', '2222', 'mysql', 'uptime'],
  ['rsync', '-a', '--password-file=/etc/rsync.pass', 'host::data', '/srv'],
  ['ffmpeg', '-pass', '1', '-i', 'in.mkv', '-x264-params', 'pass=1:bitrate=500'],
  ['gh', 'auth', 'login', '--with-token'],
  ['docker', 'login', '--password-stdin', 'hub.internal'],
  ['helm', 'upgrade', 'db', '--set', 'auth.existingSecret=db-auth'],
  ['kubectl', 'get', 'secret', 'db', '-o', 'jsonpath={.data.password}'],
  ['sha1sum', '--check', '-', 'da39a3ee5e6b4b0d3255bfef95601890afd80709'],
  ['tar', '-xzf', '/opt/SomePath/With/MixedCase0123/and/digits.tar.gz'],
  ['env', 'PWD=/srv/app', 'OLDPWD=/root', 'PATH=/usr/bin:/bin', 'make', 'deploy'],
  ['systemctl', 'restart', 'mysql@3306.service'],
  ['journalctl', '-u', 'mysql', '--since', '2026-11-23 03:20:33'],
  ['python3', '-c', 'import socket; socket.create_connection(("github.com", 443))'],
  ['bash', '-c', 'for i in {1..50}; do (exec 3<>/dev/tcp/192.0.2.7/443); done 2>/dev/null'],
  ['bash', '-c', `[ "$(id -u)" = 0 ] || exit 1; awk '{print $1}' < a | sort -u > "b c"`],
  ['dig', '@10.0.0.2', 'github.com', 'AAAA', '+short'],
  ['wget', '-qO-', 'http://[2001:db8::1]:8080/a?b=c&page=2&sort=key'],
  ['curl', '-H', 'Content-Type: application/json', '-H', 'Accept: */*', '-d', '{"keys":["a"],"n":1}'],
  ['llm', '--max-tokens=100', '--tokenizer=bpe', '--key-file=/etc/key'],
  ['find', '.', '-name', '*.key', '-exec', 'chmod', '600', '{}', ';'],
  ['apt-get', 'install', '-y', 'passwd', 'libsecret-1-0', 'token=ring'.slice(0, 5)],
])('an ordinary command line stays as it is: %s %s %s', (...line) => expect(argv(line)).toEqual(line));

describe('names', () => {
  const token = made('', 40).toLowerCase();
  test.each([
    [`ghp_${token}.exfil.example`, '***.exfil.example'],
    [`${PAIR.toLowerCase()}.exfil.example`, '***.exfil.example'],
    [`a.npm_${token}.example`, 'a.***.example'],
    [`eyj${token}.eyj${token}.${token}.exfil.example`, '***.exfil.example'],
  ])('%s carries a token', (given, masked) => expect(name(given)).toBe(masked));

  test.each([
    'github.com',
    'asia-northeast1-docker.pkg.dev',
    'asiapacificnortheast.example',
    'eyjafjallajokull.is',
    'hvs.example-corporation.com',
    'xn--bcher-kva.example',
    'registry.npmjs.example',
  ])('%s carries none', (given) => expect(name(given)).toBe(given));

  test('every pattern for names finds the lower case of what it is for', () => {
    expect(SECRETS_IN_NAMES.map(({ name: pattern }) => pattern).every((one) => one in BY_PATTERN)).toBe(true);
  });
});

describe('additions', () => {
  const own = createMask(['--db-secret *', 'vault:v1:*', '/k/*/end', 'nothing to see']);
  test.each([
    [
      ['x', '--db-secret', 'a b'],
      ['x', '--db-secret', '***'],
    ],
    [
      ['bash', '-c', 'x --db-secret abc --now'],
      ['bash', '-c', 'x --db-secret *** --now'],
    ],
    [
      ['x', 'vault:v1:abc,vault:v1:def'],
      ['x', 'vault:v1:***,vault:v1:***'],
    ],
    [
      ['x', 'http://h.internal/k/abc/end?b'],
      ['x', 'http://h.internal/k/***/end?b'],
    ],
    [
      ['x', '/k/abc'],
      ['x', '/k/abc'],
    ],
  ])('%j', (given, masked) => expect(own.argv(given)).toEqual(masked));

  test.each(['*', 'ab*', 'abc', 'a*b*c', `${'a'.repeat(200)}*`])('%s is refused with a reason', (text) =>
    expect(parseMaskPattern(text)).toEqual(expect.any(String)),
  );
});

describe('any command line', () => {
  const secret = 's3cretValue';
  const ways = fc.constantFrom<string[]>(
    ['--password', secret],
    [`--api-token=${secret}`],
    [`DB_PASSWORD=${secret}`],
    ['-H', `Authorization: Bearer ${secret}`],
    [`https://joe:${secret}@h.internal/`],
    [`https://h.internal/?a=b&token=${secret}`],
    ['-u', `joe:${secret}`],
  );
  const words = fc.oneof(
    fc.string({ maxLength: 20 }).filter((word) => !/["'\\$]/.test(word)),
    fc.constantFrom('curl', 'bash', '-x', '--now', 'a=b', 'h.internal', '|', ';', '&&', '2>/dev/null'),
  );
  // What stands alone before a secret must not be an option that takes the next word.
  const before = fc.array(
    words.filter((word) => !word.startsWith('-') && word !== ''),
    { maxLength: 6 },
  );
  const quoted = (word: string) => (/[\s'&|;()<>]/.test(word) ? `"${word}"` : word);

  test('does not show the secret it was given, as arguments or within a script', () => {
    fc.assert(
      fc.property(before, ways, fc.array(words, { maxLength: 6 }), (front, way, end) => {
        const line = ['deploy', ...front, ...way, ...end];
        expect(argv(line).join('\n')).not.toContain(secret);
        expect(argv(line)).toHaveLength(line.length);
        const script = ['deploy', ...way, ...end].map(quoted).join(' ');
        expect(argv(['bash', '-c', script]).join('\n')).not.toContain(secret);
      }),
      { numRuns: 2000 },
    );
  });

  test('is at most 4 KiB long, and says where it was cut off', () => {
    const masked = argv(['x', 'y'.repeat(5000), 'z']);
    expect(masked).toHaveLength(2);
    expect(masked[1]?.length).toBeLessThan(4100);
    expect(masked[1]?.endsWith('…')).toBe(true);
  });

  test.each([
    ['letters', 'a'],
    ['quotes', '"\\'],
    ['schemes', 'a://'],
    ['headers', 'authorization: '],
    ['names', 'password'],
    ['key blocks', '-----BEGIN PRIVATE KEY-----'],
    ['web tokens', 'eyJaaaaaaaaaaaaaaaaa.'],
    ['JSON', '"password'],
    ['commands', 'mysql -p '],
    ['users', 'a:b@'],
  ])('takes no time over four thousand characters of %s', (_, piece) => {
    const line = ['bash', '-c', piece.repeat(4096 / piece.length)];
    const start = performance.now();
    for (let i = 0; i < 5; i++) argv(line);
    expect((performance.now() - start) / 5).toBeLessThan(50);
  });
});
