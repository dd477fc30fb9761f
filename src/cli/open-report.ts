import { ReportFile } from '../guard/report.ts';
import { Failure } from './output.ts';

/** The file of `--report`, made before anything is started. */
export function openReport(path: string): ReportFile {
  try {
    return new ReportFile(path);
  } catch (error) {
    throw new Failure(
      'bad-value',
      `cannot write the report ${path}: ${(error as Error).message}`,
      'name another file',
    );
  }
}
