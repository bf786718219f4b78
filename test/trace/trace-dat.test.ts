import { describe, expect, test } from 'vitest';
import { type DatOptions, type DatRecord, writeTraceDat } from './dat-writer.js';
import { golden, inMemory, once, rowsOf } from './support.js';

/** Everything but the time, which the report prints to the microsecond. */
function untimed(rows: Record<string, unknown>[]): unknown[] {
  return rows.map(({ time, ...rest }) => ({ ...rest, time: Math.round((time as number) / 1000) }));
}

describe('trace.dat', () => {
  test("version 7 with zstd: the rows are those of trace-cmd's own report, whose lists it could not print", async () => {
    const file = await rowsOf(inMemory(golden('trace-cmd.dat')));
    const report = await rowsOf(once(golden('trace-cmd-report.txt')));
    expect(file.rows).toHaveLength(128);
    expect(untimed(file.rows)).toEqual(untimed(report.rows));
    expect(report.gaps.notUnderstoodLines).toBe(0);
  });

  test('as a stream it is kept in memory and read the same', async () => {
    const bytes = golden('trace-cmd.dat');
    expect((await rowsOf(once(bytes.subarray(0, 5), bytes.subarray(5)))).rows).toEqual(
      (await rowsOf(inMemory(bytes))).rows,
    );
  });

  const records: DatRecord[] = [
    { cpu: 0, time: 1_000_000_123, pid: 83, event: 'map', iova: 0xfffa0000n, paddr: 0x102353000n, size: 4096 },
    { cpu: 1, time: 1_000_000_200, pid: 41, event: 'map', iova: 0xfffffffffffff123n, paddr: 0x1000n, size: 8192 },
    { cpu: 0, time: 1_000_000_300, pid: 0, event: 'sched_switch' },
    { cpu: 0, time: 9_000_000_000, pid: 0, event: 'map', iova: 0x1000n, paddr: 0x2000n, size: 1 },
    ...Array.from(
      { length: 4 },
      (_, i): DatRecord => ({
        ...{ cpu: i & 1, time: 9_100_000_000 + i, pid: 83, event: 'dma_unmap_sg', device: '0000:00:1f.2', dir: 2 },
        addrs: Array.from({ length: 1 + i * 20 }, (_, k) => BigInt(0x105b46580 + k * 4096)),
      }),
    ),
  ];
  const shapes: [string, DatOptions][] = [6, 7].flatMap((version) =>
    [true, false].flatMap((little) =>
      (version === 6 ? ['none'] : ['none', 'zlib']).map((compression): [string, DatOptions] => [
        `version ${version}, ${little ? 'little' : 'big'} endian, ${compression}`,
        { version, little, compression } as DatOptions,
      ]),
    ),
  );

  test.each(shapes)('%s', async (_, options) => {
    const { rows, gaps } = await rowsOf(inMemory(writeTraceDat(records, options)));
    expect(rows.map(({ kind }) => kind)).toEqual(['map', 'map', 'map', ...new Array(4).fill('dma_unmap_sg')]);
    expect(rows[0]).toMatchObject({
      time: 1_000_000_123,
      cpu: 0,
      task: 'dd-83',
      page: 0xfffa0,
      physical: 0x102353000,
      size: 4096,
    });
    expect(rows[1]).toMatchObject({ cpu: 1, task: 'scsi_eh_0-41', page: 2 ** 52 - 1, offset: 0x123, size: 8192 });
    expect(rows[2]).toMatchObject({ time: 9_000_000_000, task: '<idle>-0', page: 1 });
    rows.slice(3).forEach((row, i) => {
      expect(row).toMatchObject({ time: 9_100_000_000 + i, device: '0000:00:1f.2', direction: 2 });
      expect(row.phys).toEqual(records[4 + i].addrs!.map(Number));
    });
    expect(gaps.otherEvents.get('sched_switch')).toBe(1);
    expect(gaps.lostEvents).toBe(options.version === 7 ? 7 : 0);
  });

  test('what a page says was lost before it', async () => {
    const { gaps } = await rowsOf(inMemory(writeTraceDat(records, { version: 6, little: true, lost: 11 })));
    expect(gaps.lostEvents).toBe(11);
  });

  test('a file that was cut is an error with its reason, never a crash', async () => {
    const whole = writeTraceDat(records, { version: 7, little: true });
    for (let length = 10; length < whole.length; length += 97) {
      await rowsOf(inMemory(whole.subarray(0, length))).catch((error: Error) => {
        expect(error.name).toBe('TraceError');
      });
    }
  });
});
