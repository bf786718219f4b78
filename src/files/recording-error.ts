/** A file that cannot be read as its kind: with place and reason. */
export class RecordingError extends Error {
  /** Always `RecordingError`. */
  override readonly name = 'RecordingError';
  /** Path of the file. */
  readonly file: string;
  /** 1-based line, 0 when the file as a whole is at fault. */
  readonly line: number;
  /** What is wrong with it, without file and line. */
  readonly reason: string;

  constructor(file: string, line: number, reason: string, options?: ErrorOptions) {
    super(line > 0 ? `${shown(file)}:${line}: ${reason}` : `${shown(file)}: ${reason}`, options);
    this.file = file;
    this.line = line;
    this.reason = reason;
  }
}

/** Longest name of a file that a message repeats: a text that was taken for a name can be a whole file. */
const LONGEST = 200;

function shown(file: string): string {
  const line = file.split('\n', 1)[0].slice(0, LONGEST);
  return line === file ? file : `${line}...`;
}
