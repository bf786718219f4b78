import { checkSynchronous } from '../core/arguments.js';
import type { CpuRegisters } from '../core/cpu-registers.js';
import type { CallerIds } from '../core/dma-debug-records.js';
import { invalidReturn } from '../core/errors.js';
import type { Attribution } from './channels.js';

/**
 * Frames of this library lie between a call of the DMA API and its caller. A bundler that makes CommonJS of this leaves no URL:
 * library and caller are then one file, and their frames cannot be distinguished.
 */
const library: { folder?: string } = {};
/** Frames that are looked at: those of a call of the DMA API and its caller; for a driver's call more. */
const NEAR_FRAMES = 6;
const STACK_FRAMES = 24;

/**
 * Names for the ids that the core copies into its entries. Ids of objects and vmas are a driver's, and a function of the driver names
 * them; hooks and call sites are interned here.
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
  /** Ids of call sites by file and position in it: a site that was seen before needs no text. */
  private readonly places = new Map<string, Map<number, number>>();

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

  /** Records the JavaScript call site of the next call. It costs microseconds, so it is off by default. */
  takeSite(): void {
    this.registers.site = this.siteId(callSite());
  }

  private siteId(frame: NodeJS.CallSite | undefined): number {
    const file = frame?.getFileName();
    const position = (frame as { getPosition?(): number } | undefined)?.getPosition?.();
    if (!file || position === undefined) return this.intern(frame);
    let places = this.places.get(file);
    if (places === undefined) {
      places = new Map();
      this.places.set(file, places);
    }
    let id = places.get(position);
    if (id === undefined) {
      id = this.intern(frame);
      places.set(position, id);
    }
    return id;
  }

  private intern(frame: NodeJS.CallSite | undefined): number {
    return intern(this.sites, this.siteIds, frame === undefined ? '' : String(frame).replaceAll('file://', ''));
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

// Checks the name that a caller's function returned.
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

/** The innermost frame outside of the library, as an object: it becomes text when it is seen for the first time. */
function callSite(): NodeJS.CallSite | undefined {
  const near = outside(stack(NEAR_FRAMES));
  if (near !== undefined) return near;
  const frames = stack(STACK_FRAMES);
  return outside(frames) ?? frames.at(-1);
}

function outside(frames: readonly NodeJS.CallSite[]): NodeJS.CallSite | undefined {
  return frames.find((frame) => !isLibrary(frame.getFileName()));
}

// One object for all captures: a new one would get the property anew each time.
const holder: { stack?: unknown } = {};

const asObjects = (_: Error, frames: NodeJS.CallSite[]): NodeJS.CallSite[] => frames;

// What a walk costs depends on the frames that it sees.
function stack(most: number): NodeJS.CallSite[] {
  const { stackTraceLimit, prepareStackTrace } = Error;
  Error.stackTraceLimit = most;
  Error.prepareStackTrace = asObjects;
  if (Error.captureStackTrace) Error.captureStackTrace(holder, callSite);
  else holder.stack = new Error().stack;
  const frames = holder.stack as NodeJS.CallSite[] | string;
  Error.prepareStackTrace = prepareStackTrace;
  Error.stackTraceLimit = stackTraceLimit;
  return typeof frames === 'string' ? textFrames(frames) : frames;
}

/** The frames of an engine that has stacks as text only: one line per frame. */
function textFrames(text: string): NodeJS.CallSite[] {
  const lines = text.split('\n').filter((line) => line.includes(':'));
  return lines.map((line) => ({ getFileName: () => line, toString: () => line.trim() }) as NodeJS.CallSite);
}

function isLibrary(file: string | null | undefined): boolean {
  library.folder ??= import.meta.url ? new URL('..', import.meta.url).pathname : '';
  return library.folder !== '' && (file?.includes(library.folder) ?? false);
}

/** One line for a caller: object, vma, hook and call site, as far as they are known. */
export function callerText(by: Attribution): string {
  const parts = [by.object, by.vma, by.hook && `in ${by.hook}`, by.site && `at ${by.site}`].filter(Boolean);
  return parts.length === 0 ? 'nobody named' : parts.join(', ');
}
