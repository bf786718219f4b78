import * as contract from './generated/constants.js';

/** Reason codes of the core (assembly/reason.ts) to their stable identifiers, as errors and reports carry them. */
const REASONS: ReadonlyMap<number, string> = new Map(
  Object.entries(contract)
    .filter(([name, code]) => name.startsWith('REASON_') && code !== contract.REASON_NONE)
    .map(([name, code]) => [Number(code), name.slice('REASON_'.length)]),
);

/** The identifier of a reason code; undefined for 0, an unknown one is said by number. */
export function reasonName(code: number): string | undefined {
  return code === contract.REASON_NONE ? undefined : (REASONS.get(code) ?? `REASON_0x${code.toString(16)}`);
}
