import fc from 'fast-check';

/** Numbers that a step may use up. */
const NUMBERS = 14;

/** Sequences of at most `most` calls; the first element makes the machines. */
export function steps(most: number): fc.Arbitrary<number[][]> {
  const step = fc.array(fc.nat(0xffff), { minLength: NUMBERS, maxLength: NUMBERS });
  return fc.array(step, { minLength: 1, maxLength: most, size: 'max' });
}
