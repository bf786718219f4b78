import { checkInteger, invalidType } from '../core/errors.js';
import { needed } from '../core/platform.js';
import { jsonObject } from '../files/json-lines.js';
import { RecordingError } from '../files/recording-error.js';
import { readLines } from '../files/text.js';
import { machineConfig } from '../machine/config.js';
import type { Operation } from './engine/operation.js';
import { profileOf, type StressConfig, type StressProfile } from './world/profile.js';
import type { Repertoire } from './world/vocabulary.js';

/**
 * A run as a file: JSON lines, gzip when the name says so. The first line names kind and version and holds the complete
 * configuration and the failure that the operations lead to; each further line is one operation.
 */
export interface StressTrace {
  config: StressConfig;
  failure: { kind: string; id: string; message: string } | null;
  operations: Operation[];
}

const KIND = 'gemdma-stress';

/** What a file holds: compressed when its name ends in .gz. */
export function traceContent(file: string, { config, failure, operations }: StressTrace): string | Uint8Array {
  const header = { recording: KIND, version: 1, steps: operations.length, config, failure };
  const text = `${[header, ...operations].map((line) => JSON.stringify(line)).join('\n')}\n`;
  return file.endsWith('.gz') ? needed('node:zlib', 'stress').gzipSync(text) : text;
}

/** Throws RecordingError for a file that is not a trace of a stress run. */
export function readTrace(file: string, repertoire: Repertoire): StressTrace {
  const lines = readLines(file).filter((line) => line.trim() !== '');
  if (lines.length === 0) throw new RecordingError(file, 0, 'empty');
  const parse = (line: number): Record<string, unknown> => jsonObject(file, line, lines[line - 1]);
  const header = parse(1);
  if (header.recording !== KIND) throw new RecordingError(file, 1, 'not the trace of a stress run');
  if (header.version !== 1) throw new RecordingError(file, 1, `version ${String(header.version)} is not known, only 1`);
  const operations = lines.slice(1).map((_, i) => {
    const operation = parse(i + 2);
    if (!repertoire.names.includes(operation.op as string)) {
      throw new RecordingError(file, i + 2, `there is no operation '${String(operation.op)}'`);
    }
    return operation as Operation;
  });
  if (operations.length === 0)
    throw new RecordingError(file, lines.length, 'no operation: the file is cut off, or none was kept');
  const { steps } = header;
  if (steps !== operations.length) {
    throw new RecordingError(
      file,
      lines.length,
      `${operations.length} operations of ${String(steps ?? 'an unknown number')}: the file is cut off`,
    );
  }
  return {
    config: checkedConfig(file, header.config, repertoire),
    failure: header.failure as StressTrace['failure'],
    operations,
  };
}

/** The configuration of a trace, which must be one that a machine can be made with. */
function checkedConfig(file: string, config: unknown, repertoire: Repertoire): StressConfig {
  try {
    const { profile, seed, subject, checkEvery, faults, ...rest } = config as StressConfig;
    profileOf(rest as StressProfile, repertoire);
    machineConfig(rest.machine);
    checkInteger('seed', seed, 0, 0xffffffff);
    checkInteger('checkEvery', checkEvery, 1, Number.MAX_SAFE_INTEGER);
    for (const [name, value] of Object.entries({ profile, subject })) {
      if (typeof value !== 'string') throw invalidType(name, 'of type string', value);
    }
    if (typeof faults !== 'number') throw invalidType('faults', 'of type number', faults);
  } catch (error) {
    throw new RecordingError(file, 1, `not the configuration of a stress run: ${(error as Error).message}`);
  }
  return config as StressConfig;
}
