import type { Random } from '#random';
import type { KernelProgram } from '../peer/peer.js';

/**
 * A part of the core that is driven side by side with the kernel's own function: a list of random operations goes through the
 * kernel's file, compiled for user space, which makes a recording of it; the library replays the recording.
 */
export interface Subject {
  /** What the kernel's program is made of; its driver is called `record OPERATIONS` and prints the recording. */
  program: KernelProgram;
  /**
   * Operations of one run, in the words of the driver. The first line describes what they work on and always stays; any other
   * one may be taken out when a difference is cut down.
   */
  generate(random: Random, steps: number): string[];
}
