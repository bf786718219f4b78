// The leak of Linux before e227330223a7, as a client of i915 causes it: six ioctls, under two mapping policies.
//
//   node examples/six-ioctls.mjs

import { pathToFileURL } from 'node:url';
import { IOCTL, Machine, packStruct, UserBlock, unpackStruct } from 'gemdma';

/** Makes the six requests. @returns mappings that are left once the client has closed its file */
export function sixIoctls(policy) {
  const machine = new Machine({ ram: '64MiB', kernel: 'linux-6.12', iommu: 'strict' });
  const gpu = machine.addI915({ gen: 8, policy, ppgtt: 'full' });
  const memory = new UserBlock();
  const file = gpu.open({ memory });
  const ioctl = (name, struct, fields) => {
    const buffer = packStruct(struct, fields);
    const result = file.ioctl(IOCTL[name], buffer);
    if (result !== 0) throw new Error(`${name}: ${result}`);
    return unpackStruct(struct, buffer);
  };
  // The one object of a batch is the batch.
  const run = (handle, context) => {
    const buffers_ptr = memory.place(packStruct('gem_exec_object2', { handle }));
    ioctl('I915_GEM_EXECBUFFER2', 'gem_execbuffer2', { buffers_ptr, buffer_count: 1, flags: 1, rsvd1: context });
  };

  const { handle } = ioctl('I915_GEM_CREATE', 'gem_create', { size: 1024 * 1024 });
  const { ctx_id } = ioctl('I915_GEM_CONTEXT_CREATE', 'gem_context_create');
  run(handle, 0);
  run(handle, ctx_id); // a second address space: i915-4.1 maps again, and the first mapping is lost
  ioctl('I915_GEM_WAIT', 'gem_wait', { bo_handle: handle, timeout_ns: -1 });
  ioctl('GEM_CLOSE', 'gem_close', { handle });

  file.close();
  const { lost, bySite } = machine.dmaDebug.report();
  return { lost: lost.count, iovaBytes: lost.iovaBytes, where: bySite[0]?.origin };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const policy of ['i915-4.1', 'i915-4.2']) {
    const { lost, iovaBytes } = sixIoctls(policy);
    console.log(`${policy}: ${lost} entries of dma-debug lost, ${iovaBytes / 1024} KiB of device address space`);
  }
}
