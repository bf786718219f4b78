import { GemDmaError } from '../../../src/core/errors.js';
import { type Act, Thrown } from './acts.js';
import { Endless, type HookName, Stage } from './stage.js';

/** What came of a life. */
export interface Outcome {
  wrong: string[];
  /** How often the hook ran. */
  ran: number;
  /** Records of the core that are left when all is given back; undefined where the machine was disposed. */
  left: number | undefined;
}

/**
 * One life with an act in a hook.
 * @param answers what the act returns and throws is the hook's answer; else it only acts
 * @param records that a life leaves in which the hook does nothing
 */
export function trial(hook: HookName, act: Act, answers: boolean, records?: number): Outcome {
  const outcome = live(hook, act, answers, records, false);
  // Once more on another machine, looking after each step.
  return outcome.wrong.length === 0 ? outcome : live(hook, act, answers, records, true);
}

/** The stage of the last trial: going back is cheaper than making another. */
let last: Stage | undefined;

function live(hook: HookName, act: Act, answers: boolean, records: number | undefined, thorough: boolean): Outcome {
  const stage = thorough || last === undefined || last.disposed ? new Stage(hook) : last.again(hook);
  last = stage;
  const { machine } = stage;
  const wrong: string[] = [];
  const made: unknown[] = [];
  stage.begin((focus) => {
    if (answers) return act(stage, focus);
    try {
      made.push(act(stage, focus));
    } catch (error) {
      if (!documented(error)) wrong.push(`in the hook: ${said(error)}`);
    }
    return undefined;
  });
  for (const [i, step] of stage.steps().entries()) {
    try {
      step();
    } catch (error) {
      if (error instanceof Endless) throw error;
      if (!documented(error) && !(answers && isOwn(error))) wrong.push(`step ${i}: ${said(error)}`);
    }
    if (stage.disposed) return { wrong, ran: stage.ran, left: undefined };
    if (!thorough) continue;
    try {
      machine.check();
    } catch (error) {
      return { wrong: [...wrong, `after step ${i}: ${said(error)}`], ran: stage.ran, left: undefined };
    }
  }
  stage.end();
  let left: number | undefined;
  try {
    machine.check();
    for (const kind of ['ram', 'gtt'] as const) machine.failAllocation(kind, 0);
    stage.another();
    stage.close(made);
    left = machine.core.tools.machineRecords(machine.context);
    if (records !== undefined && left !== records) wrong.push(`${left} records are left, not ${records}`);
  } catch (error) {
    wrong.push(`at the end: ${said(error)}`);
  }
  return { wrong, ran: stage.ran, left };
}

/** Whether it is an error of the library that a call may throw. */
export function documented(error: unknown): boolean {
  if (error instanceof GemDmaError) return true;
  if (!(error instanceof TypeError || error instanceof RangeError)) return false;
  return typeof (error as { code?: unknown }).code === 'string';
}

// What the act has thrown itself.
function isOwn(error: unknown): boolean {
  if (error === undefined || error === null || error === 5) return true;
  return error instanceof Thrown || (error instanceof Error && error.message === 'made up');
}

function said(error: unknown): string {
  try {
    return error instanceof Error ? `${error.stack?.split('\n').slice(0, 6).join(' ')}` : String(error);
  } catch {
    return 'an error that cannot be looked at';
  }
}
