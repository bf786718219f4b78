import { checkSynchronous } from '../core/arguments.js';
import type { CpuRegisters } from '../core/cpu-registers.js';
import type { CallerIds } from '../core/dma-debug-records.js';
import { invalidReturn } from '../core/errors.js';
import type { Attribution } from './channels.js';

/**
 * Frames of this library stand between a call of the DMA API and its caller. A bundler that makes CommonJS of this
 * leaves no URL: then library and caller are one file, and nothing tells their frames apart.
 */
const LIBRARY = import.meta.url ? new URL('..', import.meta.url).pathname : undefined;
const STACK_FRAMES = 24;

/**
 * Who maps: texts for the ids that the core copies into its entries. Object and vma ids belong to the code that hands them
 * out and are named by a function; hooks and call sites are interned here.
 */
export class Attributions {
  /** Name of an object's id; by default its number. */
  objectName: (id: number) => string = (id) => `object ${id}`;
  vmaName: (id: number) => string = (id) => `vma ${id}`;
  /** Name of a call site that other code than takeSite has written to the registers. */
  siteName: (id: number) => string = (id) => `site ${id}`;
  private readonly registers: CpuRegisters;
  private readonly hooks: string[] = [''];
  private readonly hookIds = new Map<string, number>();
  private readonly sites: string[] = [''];
  private readonly siteIds = new Map<string, number>();

  constructor(registers: CpuRegisters) {
    this.registers = registers;
  }

  /** The id of a hook's name, to be written to the registers. */
  hookId(name: string): number {
    return intern(this.hooks, this.hookIds, name);
  }

  /**
   * Makes the calls that follow belong to an object, a vma and a hook; 0 is none.
   * @param hook an id of hookId
   */
  set(object: number, vma = 0, hook = 0): void {
    this.registers.set(object, vma, hook);
  }

  /** Takes the JavaScript call site of the call that is about to be made. Costs microseconds: only when asked for. */
  takeSite(): void {
    this.registers.site = intern(this.sites, this.siteIds, callSite());
  }

  clearSite(): void {
    this.registers.site = 0;
  }

  /** The texts of ids. */
  describe({ object, vma, hook, site }: CallerIds): Attribution {
    return {
      ...(object && { object: text('objectName', this.objectName(object)) }),
      ...(vma && { vma: text('vmaName', this.vmaName(vma)) }),
      ...(hook && { hook: this.hooks[hook] ?? `hook ${hook}` }),
      ...(site && { site: this.sites[site] ?? text('siteName', this.siteName(site)) }),
    };
  }
}

// What a function of the caller's has returned as a name.
function text(name: string, answer: unknown): string {
  if (typeof answer === 'string') return answer;
  checkSynchronous(`attributions.${name}`, answer);
  throw invalidReturn(`attributions.${name}`, 'text', answer);
}

function intern(texts: string[], ids: Map<string, number>, text: string): number {
  let id = ids.get(text);
  if (id === undefined) {
    id = texts.push(text) - 1;
    ids.set(text, id);
  }
  return id;
}

/**
 * The innermost frame outside of the library: `function (file:line:column)`. The frames are looked at as objects; only the
 * one that is wanted becomes text.
 */
function callSite(): string {
  const { stackTraceLimit, prepareStackTrace } = Error;
  const holder: { stack?: unknown } = {};
  Error.stackTraceLimit = STACK_FRAMES;
  Error.prepareStackTrace = (_, frames) => frames;
  Error.captureStackTrace(holder, callSite);
  const frames = holder.stack as NodeJS.CallSite[];
  Error.prepareStackTrace = prepareStackTrace;
  Error.stackTraceLimit = stackTraceLimit;
  const frame = frames.find((item) => !isLibrary(item.getFileName())) ?? frames.at(-1);
  return frame ? String(frame).replaceAll('file://', '') : '';
}

function isLibrary(file: string | null | undefined): boolean {
  return LIBRARY !== undefined && (file?.includes(LIBRARY) ?? false);
}

/** One line for a caller: what is known of it, from the object down to the call site. */
export function callerText(by: Attribution): string {
  const parts = [by.object, by.vma, by.hook && `in ${by.hook}`, by.site && `at ${by.site}`].filter(Boolean);
  return parts.length === 0 ? 'nobody named' : parts.join(', ');
}
