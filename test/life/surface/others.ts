import { LIBRARY } from '../../../src/core/life.js';
import { buildDriver, CDriver, type RingNic, RingNicModel } from '../../../src/driver/index.js';
import { DriverScenario } from '../../../src/driver/scenario.js';
import type { DrmDevice } from '../../../src/drm/device.js';
import { Machine, ShmemFile, UserBlock } from '../../../src/index.js';
import { Random, Weighted } from '../../../src/stress/engine/random.js';
import { World } from '../../../src/stress/world/world.js';
import { WorkerPool } from '../../../src/threads/index.js';
import { Gaps } from '../../../src/trace/batches/completeness.js';
import { Audit, FtraceWriter, Rebuild } from '../../../src/trace/index.js';
import { Contents, Entities, StressFailure } from '../../../src/workload/index.js';
import { repertoireOf, stressConfig } from '../../../src/workload/stress.js';
import type { Rig } from './rig.js';

/** Objects of the public classes that belong to no machine of a rig, or to one of their own. */

const NAMES = [
  'index',
  'iova/index',
  'workload/index',
  'recordings/index',
  'replay/index',
  'trace/index',
  'threads/index',
  'driver/index',
];
/** Declarations of every entry of the package. */
export const ENTRIES = NAMES.map((name) => `dist/${name}.d.ts`);

/** What a driver of examples/drivers/nic has as its device. */
export const NIC: RingNic = {
  ...{ ids: '1234:0011', bars: [4096], irq: { status: 0x14, enable: 0x18, tx: 2, rx: 1 } },
  tx: { bytes: 16, entries: 32, own: [0, 0x80000000], address: 8, length: [0, 0xffff], base: 8, done: {} },
  rx: { bytes: 16, entries: 32, own: [0, 0x80000000], address: 8, length: [0, 0xffff], base: 0, done: {} },
};

/** A driver in C, built once. */
export async function nicDriver(): Promise<Uint8Array> {
  const files = [new URL('../../../examples/drivers/nic/ring_nic.c', import.meta.url).pathname];
  return (await buildDriver({ files, cache: 'build/driver-cache' })).wasm;
}

export async function others({ machine, objects }: Rig): Promise<Record<string, object>> {
  const repertoire = repertoireOf();
  const world = new World(LIBRARY, stressConfig({ machine: { ram: '16MiB' } }), repertoire);
  const rebuild = new Rebuild();
  const driver = new CDriver(new Machine({ ram: '64MiB', memoryLimit: '256MiB' }), await nicDriver(), NIC_DEVICE);
  return {
    ...{ Audit: new Audit(), FtraceWriter: new FtraceWriter(), Rebuild: rebuild, Operations: rebuild.operations },
    ...{ Gaps: new Gaps('x'), Random: new Random(1), Weighted: new Weighted([1], [1]), Contents: new Contents() },
    ...{ Entities: new Entities(), StressFailure: new StressFailure('error', 'x', 'x'), Repertoire: repertoire },
    ...{ World: world, I915Part: world.parts[0], DmaPart: world.parts[1], WorldPart: world.parts[1] },
    ...{ Reclaim: machine.reclaim, ShmemFile: new ShmemFile(objects.DrmDevice as DrmDevice, 4096) },
    ...{
      CDriver: driver,
      ModelDevice: driver.hardware,
      Findings: driver.findings,
      DriverScenario: new DriverScenario(driver),
    },
    RingNicModel: new RingNicModel(driver.hardware, NIC),
    UserBlock: new UserBlock(),
    WorkerPool: await WorkerPool.create(1, { ram: '16MiB' }),
  };
}

const NIC_DEVICE = { ids: NIC.ids, bars: NIC.bars };
