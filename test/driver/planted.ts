import { readFileSync } from 'node:fs';

/** A mistake that a driver of examples/drivers can be built with, as the comment at its line says. */
export interface PlantedBug {
  macro: string;
  by: 'run' | 'fail-nth';
  id: string;
  /** Whether the line is where it is found, or where what it is about was made. */
  where: 'at' | 'born';
  line: number;
}

const COMMENT = /(BUG_\w+): (run|fail-nth) (\w+) (at|born)/g;

/** Every planted bug of a source file. */
export function plantedBugs(path: string): PlantedBug[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .flatMap((text, i) =>
      [...text.matchAll(COMMENT)].map(([, macro, by, id, where]) => ({
        macro,
        by: by as PlantedBug['by'],
        id,
        where: where as PlantedBug['where'],
        line: i + 1,
      })),
    );
}

/** Macros that a source file tests for. */
export function bugMacros(path: string): string[] {
  const text = readFileSync(path, 'utf8');
  return [...new Set([...text.matchAll(/#\s*ifn?def (BUG_\w+)/g)].map(([, macro]) => macro))];
}
