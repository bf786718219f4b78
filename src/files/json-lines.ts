import { RecordingError } from './recording-error.js';

/** JSON lines: files with one JSON object a line. */

/**
 * The object of a line.
 * @param line its number, from 1, for the error
 * @throws RecordingError if the text is not JSON, or not an object
 */
export function jsonObject(file: string, line: number, text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new RecordingError(file, line, `not JSON: ${(error as Error).message}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RecordingError(file, line, 'not a JSON object');
  }
  return value as Record<string, unknown>;
}
