import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Command } from 'commander';
import { DMESG_CHANNEL } from '../dmesg/kernel-log.js';
import type { KernelMessage } from '../dmesg/message.js';

/** `--dmesg`: what the kernels of a command's machines print, behind the results. */

/** Most lines that are shown: a driver with a mistake at every call has a line per call. */
const MOST_LINES = 1000;

/** The option, for commands that run machines. */
export function withDmesg(command: Command): Command {
  return command.option(
    '--dmesg',
    "also what the kernel prints, in its words; lines of gemdma's own begin with gemdma:",
  );
}

/** Lines from the start of a command to its end. */
export class DmesgCollector {
  readonly #lines: string[] = [];
  #more = 0;
  readonly #take = (message: unknown): void => {
    const { text, where } = message as KernelMessage;
    const lines = text.length > 0 ? text : [`WARNING: at ${where}`];
    if (this.#lines.length + lines.length > MOST_LINES) this.#more += lines.length;
    else this.#lines.push(...lines);
  };

  constructor() {
    subscribe(DMESG_CHANNEL, this.#take);
  }

  /** Ends collecting. */
  end(): string[] {
    unsubscribe(DMESG_CHANNEL, this.#take);
    return this.#more === 0 ? this.#lines : [...this.#lines, `** ${this.#more} more lines **`];
  }
}
