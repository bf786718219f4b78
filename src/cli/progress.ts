import { Presets, SingleBar } from 'cli-progress';
import type { CallProgress } from '../core/slices.js';

/** Where a long command stands. */
export interface ProgressSink {
  /** Shows the bar at done / total with a few words. Nothing when standard error is no terminal. */
  readonly update: (progress: CallProgress) => void;
}

/** A progress bar that comes with its first update and can be taken away while something else is printed. */
export class ProgressBar implements ProgressSink {
  readonly #stream: NodeJS.WriteStream;
  #wanted: boolean;
  #bar: SingleBar | undefined;

  /** @param wanted false: nothing is ever shown */
  constructor(stream: NodeJS.WriteStream, wanted: boolean) {
    this.#stream = stream;
    this.#wanted = wanted;
  }

  readonly update = ({ done, total, what }: CallProgress): void => {
    if (!this.#wanted) return;
    const most = Math.max(total, done, 1);
    if (!this.#bar) {
      this.#bar = this.#make();
      this.#bar.start(most, Math.min(done, most), { what });
    }
    this.#bar.setTotal(most);
    this.#bar.update(done, { what });
  };

  /** Takes the bar off the screen until the next update. */
  hide(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  /** Takes the bar away for good: the cursor is back, and no update changes that. */
  close(): void {
    this.hide();
    this.#wanted = false;
  }

  #make(): SingleBar {
    const columns = this.#stream.columns || 80;
    return new SingleBar(
      {
        format: '{bar} {percentage}%  {what}',
        stream: this.#stream,
        hideCursor: true,
        clearOnComplete: true,
        barsize: Math.max(6, Math.min(24, columns >> 2)),
        fps: 10,
        // Signals are the frame's business.
        gracefulExit: false,
      },
      Presets.rect,
    );
  }
}
