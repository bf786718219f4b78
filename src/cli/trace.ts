import { release } from 'node:os';
import type { Command } from 'commander';
import type { CallProgress } from '../core/slices.js';
import { Audit } from '../trace/audit/audit.js';
import type { AuditResult } from '../trace/audit/result.js';
import type { TraceBatch } from '../trace/batches/batch.js';
import { withDmesg } from './dmesg.js';
import { EXIT, type ExitCode, UsageError } from './exit.js';
import { command, type Frame, framed } from './frame.js';
import { PerfettoWriter } from './perfetto.js';
import { type InputError, type InputGaps, logsFirst, readInput } from './trace-input.js';
import { parseVersion, recipe } from './trace-recipe.js';
import { verifyFiles, whatIfFiles } from './trace-replay.js';
import { describeAudit } from './trace-report.js';

interface TraceOptions {
  at?: string;
  device?: string;
  recipe?: string | boolean;
  perfetto?: string;
  verify?: boolean;
  whatIf?: string[];
}

/** gemdma trace: what a real machine's DMA did. */
export function traceCommand(): Command {
  return withDmesg(command('trace', "audit the DMA mappings of a real machine's trace or log"))
    .argument(
      '[files...]',
      'ftrace text, trace-cmd report, perf script, trace.dat, dmesg, dma-api/dump; plain, gzip, zstd; - for standard input',
    )
    .option('--at <address>', 'the whole history of a device address')
    .option('--device <name>', 'this device only, such as 0000:00:02.0')
    .option('--verify', 'replay the calls in the emulator under the recorded configuration and compare every address')
    .option(
      '--what-if <options>',
      'replay the calls under another configuration beside the recorded one, such as mode=lazy,mask=32; keys: mode (strict, lazy, off, swiotlb), allocator, kernel, mask, magazine, queue, timeout, swiotlb; repeatable',
      (text: string, before: string[] = []) => [...before, text],
    )
    .option('--perfetto <file>', 'write the mappings as a Perfetto trace (ui.perfetto.dev)')
    .option('--recipe [kernel]', 'print the commands that record what is needed, on this kernel or that version')
    .action(framed(trace));
}

async function trace(frame: Frame, files: string[], options: TraceOptions): Promise<ExitCode> {
  if (options.recipe !== undefined) return showRecipe(frame, options.recipe);
  if (files.length === 0) throw new UsageError('trace takes at least one file, or - for standard input');
  if (files.filter((file) => file === '-').length > 1) throw new UsageError('standard input can be read once');
  const { at, device } = options;
  if (at !== undefined && !/^(0x)?[0-9a-f]{1,16}$/i.test(at)) {
    throw new UsageError(`--at takes an address in hexadecimal digits, not '${at}'`);
  }
  if (options.whatIf) return whatIfFiles(frame, files, options.whatIf);
  if (options.verify) return verifyFiles(frame, files);
  const out = frame.output('--perfetto', options.perfetto);
  const perfetto = out && new PerfettoWriter();
  const audit = new Audit({ at, device });
  const inputs: InputGaps[] = [];
  const errors: InputError[] = [];
  const { signal } = frame;
  const bar = frame.bar();
  for (const [number, file] of logsFirst(files).entries()) {
    if (signal.aborted) break;
    const take = (batch: TraceBatch): void => {
      audit.add(batch, number);
      perfetto?.add(batch, number);
    };
    const onProgress = ({ done, total, what }: CallProgress): void =>
      bar.update({ done: number + done / Math.max(total, done, 1), total: files.length, what });
    const read = await readInput(file, take, { signal, onProgress });
    if (!('message' in read)) inputs.push(read);
    else if (!signal.aborted) {
      errors.push(read);
      frame.note(read.message);
    }
  }
  if (perfetto) out?.set(perfetto.finish());
  const result = audit.result();
  const value = {
    inputs: inputs.map(plainGaps),
    errors: errors.map(({ message: _, ...rest }) => rest),
    ...result,
    ...(signal.aborted && { interrupted: true }),
  };
  const wrong = found(result);
  if (inputs.length > 0 || frame.json || signal.aborted)
    frame.show(value, () => describeAudit(result, inputs), { wrong });
  return errors.length > 0 ? EXIT.usage : wrong ? EXIT.findings : EXIT.ok;
}

function showRecipe(frame: Frame, option: string | boolean): ExitCode {
  const wanted = option === true ? release() : String(option);
  const version = parseVersion(wanted);
  if (!version) throw new UsageError(`--recipe takes a kernel version such as 6.12, not '${wanted}'`);
  frame.show({ recipe: recipe(version) }, () => recipe(version), { wrong: true });
  return EXIT.ok;
}

function plainGaps(gaps: InputGaps): object {
  return { ...gaps, formats: [...gaps.formats], otherEvents: Object.fromEntries(gaps.otherEvents) };
}

/** Whether there is something to look at. */
function found(result: AuditResult): boolean {
  const { suspectCount, mismatches, overlaps, faults, dmaDebug, swiotlbFull } = result;
  const doubled = overlaps.count - overlaps.readOnly;
  const reported = faults.length + dmaDebug.length + swiotlbFull.length;
  return suspectCount + Object.keys(mismatches.counts).length + doubled + reported > 0;
}
