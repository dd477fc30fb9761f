/** What is put where a secret was. */
export const MASK = '***';

/** A secret that is found in any text. The name says what it is, and names its test. */
export interface SecretPattern {
  readonly name: string;
  /** Global; no two unbounded runs of the same characters follow one another, so that it cannot be slow. */
  readonly pattern: RegExp;
  /** What is left in its place, as `String.replace` takes it. */
  readonly leave: string;
}

/** A token that is known by its own shape, wherever it stands. */
function token(name: string, body: string): SecretPattern {
  return { name, pattern: new RegExp(`(?<![A-Za-z0-9])${body}`, 'g'), leave: MASK };
}

/** What ends the name of something secret: of `DB_PASSWORD`, `--registry-token`, `X-Api-Key`. */
const SECRET =
  '(?:password|passwd|passphrase|(?<!existing)secret|token|api[-_]?key|(?:access|secret|auth|account)[-_]?key)';

/** In order. What is before the secret says what it is, and stays. */
export const SECRETS: readonly SecretPattern[] = [
  {
    name: 'private key block',
    pattern: /-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z ]{0,40}-----|$)/g,
    leave: MASK,
  },
  {
    name: 'AWS secret key beside its id',
    pattern: /(?<![A-Za-z0-9])A(?:KIA|SIA)[A-Z0-9]{16}([\s:,;'"]{1,3})[A-Za-z0-9/+=]{40}(?![A-Za-z0-9/+=])/g,
    leave: `${MASK}$1${MASK}`,
  },
  token('AWS key id', '(?:AKIA|ASIA(?=[A-Z]{0,15}[0-9]))[A-Z0-9]{16}(?![A-Za-z0-9])'),
  token('GitHub token', 'gh[pousr]_[A-Za-z0-9]{10,}'),
  token('GitHub fine-grained token', 'github_pat_[A-Za-z0-9_]{10,}'),
  token('GitLab token', 'gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat)-[A-Za-z0-9_-]{16,}'),
  token('Slack token', 'xox[abcdeprs]-[A-Za-z0-9-]{8,}'),
  token('Slack app token', 'xapp-[A-Za-z0-9-]{10,}'),
  {
    name: 'Slack webhook',
    pattern: /(hooks\.slack\.com\/(?:services|workflows|triggers)\/)[A-Za-z0-9_/-]+/g,
    leave: `$1${MASK}`,
  },
  token('Google API key', 'AIza[A-Za-z0-9_-]{20,}'),
  token('Google access token', 'ya29\\.[A-Za-z0-9_.-]{20,}'),
  token('Google client secret', 'GOCSPX-[A-Za-z0-9_-]{10,}'),
  token('npm token', 'npm_[A-Za-z0-9]{20,}'),
  token('PyPI token', 'pypi-AgE[A-Za-z0-9_-]{20,}'),
  token('Docker token', 'dckr_pat_[A-Za-z0-9_-]{10,}'),
  token('Vault token', 'hv[sbr]\\.[A-Za-z0-9_-]{40,}'),
  token('Stripe key', '[rs]k_(?:live|test)_[A-Za-z0-9]{10,}'),
  token('JSON web token', 'eyJ[A-Za-z0-9_-]{16,}(?:\\.[A-Za-z0-9_-]*){0,4}'),
  {
    name: 'userinfo of a URL of the web',
    pattern: /(?<=https?:\/\/)[^\s/?#'"<>]{1,512}@/gi,
    leave: `${MASK}@`,
  },
  {
    name: 'userinfo with a password',
    pattern: /(?<=[a-z0-9+.-]:\/\/)[^\s/?#'"<>:]{0,256}:[^\s/?#'"<>]{1,512}@/gi,
    leave: `${MASK}@`,
  },
  {
    name: 'header of authorization',
    pattern:
      /((?:^-H|^|[^a-z0-9-])(?:proxy-)?authorization\s{0,4}:\s{0,4}(?:(?:basic|bearer|token|digest|negotiate|apikey)\s{1,4})?)(?!\s|(?:basic|bearer|token|digest|negotiate|apikey)(?:\s|$))[^'"\r\n]+/gi,
    leave: `$1${MASK}`,
  },
  {
    name: 'header of a token, a key or cookies',
    pattern:
      /((?:^-H|^|[^a-z0-9-])(?:(?:x-|private-|job-|deploy-)[a-z0-9-]{0,60}?(?:token|key|secret|auth|password|signature)|api-key|cookie)\s{0,4}:\s{0,4})(?!\s)[^'"\r\n]+/gi,
    leave: `$1${MASK}`,
  },
  {
    name: 'member of a JSON object',
    pattern: new RegExp(`("[\\w.-]{0,60}?${SECRET}"\\s{0,4}:\\s{0,4}")[^"]+`, 'gi'),
    leave: `$1${MASK}`,
  },
  {
    name: 'parameter of a query',
    pattern:
      /([?&](?:key|sig|auth|code|jwt|sid|session|sessionid|signature|x-amz-[a-z-]{4,30}|x-goog-signature)=)[^\s&#'"]+/gi,
    leave: `$1${MASK}`,
  },
  {
    name: 'password in SQL',
    pattern: /((?:identified(?:\s{1,4}with\s{1,4}\S{1,40})?\s{1,4}by|password)\s{1,4}')[^']+/gi,
    leave: `$1${MASK}`,
  },
];

/** Tokens in a host name: names are lower case. */
export const SECRETS_IN_NAMES: readonly SecretPattern[] = [
  token('AWS key id', '(?:akia|asia)(?=[a-z]{0,15}[0-9])[a-z0-9]{16}(?![a-z0-9])'),
  token('GitHub token', 'gh[pousr]_[a-z0-9]{30,}'),
  token('GitHub fine-grained token', 'github_pat_[a-z0-9_]{20,}'),
  token('GitLab token', 'glpat-[a-z0-9_-]{20,}'),
  token('Slack token', 'xox[abcdeprs]-[a-z0-9-]{8,}'),
  token('Google API key', 'aiza[a-z0-9_-]{35}'),
  token('npm token', 'npm_[a-z0-9]{30,}'),
  token('JSON web token', 'eyj[a-z0-9_-]{8,}\\.eyj[a-z0-9_-]{8,}(?:\\.[a-z0-9_-]{20,})?'),
];

/** `…password=`, `…_TOKEN=` with a value that is not a variable of a shell. */
export const ASSIGNED = new RegExp(
  `(?:${SECRET}|(?<![a-z0-9])(?:mysql_pwd|[a-z0-9]{1,20}_pass|pass(?!=\\d(?:$|[\\s:,&;]))|pwd(?!=[./~])))=(?!["']?\\$[a-z_{(]|$)`,
  'gi',
);

/** An option whose value is a secret: glued on by `=`, or the next argument. */
export const SECRET_OPTION = new RegExp(
  `^(?:--(?!(?:no|with|without|use|skip|ask|show|prompt|generate|disable|enable)-)(?:[a-z0-9]+[-_.]){0,4}(?:${SECRET}|pass)|-(?:password|passwd|passphrase|storepass|keypass|token|secret))$`,
  'i',
);

/** A word that names a secret by itself, whose value is the next: `aws configure set aws_secret_access_key …`. */
export const SECRET_WORD = /^aws_(?:secret_access_key|session_token)$/i;

/** Options whose value is `USER:PASSWORD`. */
export const USER_OPTION = /^(?:-u|--user|--proxy-user)$/;
