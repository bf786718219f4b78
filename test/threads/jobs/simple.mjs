// A job of test/threads/pool.test.ts: does what its data says.

const raise = (value) => {
  throw value;
};

/** Jobs whose result or error no message can carry. */
const UNSENDABLE = {
  'return a symbol': () => Symbol('mine'),
  'return a function': () => ({ f() {} }),
  'return a getter that throws': () => ({ get a() { return raise(new Error('mine')); } }),
  'throw a symbol': () => raise(Symbol('mine')),
  'throw undefined': () => raise(undefined),
  'throw a getter that throws': () => raise({ get a() { return raise(new Error('mine')); }, get reason() { return raise(1); } }),
};

export default function simple({ core, context, index, workers, stopped }, what) {
  if (Object.hasOwn(UNSENDABLE, what) && index === 0) return UNSENDABLE[what]();
  if (what === 'throw' && index === 0) throw new RangeError('worker 0 refuses');
  if (what === 'die' && index === 0) process.exit(3);
  if (what === 'forever') while (true) core.exports.clockNow(context);
  if (what === 'trap, then die' && index === 0) {
    try {
      core.exports.pagesAlloc(context, 16, 0xfffffff0);
    } catch {
      process.exit(3);
    }
  }
  if (what.startsWith('trap')) {
    // The frames go where there is no memory: the worker traps and holds the lock of RAM for ever.
    if (index === 0 && what === 'trap') core.exports.pagesAlloc(context, 16, 0xfffffff0);
    const at = core.exports.blockAlloc(context, 0);
    while (true) core.exports.pagesFree(context, core.exports.pagesAlloc(context, 16, at) === 0 ? 16 : 0, at);
  }
  if (what === 'loop' || what === 'throw' || what === 'die') {
    let rounds = 0;
    do ++rounds;
    while (!stopped());
    return rounds;
  }
  return { what, index, workers, cpu: core.exports.cpuGet() };
}
