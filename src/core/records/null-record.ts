/**
 * Wraps the functions of a module so that each checks the null record after the call: a read through handle 0 returns zeros, so no
 * call may write there (assembly/memory/context.ts). For the debug build.
 * @param bytes that nothing may be written to, from 0 on
 */
export function watchNullRecord<Exports extends WebAssembly.Exports>(
  exports: Exports,
  memory: WebAssembly.Memory,
  bytes: number,
): Exports {
  let words = new Int32Array(0);
  const check = (name: string): void => {
    if (words.length === 0) words = new Int32Array(memory.buffer, 0, bytes / 4);
    for (let i = 0; i < words.length; ++i) {
      if (words[i] !== 0) throw new Error(`${name} wrote to the null record, at +${i * 4}`);
    }
  };
  return Object.fromEntries(
    Object.entries(exports).map(([name, value]) => {
      if (typeof value !== 'function') return [name, value];
      const call = (...args: unknown[]): unknown => {
        const result = value(...args);
        check(name);
        return result;
      };
      return [name, call];
    }),
  ) as Exports;
}
