import type { Limits } from '../model/limits.ts';
import { type Fault, fault } from './problem.ts';

const units: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** No program starts in less; whoever writes `512` means something else than bytes. */
const LEAST_MEMORY = 2 ** 20;
/** PID_MAX_LIMIT, include/linux/threads.h: pids.max takes no more. */
const MOST_TASKS = 4_194_304;

/** Reads `200%`, in hundredths of one processor. */
export function readCpu(value: string | number): number | Fault {
  const text = String(value);
  const digits = /^([1-9]\d{0,6})%$/.exec(text)?.[1];
  if (digits) return Number(digits);
  const suggestion = /^[1-9]\d{0,6}$/.test(text) ? `${text}%` : null;
  return fault('bad-value', `\`${text}\` is not a share of processors: write \`200%\` for two`, suggestion);
}

/** Reads `2GiB`, `512M` or a number of bytes, into bytes. */
export function readMemory(value: string | number): number | Fault {
  const text = String(value);
  const [, amount, unit = ''] = /^(\d{1,16}(?:\.\d{1,3})?)(?:([KMGT])(?:iB)?)?$/.exec(text) ?? [];
  const bytes = Math.floor(Number(amount) * (units[unit] ?? 1));
  if (amount && bytes >= LEAST_MEMORY && Number.isSafeInteger(bytes)) return bytes;
  if (amount && bytes < LEAST_MEMORY) {
    const suggestion = unit === '' && bytes > 0 ? `${text}MiB` : null;
    return fault('bad-value', `\`${text}\` is less memory than any command needs, 1 MiB`, suggestion);
  }
  const decimal = /^(\d+(?:\.\d+)?)([KMGT])B$/i.exec(text);
  const suggestion = decimal ? `${decimal[1]}${decimal[2]?.toUpperCase()}iB` : null;
  return fault(
    'bad-value',
    `\`${text}\` is not an amount of memory: write \`512MiB\` or \`2GiB\``,
    suggestion,
  );
}

/** Reads a number of processes and threads. */
export function readTasks(value: string | number): number | Fault {
  const text = String(value);
  const tasks = /^[1-9]\d{0,6}$/.test(text) ? Number(text) : 0;
  if (tasks > 0 && tasks <= MOST_TASKS) return tasks;
  return fault('bad-value', `\`${text}\` is not a number of tasks: write one from 1 to ${MOST_TASKS}`);
}

/** What a run is limited to: who may start it by himself may give each limit anew, looser too. */
export function limitsOfRun(policy: Limits, asked: Limits): Limits {
  return {
    cpu: asked.cpu ?? policy.cpu,
    memory: asked.memory ?? policy.memory,
    tasks: asked.tasks ?? policy.tasks,
  };
}

/** As in the policy language, those that are set. */
export function writtenLimits({ cpu, memory, tasks }: Limits): Readonly<Record<keyof Limits, string | null>> {
  return {
    cpu: cpu === null ? null : `${cpu}%`,
    memory: memory === null ? null : writtenMemory(memory),
    tasks: tasks === null ? null : String(tasks),
  };
}

/** In the largest unit that has it in full. */
function writtenMemory(bytes: number): string {
  const [unit, size] = Object.entries(units).findLast(([, each]) => bytes % each === 0) ?? ['', 1];
  return unit === '' ? String(bytes) : `${bytes / size}${unit}iB`;
}
