#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { benchCommand } from './bench.js';
import { completionCommand } from './completion.js';
import { driverCommand } from './driver.js';
import { EXIT, EXIT_HELP, type ExitCode, reportError } from './exit.js';
import { fitting } from './help.js';
import { replayCommand } from './replay.js';
import { runCommand } from './run.js';
import { stressCommand } from './stress.js';
import { isSupervised, joinSupervisor, leave } from './supervise.js';
import { traceCommand } from './trace.js';
import { verifyCommand } from './verify.js';

/**
 * The gemdma command. One file of this folder is one sub-command, each in the frame of frame.ts; what they share besides
 * is in options.ts (arguments), exit.ts (errors and exit codes) and print.ts (output).
 */

/** The whole command with every sub-command. */
export function gemdma(): Command {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const program = new Command('gemdma')
    .description(
      'The memory side of a Linux GPU driver in user space: benchmark, stress and check DMA mapping policies.',
    )
    .version(version, '-V, --version')
    .option('--no-color', 'no colours, whatever the terminal can do')
    .addHelpText('after', EXIT_HELP);
  const commands = [
    ...[runCommand(), benchCommand(), stressCommand(), verifyCommand(), replayCommand()],
    ...[traceCommand(), driverCommand()],
  ];
  for (const command of [...commands, completionCommand(program)]) program.addCommand(command);
  for (const command of [program, ...program.commands.flatMap((item) => [item, ...item.commands])]) {
    fitting(command)
      .helpOption('-h, --help', 'show help')
      .exitOverride()
      .configureOutput({
        outputError: (text, write) =>
          write(`gemdma: ${withNewName(text.replace(/^error: /, '').replace(/\n(?=.)/, ' '))}`),
      });
  }
  return program;
}

/** Options by their names of before. */
const RENAMED: Readonly<Record<string, string>> = { '--driver': '--policy' };

/** An error of commander with the present name of an option that was renamed. */
function withNewName(text: string): string {
  const [whole, option] = /^unknown option '([^']*)'/.exec(text) ?? [];
  const name = option === undefined ? undefined : RENAMED[option];
  return name === undefined ? text : `${whole}: ${name} is its name now\n`;
}

// A reader that closes early (`gemdma ... | head`) is not an error; a full disk is wrong use.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') return leave((process.exitCode ?? EXIT.ok) as ExitCode);
  console.error(`gemdma: standard output: ${error.code}`);
  leave(EXIT.usage);
});

// Standard error is closed: only the exit code can report it.
process.stderr.on('error', () => {});

/** Runs the command of the arguments. Sets process.exitCode. */
export async function main(words: readonly string[]): Promise<void> {
  const program = gemdma();
  if (words.length === 0) {
    program.outputHelp();
    return;
  }
  try {
    const [first, topic] = words;
    if (first === 'help' && topic !== undefined && !program.commands.some((item) => item.name() === topic)) {
      program.error(`unknown command '${topic}'`);
    }
    await program.parseAsync(words, { from: 'user' });
  } catch (error) {
    process.exitCode = reportError(error);
  }
}

joinSupervisor();
await main(process.argv.slice(2));
// Timers of a user's policy must not keep the process alive.
if (isSupervised()) leave((process.exitCode ?? EXIT.ok) as ExitCode);
