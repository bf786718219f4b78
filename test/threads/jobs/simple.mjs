// A job of test/threads/pool.test.ts: does what its data says.

export default function simple({ core, index, workers, stopped }, what) {
  if (what === 'throw' && index === 0) throw new RangeError('worker 0 refuses');
  if (what === 'die' && index === 0) process.exit(3);
  if (what === 'loop' || what === 'throw' || what === 'die') {
    let rounds = 0;
    do ++rounds;
    while (!stopped());
    return rounds;
  }
  return { what, index, workers, cpu: core.exports.cpuGet() };
}
