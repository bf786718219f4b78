import { formatEvent } from '../events/events.js';
import type { ScenarioStep } from '../workload/scenarios/scenario.js';
import { dim, number } from './print.js';

/** Events of one kind that a step shows; page tables alone make thousands. */
const SHOWN = 3;

/** Steps for people: what a program would say, and under it what the machine did. */
export function describeSteps(steps: readonly ScenarioStep[]): string[] {
  return steps.flatMap(({ program, events }) => {
    const counts = new Map<string, number>();
    const shown = events.filter(({ kind }) => {
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
      return counts.get(kind)! <= SHOWN;
    });
    const more = [...counts]
      .filter(([, count]) => count > SHOWN)
      .map(([kind, count]) => `${kind} ${number(count - SHOWN)}`);
    return [
      ...program.map((line) => `  ${line}`),
      ...shown.map((event) => dim(`      ${formatEvent(event)}`)),
      ...(more.length > 0 ? [dim(`      and more: ${more.join(', ')}`)] : []),
    ];
  });
}
