import { gzipSync } from 'node:zlib';
import { RecordingError } from '../../recordings/recording.js';
import { readLines } from '../../recordings/text.js';
import type { StressConfig } from './config/profiles.js';
import type { Operation } from './engine/operation.js';

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
  const header = { recording: KIND, version: 1, config, failure };
  const text = `${[header, ...operations].map((line) => JSON.stringify(line)).join('\n')}\n`;
  return file.endsWith('.gz') ? gzipSync(text) : text;
}

/** Throws RecordingError for a file that is not a trace of a stress run. */
export function readTrace(file: string): StressTrace {
  const lines = readLines(file);
  if (lines.length === 0) throw new RecordingError(file, 0, 'empty');
  const parse = (line: number): Record<string, unknown> => {
    let value: unknown;
    try {
      value = JSON.parse(lines[line - 1]);
    } catch (error) {
      throw new RecordingError(file, line, `not JSON: ${(error as Error).message}`);
    }
    if (typeof value !== 'object' || value === null) throw new RecordingError(file, line, 'not a JSON object');
    return value as Record<string, unknown>;
  };
  const header = parse(1);
  if (header.recording !== KIND) throw new RecordingError(file, 1, 'not the trace of a stress run');
  if (header.version !== 1) throw new RecordingError(file, 1, `version ${String(header.version)} is not known, only 1`);
  const operations = lines.slice(1).map((_, i) => {
    const operation = parse(i + 2);
    if (typeof operation.op !== 'string') throw new RecordingError(file, i + 2, 'not an operation');
    return operation as Operation;
  });
  return { config: header.config as StressConfig, failure: header.failure as StressTrace['failure'], operations };
}
