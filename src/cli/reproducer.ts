import { fork } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isFailure } from '../stress/shrink/program.js';
import type { Reproducer } from '../stress/shrink/reproduce.js';
import type { StressResult } from '../stress/stress.js';
import type { GivenPolicy } from './policy-file.js';

/**
 * A printed program that imports a user's module is run in a child process, as the user would run it, before it is called a reproducer.
 */

/** Milliseconds that a program of a few lines may take. */
const LIMIT = 20_000;

/** What program-runner.ts sends: the error that the program ended with. */
export type ProgramEnd = { name: string; message: string; code?: string } | null;

/** A reproducer for the command line. */
export interface RunReproducer extends Reproducer {
  /** Why the program does not show the failure. */
  reason?: string;
}

/** The result with what came of running its program. */
export async function withRun<Result extends StressResult>(
  result: Result,
  { source }: GivenPolicy,
  signal: AbortSignal,
): Promise<Result> {
  const { reproducer } = result;
  if (!reproducer?.confirmed || source === undefined || signal.aborted) return result;
  const end = await runProgram(reproducer.program, signal);
  if (isFailure(end ?? undefined, reproducer.failure)) return result;
  const reason = end === null ? 'it ends without an error' : reasonOf(end);
  return { ...result, reproducer: { ...reproducer, confirmed: false, reason } satisfies RunReproducer };
}

function reasonOf({ message, code }: NonNullable<ProgramEnd>): string {
  return code === 'ERR_UNKNOWN_FILE_EXTENSION'
    ? `Node ${process.versions.node} reads no TypeScript, 22.18 and later do`
    : message.split('\n')[0];
}

async function runProgram(program: string, signal: AbortSignal): Promise<ProgramEnd> {
  const folder = mkdtempSync(join(tmpdir(), 'gemdma-program-'));
  const file = join(folder, 'program.mjs');
  writeFileSync(file, program);
  const runner = fileURLToPath(new URL('./program-runner.js', import.meta.url));
  const child = fork(runner, [file], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'], timeout: LIMIT });
  const stop = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', stop);
  try {
    return await new Promise((resolve) => {
      let end: ProgramEnd = { name: 'Error', message: 'it does not come to its end' };
      child.on('message', (message: ProgramEnd) => {
        end = message;
      });
      let left = 2;
      const over = (): void => {
        if (--left === 0) resolve(end);
      };
      child.once('disconnect', over);
      child.once('exit', over);
    });
  } finally {
    signal.removeEventListener('abort', stop);
    rmSync(folder, { recursive: true, force: true });
  }
}
