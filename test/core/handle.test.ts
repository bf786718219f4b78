import { describe, expect, test } from 'vitest';
import { COLOR_NONE, EINVAL, ENOMEM, MM_MODERN } from '../../src/core/generated/constants.js';
import type {
  ContextHandle,
  DmaDeviceHandle,
  Failure,
  GgttHandle,
  GpuVmHandle,
  IommuDomainHandle,
  IovaDomainHandle,
  MmHandle,
  PpgttHandle,
  SgTableHandle,
} from '../../src/core/generated/exports.js';
import { failed, held, made } from '../../src/core/handle.js';
import { Core } from '../../src/core/instance.js';

/** Takes each handle as the core's exports take it; never called. */
declare const core: Core;

// The compiler is the test: each expect-error is an error of its own when the line below it has none.
function types(
  context: ContextHandle,
  device: DmaDeviceHandle,
  table: SgTableHandle,
  maybe: SgTableHandle | 0,
  domain: IommuDomainHandle,
  iova: IovaDomainHandle,
  mm: MmHandle,
  ggtt: GgttHandle,
  ppgtt: PpgttHandle,
  failure: Failure,
): void {
  const { exports } = core;
  // @ts-expect-error a number is no handle
  const invented: DmaDeviceHandle = 5;
  // @ts-expect-error not even when it was computed from one
  const moved: DmaDeviceHandle = device + 64;
  // @ts-expect-error a handle of another kind is none
  const other: DmaDeviceHandle = table;
  // @ts-expect-error the same for the domains of the IOMMU and of the IOVA allocator
  const allocator: IovaDomainHandle = domain;
  // @ts-expect-error a global GTT is an address space, but not each address space is a global GTT
  const wide: GgttHandle = ppgtt as GpuVmHandle;
  // @ts-expect-error what may be no record is looked at first
  const unsure: SgTableHandle = maybe;
  // @ts-expect-error an errno is no handle
  const errno: MmHandle = failure;
  // @ts-expect-error a call takes no number
  exports.deviceSetMask(4096, 64, 64);
  // @ts-expect-error nor a handle of another kind
  exports.sgDestroy(device);
  // @ts-expect-error the result of a call that makes a record is looked at first
  exports.mmDestroy(exports.mmCreate(context, 0, 4096, MM_MODERN, COLOR_NONE));
  // @ts-expect-error the same where there is one reason to fail
  exports.sgDestroy(exports.sgReserve(context, 1));
  // @ts-expect-error a comparison with 0 does not tell a handle from an errno
  const compared: MmHandle = ((rc) => (rc > 0 ? rc : mm))(exports.mmCreate(context, 0, 4096, MM_MODERN, COLOR_NONE));
  void [invented, moved, other, allocator, wide, unsure, errno, compared, iova];

  const space: GpuVmHandle = ggtt;
  const offset: number = device;
  const created = exports.mmCreate(context, 0, 4096, MM_MODERN, COLOR_NONE);
  if (!failed(created)) exports.mmDestroy(created);
  if (maybe !== 0) exports.sgDestroy(maybe);
  exports.sgDestroy(held(maybe));
  exports.sgDestroy(made(exports.sgReserve(context, 1), 'sg_alloc_table', 'memory for a table'));
  void [space, offset];
}

void types;

describe('the result of a call that makes a record', () => {
  const running = new Core();
  const context = made(running.exports.machineCreate(64 * 2 ** 20, 1, 1024, 0, 1), 'machine_create', 'machine');

  test('is a handle, or throws with its errno', () => {
    const { mmCreate, mmDestroy } = running.exports;
    const refused = mmCreate(context, 0, 0, MM_MODERN, COLOR_NONE);
    expect([refused, failed(refused)]).toEqual([EINVAL, true]);
    expect(() => made(refused, 'mm_create', 'range manager')).toThrow(
      expect.objectContaining({ code: 'EINVAL', errno: EINVAL, syscall: 'mm_create' }),
    );
    const mm = made(mmCreate(context, 0, 4096, MM_MODERN, COLOR_NONE), 'mm_create', 'range manager');
    expect(mmDestroy(mm)).toBe(0);
  });

  test('is ENOMEM for 0', () => {
    expect(() => made(0 as SgTableHandle | 0, 'sg_alloc_table', 'memory')).toThrow(
      expect.objectContaining({ code: 'ENOMEM', errno: ENOMEM, syscall: 'sg_alloc_table' }),
    );
    expect(() => held(0 as SgTableHandle | 0)).toThrow('invariant broken');
  });

  test('may lie above 2 GiB, where an i32 is negative', () => {
    const high = (2 ** 31 + 4096) | 0;
    expect([failed(high), failed(-4095), failed(-4096), failed(-1), failed(0), failed(64)]).toEqual([
      ...[false, true, false, true, false, false],
    ]);
    expect(made(high)).toBe(high);
  });
});
