#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { benchCommand } from './bench.js';
import { Interrupted, UsageError } from './options.js';
import { runCommand } from './run.js';
import { stressCommand } from './stress.js';
import { verifyCommand } from './verify.js';

/**
 * The gemdma command. One file of this folder is one sub-command; what they share is in options.ts (arguments) and
 * print.ts (output). Exit codes: 0 everything as it should be, 1 findings, 2 wrong usage or unreadable input,
 * 130 interrupted, 70 a bug of gemdma itself.
 */

const EXIT_USAGE = 2;
const EXIT_INTERNAL = 70;
const EXIT_INTERRUPTED = 130;

async function main(): Promise<void> {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  const program = new Command('gemdma')
    .description(
      'The memory side of a Linux GPU driver in user space: benchmark, stress and check DMA mapping policies.',
    )
    .version(version, '-V, --version')
    .helpOption('-h, --help', 'show help');
  for (const command of [runCommand(), benchCommand(), stressCommand(), verifyCommand()]) program.addCommand(command);
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({
      outputError: (text, write) => write(`gemdma: ${text.replace(/^error: /, '').replace(/\n(?=.)/, ' ')}`),
    });
  }
  if (process.argv.length <= 2) {
    program.outputHelp();
    return;
  }
  await program.parseAsync();
}

// A reader that closes early (`gemdma ... | head`) is no error of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

main().catch((error: unknown) => {
  if (error instanceof CommanderError) {
    // Help and version come here too, with code 0.
    process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  } else if (error instanceof UsageError) {
    console.error(`gemdma: ${error.message}`);
    process.exitCode = EXIT_USAGE;
  } else if (error instanceof Interrupted) {
    console.error('gemdma: interrupted');
    process.exitCode = EXIT_INTERRUPTED;
  } else {
    console.error('gemdma: internal error, please report it with the command that led here');
    console.error(error);
    process.exitCode = EXIT_INTERNAL;
  }
});
