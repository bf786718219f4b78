import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type VerifyResult, verify } from 'gemdma/recordings';
import type { Subject } from './subject.js';

/** Recordings of one subject's kernel program, and their replay. */
export class Run {
  readonly #program: string;
  readonly #folder: string;
  readonly #name: string;

  /** @param program the compiled kernel program  @param folder for files that are overwritten by the next run */
  constructor(subject: Subject, program: string, folder: string) {
    this.#program = program;
    this.#folder = folder;
    this.#name = subject.program.name;
  }

  /** What the kernel's file answers to the operations, as a recording with its count. Throws when the program fails. */
  record(operations: readonly string[]): string {
    const input = join(this.#folder, `${this.#name}.operations`);
    writeFileSync(input, `${operations.join('\n')}\n`);
    const text = execFileSync(this.#program, [input], { encoding: 'utf8', maxBuffer: 2 ** 30 });
    const steps = text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
    return `${text}# end steps=${steps}\n`;
  }

  /** The library's replay of that recording. */
  compare(operations: readonly string[]): VerifyResult {
    const file = join(this.#folder, `${this.#name}.recording`);
    writeFileSync(file, this.record(operations));
    return verify(file);
  }

  /**
   * The operations without all that a difference does not need: what comes after it goes first, then halves, quarters and so on
   * down to single lines, until no line can go.
   */
  shrink(operations: readonly string[]): string[] {
    const differs = (lines: readonly string[]): boolean => this.compare(lines).divergence !== null;
    const [head, ...all] = operations;
    let body = all;
    for (let keep = body.length >> 1; keep > 0; keep >>= 1) {
      while (body.length > keep && differs([head, ...body.slice(0, body.length - keep)])) body = body.slice(0, -keep);
    }
    for (let size = body.length >> 1; size > 0; size = removed(size) ? Math.min(size, body.length) : size >> 1);
    return [head, ...body];

    function removed(size: number): boolean {
      let any = false;
      for (let at = 0; at < body.length; ) {
        const rest = [...body.slice(0, at), ...body.slice(at + size)];
        if (differs([head, ...rest])) {
          body = rest;
          any = true;
        } else at += size;
      }
      return any && size === 1;
    }
  }
}
