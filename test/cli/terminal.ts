import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const main = fileURLToPath(new URL('../../dist/bundle/cli.js', import.meta.url));

/** Escape sequences of the cursor: hidden while a bar is shown, and back. */
export const HIDE = '\u001b[?25l';
export const SHOW = '\u001b[?25h';
export const CTRL_C = '\u0003';

/** A command in a pseudo-terminal of its own, which `script` of util-linux makes. */
export class Terminal {
  /** Everything that was on the screen, escape sequences included. */
  screen = '';
  readonly ended: Promise<number>;
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();

  /** @param command for a shell */
  constructor(command: string, { columns = 80, env = {} }: { columns?: number; env?: Record<string, string> } = {}) {
    const { CI: _, NO_COLOR: __, FORCE_COLOR: ___, ...rest } = process.env;
    const line = `stty cols ${columns} rows 24; echo pid=$$.; exec ${command}`;
    this.#child = spawn('script', ['-qefc', line, '/dev/null'], { env: { ...rest, TERM: 'xterm', ...env } });
    this.#child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      this.screen += text;
      for (const look of this.#waiting) look();
    });
    this.ended = new Promise((resolve) => {
      this.#child.on('close', (code) => {
        resolve(code ?? -1);
        for (const look of this.#waiting) look();
      });
    });
  }

  /** Resolves when the screen has had the text; rejects when the command ends without it. */
  async shows(text: string | RegExp): Promise<void> {
    const has = (): boolean => (typeof text === 'string' ? this.screen.includes(text) : text.test(this.screen));
    await new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (has()) resolve();
        else if (this.#child.exitCode !== null) reject(new Error(`ended without ${text}: ${this.screen.slice(-500)}`));
        else return;
        this.#waiting.delete(look);
      };
      this.#waiting.add(look);
      look();
    });
  }

  /** Keys to type. */
  type(text: string): void {
    this.#child.stdin!.write(text);
  }

  /** Sends a signal to the command itself. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    await this.shows(/pid=\d+\./);
    process.kill(Number(/pid=(\d+)\./.exec(this.screen)![1]), signal);
  }
}

/** gemdma with arguments in a pseudo-terminal. */
export function gemdma(args: string, options?: ConstructorParameters<typeof Terminal>[1]): Terminal {
  return new Terminal(`'${process.execPath}' '${main}' ${args}`, options);
}
