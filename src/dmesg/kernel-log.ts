import { checkBoolean, checkOptions } from '../core/arguments.js';
import type { ContextHandle } from '../core/generated/exports.js';
import type { Core } from '../core/instance.js';
import { readKernelLog } from '../core/kernel-log.js';
import { channel } from '../core/platform.js';
import { viewOf } from '../dma-debug/checks.js';
import type { AccessMessage, DmaPoolMessage } from './kinds.js';
import { type KernelMessage, type MessageContext, messageOf } from './message.js';

/** `gemdma:dmesg` of `node:diagnostics_channel` carries each KernelMessage at the end of the call that led to it. */
export const DMESG_CHANNEL = 'gemdma:dmesg';

const dmesgChannel = channel(DMESG_CHANNEL);

/** What `machine.dmesg()` shows. */
export interface DmesgOptions {
  /** `[    0.010000] ` before each line: seconds of virtual time. Default false, as `dmesg -t`. */
  timestamps?: boolean;
  /** Around the text of a WARN the lines that the kernel puts there, with the place. Default false. */
  warnings?: boolean;
  /** Only what the kernel would print with its limits: no error after num_errors, of no other driver. Default false. */
  printed?: boolean;
}

/** Messages that are kept; as in the kernel's buffer the newest. */
const KEPT_MESSAGES = 10_000;

/** A machine's kernel log. */
export class KernelLog {
  private readonly core: Core;
  private readonly context: ContextHandle;
  private readonly meaning: MessageContext;
  private readonly kept: KernelMessage[] = [];
  private readonly driverOf: (device: string) => string;
  private dropped = 0;

  /** @internal */
  constructor(core: Core, context: ContextHandle, meaning: MessageContext, driverOf: (device: string) => string) {
    this.core = core;
    this.context = context;
    this.meaning = meaning;
    this.driverOf = driverOf;
  }

  /** Whether the channel has a listener. @internal */
  get heard(): boolean {
    return dmesgChannel.hasSubscribers;
  }

  /** After a call: its messages go to the channel, if that has a listener. @internal */
  settle(): void {
    if (this.heard) this.collect();
  }

  /** Adds a line of the host about a device. @internal */
  say(id: DmaPoolMessage | AccessMessage, device: string, text: string, kernel = true): void {
    this.collect();
    const driver = this.driverOf(device);
    const time = this.core.exports.clockNow(this.context);
    const cpu = this.core.exports.cpuGet();
    const line = kernel ? `${driver} ${device}: ${text}` : `gemdma: ${driver} ${device}: ${id}: ${text}`;
    this.keep({ id, time, cpu, device, kernel, printed: true, text: [line] });
  }

  /** Removes the last fault: a handler has handled it. @internal */
  forgetFault(): void {
    this.collect();
    const at = this.kept.findLastIndex(({ id }) => id === 'FAULT');
    if (at >= 0) this.kept.splice(at, 1);
  }

  private keep(message: KernelMessage): void {
    this.kept.push(message);
    dmesgChannel.publish(message);
  }

  /** Puts in words what was said so far: names, drivers or masks of devices are about to change. @internal */
  collect(): void {
    this.dropped += this.core.exports.kmsgLost(this.context);
    for (const record of readKernelLog(this.core, this.context, viewOf)) {
      const message = messageOf(record, this.meaning);
      if (message === null) continue;
      this.keep(message);
    }
    const over = this.kept.length - KEPT_MESSAGES;
    if (over <= 0) return;
    this.dropped += over;
    this.kept.splice(0, over);
  }

  /** Messages so far, oldest first; of many the newest are kept. */
  get messages(): readonly KernelMessage[] {
    this.core.timeline.enter('dmesg');
    this.collect();
    return this.kept;
  }

  /** The same as lines. The first reports lost messages, as the kernel's console does. */
  lines(options: DmesgOptions = {}): string[] {
    const given = checkOptions('options', options, ['timestamps', 'warnings', 'printed']);
    const timestamps = checkBoolean('timestamps', given.timestamps, false);
    const warnings = checkBoolean('warnings', given.warnings, false);
    const printed = checkBoolean('printed', given.printed, false);
    const { messages } = this;
    const lines = this.dropped > 0 ? [`** ${this.dropped} printk messages dropped **`] : [];
    for (const message of messages) {
      if (printed && !(message.printed && message.kernel)) continue;
      const stamp = timestamps ? `[${(message.time / 1e9).toFixed(6).padStart(12)}] ` : '';
      for (const line of this.framed(message, warnings)) lines.push(stamp + line);
    }
    return lines;
  }

  private framed({ text, where, cpu, apart }: KernelMessage, warnings: boolean): string[] {
    if (where === undefined) return text;
    const first = this.meaning.words.warningFirst;
    const warning = `WARNING: CPU: ${cpu} PID: 0 at ${where}${first ? '()' : ''}`;
    if (!warnings) return text.length > 0 ? text : [warning];
    const frame = (story: string[]): string[] => [
      '------------[ cut here ]------------',
      ...story,
      '---[ end trace 0000000000000000 ]---',
    ];
    if (apart) return [...text, ...frame([warning])];
    const story = first ? [warning, ...text] : [...text, warning];
    return frame(story);
  }
}
