import { REASON_NONE } from './generated/constants.js';
import { REASONS } from './generated/names.js';

/** Reason codes of the core (assembly/memory/reason.ts) to their stable identifiers, as errors and reports carry them. */
const NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(REASONS)
    .filter(([, code]) => code !== REASON_NONE)
    .map(([name, code]) => [code, name]),
);

/** The identifier of a reason code; undefined for 0, an unknown one is given as a number. */
export function reasonName(code: number): string | undefined {
  return code === REASON_NONE ? undefined : (NAMES.get(code) ?? `REASON_0x${code.toString(16)}`);
}
