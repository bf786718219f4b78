// The built package: a worker's module must be JavaScript.
import { contention, WorkerPool } from 'gemdma/threads';
import { describe, expect, test } from 'vitest';
import { sections } from '../core/sections.js';

const job = (name: string): URL => new URL(`./jobs/${name}.mjs`, import.meta.url);

describe('the threads build', () => {
  test('has no data segment: each instance would write it into the shared memory again', () => {
    expect(sections('debug.wasm').has(10), 'the sections are read right: there is code').toBe(true);
    expect(sections('threads.wasm').has(11)).toBe(false);
    expect(sections('release.wasm').has(11)).toBe(false);
  });

  test('has no start function, which could reset what runs', () => {
    expect(sections('threads.wasm').has(8)).toBe(false);
  });
});

describe('worker pool', () => {
  test('each worker is its own virtual CPU and gets its data', async () => {
    await using pool = await WorkerPool.create(2, { ram: '16MiB' });
    const results = await pool.run(job('simple'), (index: number) => `for ${index}`);
    expect(results).toEqual([
      { what: 'for 0', index: 0, workers: 2, cpu: 1 },
      { what: 'for 1', index: 1, workers: 2, cpu: 2 },
    ]);
    expect(pool.machine.core.exports.cpuGet()).toBe(0);
  });

  test('a job that throws stops the others, and the pool goes on', async () => {
    await using pool = await WorkerPool.create(2, { ram: '16MiB' });
    await expect(pool.run(job('simple'), 'throw')).rejects.toThrow('worker 0 refuses');
    expect(await pool.run(job('simple'), 'again')).toHaveLength(2);
    await expect(pool.run(job('no-such-job'))).rejects.toThrow(/no-such-job/);
    expect(await pool.run(job('simple'), 'again')).toHaveLength(2);
  });

  test('stop() ends a running job; a second job at the same time is refused', async () => {
    await using pool = await WorkerPool.create(2, { ram: '16MiB' });
    const running = pool.run<number>(job('simple'), 'loop');
    await expect(pool.run(job('simple'), 'loop')).rejects.toThrow('runs a job already');
    setTimeout(() => pool.stop(), 50);
    for (const rounds of await running) expect(rounds).toBeGreaterThan(0);
  });

  test('a worker that dies fails its job and closes the pool', async () => {
    await using pool = await WorkerPool.create(2, { ram: '16MiB' });
    await expect(pool.run(job('simple'), 'die')).rejects.toThrow('ended before its job');
    await expect(pool.run(job('simple'), 'again')).rejects.toThrow('closed');
  });

  test('a machine that a worker died in says so at every call', async () => {
    await using pool = await WorkerPool.create(2, { ram: '16MiB' });
    const device = pool.machine.addDevice();
    await expect(pool.run(job('simple'), 'die')).rejects.toThrow('ended before its job');
    const broken = expect.objectContaining({ code: 'EIO', reason: 'MACHINE_BROKEN' });
    for (const call of [
      () => pool.machine.ram.alloc(1),
      () => pool.machine.addDevice(),
      () => pool.machine.check(),
      () => pool.machine.clock.advance(1),
      () => device.mapPage(300, 0, 4096, 0),
      () => device.destroy(),
    ]) {
      expect(call, String(call)).toThrow(broken);
    }
    device[Symbol.dispose]();
  });

  test('close() waits for a running job to return, and the machine can be used', async () => {
    const pool = await WorkerPool.create(2, { ram: '16MiB' });
    const running = pool.run<number>(job('simple'), 'loop');
    await pool.close();
    for (const rounds of await running) expect(rounds).toBeGreaterThan(0);
    expect(pool.machine.ram.alloc(1)).toHaveLength(1);
    pool.machine.check();
    await pool.close();
  });

  test('a job that does not return is cut off, and the machine says that it is broken', async () => {
    const pool = await WorkerPool.create(2, { ram: '16MiB' });
    const running = pool.run(job('simple'), 'forever');
    const failed = expect(running).rejects.toThrow('ended before its job');
    await pool.close({ timeout: 50 });
    await failed;
    expect(() => pool.machine.ram.alloc(1)).toThrow(expect.objectContaining({ code: 'EIO' }));
  });

  test('a worker that traps holds its locks for ever: nobody waits for them', async () => {
    await using pool = await WorkerPool.create(2, { ram: '16MiB' });
    await expect(pool.run(job('simple'), 'trap')).rejects.toThrow(/memory access|unreachable/);
    expect(() => pool.machine.ram.alloc(1)).toThrow(expect.objectContaining({ code: 'EIO', reason: 'MACHINE_BROKEN' }));
  });

  test.each(['trap', 'trap, then die'])(
    'a lock of a dead worker fails the host that waits for it: %s',
    async (what) => {
      await using pool = await WorkerPool.create(2, { ram: '16MiB' });
      const { ram } = pool.machine;
      const failed = expect(pool.run(job('simple'), what)).rejects.toThrow();
      // Nothing that the workers say is heard meanwhile.
      const use = (): void => {
        for (;;) ram.free(ram.alloc(16));
      };
      expect(use).toThrow(expect.objectContaining({ code: 'EIO', syscall: 'lock', reason: 'LOCK_HOLDER_DEAD' }));
      expect(() => ram.alloc(1)).toThrow(expect.objectContaining({ code: 'EIO', reason: 'MACHINE_BROKEN' }));
      await failed;
    },
  );

  test('data that cannot be sent is refused before any worker has it', async () => {
    await using pool = await WorkerPool.create(2, { ram: '16MiB' });
    await expect(pool.run(job('simple'), (index: number) => (index === 1 ? { f() {} } : 'x'))).rejects.toThrow(/clone/);
    await expect(pool.run(5 as never)).rejects.toThrow(TypeError);
    expect(await pool.run(job('simple'), 'again')).toHaveLength(2);
  });

  test('data that throws while it is copied, later too, is refused before any worker has it', async () => {
    await using pool = await WorkerPool.create(2, { ram: '16MiB' });
    for (let good = 0; good < 4; ++good) {
      let reads = 0;
      const data = {
        get a() {
          if (reads++ >= good) throw new Error('mine');
          return 'x';
        },
      };
      // Each worker's copy reads it once: from the third read on there is nothing left to copy.
      const run = pool.run(job('count'), data).then(String, (error: Error) => error.message);
      expect(await run, `${good} reads`).toBe(good < 2 ? 'mine' : '1,1');
      expect(reads).toBe(Math.min(good + 1, 2));
    }
    const invalid = expect.objectContaining({ name: 'TypeError', code: 'ERR_INVALID_ARG_TYPE' });
    for (const data of [Symbol('mine'), { f() {} }])
      await expect(pool.run(job('simple'), data)).rejects.toThrow(invalid);
    const rejected = async (): Promise<never> => {
      throw new Error('nobody waits for it');
    };
    await expect(pool.run(job('simple'), rejected)).rejects.toThrow(
      expect.objectContaining({ code: 'ERR_INVALID_RETURN_VALUE' }),
    );
    expect(await pool.run(job('simple'), 'again')).toHaveLength(2);
    expect(pool.machine.ram.alloc(1)).toHaveLength(1);
  });

  test.each([
    'return a symbol',
    'return a function',
    'return a getter that throws',
    'throw a symbol',
    'throw undefined',
    'throw a getter that throws',
  ])('a job whose outcome cannot be sent fails, not the pool: %s', async (what) => {
    await using pool = await WorkerPool.create(2, { ram: '16MiB' });
    const outcome = await pool.run(job('simple'), what).then(
      () => 'resolved',
      (error) => (error === undefined ? 'threw undefined' : `${error.name}: ${error.message}`),
    );
    expect(outcome).toMatch(what === 'throw undefined' ? /^threw undefined$/ : /^TypeError: .* of worker 0 .* cloned/);
    expect(await pool.run(job('simple'), 'again')).toHaveLength(2);
    expect(pool.machine.ram.alloc(1)).toHaveLength(1);
  });

  test('what a pool that is closed or busy refuses has a code', async () => {
    const pool = await WorkerPool.create(1, { ram: '16MiB' });
    const running = pool.run(job('simple'), 'loop');
    const busy = expect.objectContaining({ name: 'GemDmaError', code: 'EBUSY', reason: 'JOB_UNDER_WAY' });
    await expect(pool.run(job('simple'), 'x')).rejects.toThrow(busy);
    await pool.close();
    await running;
    const closed = expect.objectContaining({ name: 'GemDmaError', code: 'ENODEV', reason: 'POOL_CLOSED' });
    await expect(pool.run(job('simple'), 'x')).rejects.toThrow(closed);
  });

  test.each([null, { cpus: Number.NaN }, { cpus: 'x' }, { bogus: 1 }, 5])('options %j are refused', async (options) => {
    const refused = expect.objectContaining({ code: expect.stringMatching(/^ERR_/) });
    await expect(WorkerPool.create(1, options as never)).rejects.toThrow(refused);
  });

  test('contention is counted where it happens', async () => {
    // Enough that there are always frames left for the host, whatever the workers hold and have on their stacks.
    await using pool = await WorkerPool.create(2, { ram: '64MiB' });
    expect(contention(pool.machine)).toEqual({ blocks: 0, slabs: 0, ram: 0, iova: 0, iommu: 0, dmaDebug: 0 });
    const marks = new Int32Array(new SharedArrayBuffer(16384 * 4));
    const workers = pool.run(job('hammer'), { rounds: 1e9, seed: 1, marks });
    const { ram } = pool.machine;
    // The host takes part, too: whether two threads meet is up to the machine, so this goes on until they have.
    const deadline = Date.now() + 30_000;
    while (contention(pool.machine).ram === 0 && Date.now() < deadline) ram.free(ram.alloc(512));
    pool.stop();
    await workers;
    expect(contention(pool.machine).ram).toBeGreaterThan(0);
    expect(pool.machine.core.tools.machineCheck(pool.machine.context)).toBe(0);
  });

  test.each([1, 2, 3])('workers %i: frames and blocks have one owner each, and everything adds up', async (workers) => {
    const seed = 20261122;
    await using pool = await WorkerPool.create(workers, { ram: '64MiB', memoryLimit: '64MiB' });
    const { machine } = pool;
    const { pagesDrain } = machine.core.exports;
    const { blocksUsed, machineCheck } = machine.core.tools;
    const data = { rounds: 20_000, seed, marks: new Int32Array(new SharedArrayBuffer(16384 * 4)) };
    await pool.run(job('hammer'), { ...data, rounds: 1000 });
    pagesDrain(machine.context);
    const before = blocksUsed(machine.context);
    const results = await pool.run<{ steps: number; doubles: number }>(job('hammer'), data);
    for (const { steps, doubles } of results) {
      expect(steps).toBe(data.rounds);
      expect(doubles, `seed ${seed}`).toBe(0);
    }
    pagesDrain(machine.context);
    expect(machineCheck(machine.context)).toBe(0);
    expect(blocksUsed(machine.context)).toBe(before);
    // Every frame can be had again: none was lost.
    expect(machine.ram.alloc(16384 - 256)).toHaveLength(16384 - 256);
  });
});
