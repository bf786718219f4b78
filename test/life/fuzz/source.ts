/** Numbers that decide what a step does, used up one by one: fast-check makes and shrinks them. */
export class Source {
  private readonly numbers: readonly number[];
  private at = 0;
  /** Of what goes on without an end; 0: zeros follow. */
  private state: number;
  /** Objects and arguments that were chosen, for the report. */
  readonly chosen: unknown[] = [];

  /** @param seed not 0: after the last number others follow, drawn from it */
  constructor(numbers: readonly number[], seed = 0) {
    this.numbers = numbers;
    this.state = seed;
  }

  /** The next number, below `limit`. After the last it is 0, or drawn. */
  below(limit: number): number {
    if (this.at < this.numbers.length) return this.numbers[this.at++] % limit;
    if (this.state === 0) return 0;
    // xorshift32
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) % limit;
  }

  /** Notes a choice. */
  note<T>(value: T): T {
    this.chosen.push(value);
    return value;
  }

  /** True once in `n`. */
  once(n: number): boolean {
    return this.below(n) === n - 1;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)];
  }
}

/** What no argument may be, whatever it is for. */
export const WRONG: readonly unknown[] = [
  undefined,
  null,
  Number.NaN,
  -1,
  1.5,
  2 ** 32,
  2 ** 53,
  -(2 ** 31),
  1e300,
  Number.POSITIVE_INFINITY,
  -0,
  '4096',
  '',
  true,
  {},
  [],
  [1],
  () => 1,
  async () => 1,
  5n,
  Symbol('wrong'),
  { valueOf: () => 4096 },
  { handle: 4096, record: 4096, alive: true },
  Object.create(null),
  new Proxy({}, {}),
];
