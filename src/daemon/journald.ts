import { native } from '../kernel/native.ts';
import type { AuditEvent } from '../model/event.ts';
import { formatTarget } from '../model/target.ts';
import type { Log } from './log.ts';

const SOCKET = '/run/systemd/journal/socket';
/** Characters of a field; the whole entry is one datagram. */
const LONGEST = 256;
const WARNING = 4;

/**
 * Tells denials nobody is told otherwise: as an entry of the journal with fields of its own where systemd started us,
 * else in the log.
 */
export class DenialLog {
  readonly #log: Log;
  readonly #socket: string | null;

  constructor(log: Log, socket = process.env.JOURNAL_STREAM === undefined ? null : SOCKET) {
    this.#log = log;
    this.#socket = socket;
  }

  /** `cgroup`: what is guarded, a path. */
  tell(event: AuditEvent, cgroup: string): void {
    if (this.#socket !== null && this.#send(this.#socket, event, cgroup)) return;
    const { id, run, deployment, process: caller, destination, rule } = event;
    const { pid, comm } = caller ?? {};
    const who = { pid, comm, destination: formatTarget(event), address: destination?.address };
    this.#log.warn({ event: id, run, deployment, ...who, rule: rule?.kind, source: rule?.source }, 'denied');
  }

  #send(socket: string, event: AuditEvent, cgroup: string): boolean {
    try {
      native().tellSystemd(socket, journalEntry(event, cgroup));
      return true;
    } catch {
      return false;
    }
  }
}

/**
 * An entry in the journal's native protocol. What is of a unit is found with it, too: `journalctl -u` shows what root
 * says of one in OBJECT_SYSTEMD_UNIT (systemd.journal-fields(7)).
 */
export function journalEntry(event: AuditEvent, cgroup: string): string {
  const { id, run, deployment, process: caller, destination, rule } = event;
  const target = formatTarget(event);
  const who = caller ? `${caller.comm ?? 'process'}[${caller.pid}]` : 'an unknown process';
  const why = [rule?.kind, rule?.source].filter((word) => word != null).join(', ');
  const fields: Record<string, string | number | null | undefined> = {
    MESSAGE: `denied ${who} → ${target}${why === '' ? '' : ` (${why})`}`,
    PRIORITY: WARNING,
    SYSLOG_IDENTIFIER: 'acyclic',
    OBJECT_SYSTEMD_UNIT: unitOf(cgroup),
    ACYCLIC_EVENT: id,
    ACYCLIC_RUN: run,
    ACYCLIC_DEPLOYMENT: deployment,
    ACYCLIC_DESTINATION: target,
    ACYCLIC_ADDRESS: destination?.address,
    ACYCLIC_SERVICE: destination?.service,
    ACYCLIC_RULE: rule?.kind,
    ACYCLIC_SOURCE: rule?.source,
    ACYCLIC_PID: caller?.pid,
    ACYCLIC_COMM: caller?.comm,
  };
  // A line feed would begin another field.
  const plain = (value: string | number) =>
    String(value)
      .replace(/\p{Cc}/gu, ' ')
      .slice(0, LONGEST);
  return Object.entries(fields)
    .flatMap(([name, value]) => (value == null ? [] : [`${name}=${plain(value)}\n`]))
    .join('');
}

/** The unit a cgroup is of; null: it is of none. systemd puts a `_` before a name that is also one of a file there. */
function unitOf(cgroup: string): string | null {
  return (
    cgroup
      .split('/')
      .findLast((name) => /\.(service|scope)$/.test(name))
      ?.replace(/^_/, '') ?? null
  );
}
