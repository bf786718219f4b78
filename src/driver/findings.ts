import { checkArray, checkObject } from '../core/arguments.js';
import { invalidType } from '../core/errors.js';
import { guard } from '../core/guard.js';
import type { SourcePlace } from './dwarf.js';

/**
 * Findings about a driver: one shape for those of dma-debug, of CPU accesses, of the runtime and of the model.
 */

export type DriverFindingId =
  | 'NULL_ACCESS'
  | 'WILD_ACCESS'
  | 'USE_AFTER_FREE'
  | 'OUT_OF_BOUNDS'
  | 'CPU_ACCESS'
  | 'FREE_WHILE_MAPPED'
  | 'BUG'
  | 'WARN'
  | 'HANG'
  | 'DOUBLE_FREE'
  | 'BAD_FREE'
  | 'LEAK'
  | 'LOCK'
  | 'SLEEP_IN_ATOMIC'
  | 'MISUSE'
  | 'BAD_REGISTER'
  | 'OOPS'
  | 'DEVICE_FAULT'
  | 'STALE_DMA'
  | 'SCENARIO';

/** Something that a C driver does wrong. */
export interface DriverFinding {
  /** DriverFindingId, or a check of dma-debug such as UNMAP_SIZE. */
  id: DriverFindingId | string;
  /** What the driver does wrong, in words. */
  message: string;
  /** The driver's line at which it was found; null where the driver is gone. */
  at: SourcePlace | null;
  /** Where the mapping or the memory that it is about was made. */
  born: SourcePlace | null;
  /** Calls that led there, innermost first. */
  stack: SourcePlace[];
  /** How often the same was found. */
  count: number;
}

/** `function (file:line)`. */
export function placeText({ func, file, line }: SourcePlace): string {
  return file === '' ? func : `${func} (${file}:${line})`;
}

/** Code and headers of the runtime, which are skipped when the driver's line is searched. */
export function isRuntime({ file }: SourcePlace): boolean {
  return file.startsWith('gemdma/') || file.startsWith('<built-in>') || file === '';
}

function isHeader({ file }: SourcePlace): boolean {
  return file.endsWith('.h');
}

/** The driver's own line of a stack: the innermost in one of its C files, else in a header. */
export function driverPlace(stack: readonly SourcePlace[]): SourcePlace | null {
  const theirs = stack.filter((place) => place.line !== 0 && !isRuntime(place));
  return theirs.find((place) => !isHeader(place)) ?? theirs[0] ?? null;
}

/** What two findings have in common that are the same: addresses and sizes differ from time to time, the places do not. */
export function findingKey({ id, message, at, born }: DriverFinding): string {
  const place = (item: SourcePlace | null): string => (item === null ? '' : `${item.file}:${item.line}`);
  // A mapping that is never checked is one finding, whatever unmaps it.
  if (id === 'UNMAP_UNCHECKED' && born !== null) return `${id}|${place(born)}`;
  return at === null && born === null
    ? `${id}|${message.replace(/0x[0-9a-f]+|\d+/g, '')}`
    : `${id}|${place(at)}|${place(born)}`;
}

/** Findings of a run, each once, with how often it was found. */
export class Findings {
  static {
    guard(Findings, (one) => #known in one);
  }

  /** In the order in which they were found first. */
  readonly list: DriverFinding[] = [];
  readonly #known = new Map<string, DriverFinding>();
  /** Called for each that is new. */
  onFinding: ((finding: DriverFinding) => void) | undefined;

  /** Notes a finding; the same one of the same places is counted. */
  add(id: string, message: string, stack: SourcePlace[], born: SourcePlace | null = null): DriverFinding {
    for (const [name, value] of Object.entries({ id, message })) {
      if (typeof value !== 'string') throw invalidType(name, 'of type string', value);
    }
    checkArray('stack', stack);
    for (const place of stack) checkObject('stack', place);
    if (born !== null) checkObject('born', born);
    const at = driverPlace(stack);
    const finding = {
      id,
      message,
      at,
      born,
      stack: stack.filter((item) => item.line !== 0 && !isRuntime(item)),
      count: 1,
    };
    const key = findingKey(finding);
    const known = this.#known.get(key);
    if (known) {
      ++known.count;
      return known;
    }
    this.#known.set(key, finding);
    this.list.push(finding);
    this.onFinding?.(finding);
    return finding;
  }
}
