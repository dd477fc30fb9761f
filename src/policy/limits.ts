import { type Fault, fault } from './problem.ts';

const units: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

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
  const [, amount, unit = ''] = /^(\d{1,12}(?:\.\d{1,3})?)(?:([KMGT])(?:iB)?)?$/.exec(String(value)) ?? [];
  const bytes = Math.floor(Number(amount) * (units[unit] ?? 1));
  if (amount && bytes > 0 && Number.isSafeInteger(bytes)) return bytes;
  const decimal = /^(\d+(?:\.\d+)?)([KMGT])B$/i.exec(String(value));
  const suggestion = decimal ? `${decimal[1]}${decimal[2]?.toUpperCase()}iB` : null;
  return fault(
    'bad-value',
    `\`${value}\` is not an amount of memory: write \`512MiB\` or \`2GiB\``,
    suggestion,
  );
}
