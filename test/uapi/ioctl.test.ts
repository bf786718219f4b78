import { describe, expect, test } from 'vitest';
import {
  ERRNO,
  IOCTL,
  Machine,
  Process,
  packStruct,
  type StructName,
  structSize,
  UserBlock,
  unpackStruct,
} from '../../src/index.js';
import { Client } from './client.js';

const [EPERM, ENOENT, E2BIG, EBADF, EFAULT, EINVAL, ENODEV, ENOSPC, EACCES, EBUSY, EAGAIN, ENOMEM] = (
  [
    'EPERM',
    'ENOENT',
    'E2BIG',
    'EBADF',
    'EFAULT',
    'EINVAL',
    'ENODEV',
    'ENOSPC',
    'EACCES',
    'EBUSY',
    'EAGAIN',
    'ENOMEM',
  ] as const
).map((name) => -ERRNO[name]);
/** What no call of the core returns. */
const [ENOTTY, ETIME] = [-25, -62];

describe('requests and structs', () => {
  test('numbers are those of the kernel headers', () => {
    const { VERSION, GEM_CLOSE, GEM_FLINK, GEM_OPEN, PRIME_HANDLE_TO_FD, PRIME_FD_TO_HANDLE } = IOCTL;
    expect([VERSION, GEM_CLOSE, GEM_FLINK, GEM_OPEN, PRIME_HANDLE_TO_FD, PRIME_FD_TO_HANDLE]).toEqual([
      ...[0xc0406400, 0x40086409, 0xc008640a, 0xc010640b, 0xc00c642d, 0xc00c642e],
    ]);
    expect(IOCTL).toMatchObject({
      I915_GETPARAM: 0xc0106446,
      I915_GEM_BUSY: 0xc0086457,
      I915_GEM_THROTTLE: 0x6458,
      I915_GEM_CREATE: 0xc010645b,
      I915_GEM_PREAD: 0x4020645c,
      I915_GEM_PWRITE: 0x4020645d,
      I915_GEM_MMAP: 0xc028645e,
      I915_GEM_SET_DOMAIN: 0x400c645f,
      I915_GEM_SW_FINISH: 0x40046460,
      I915_GEM_SET_TILING: 0xc0106461,
      I915_GEM_GET_TILING: 0xc0106462,
      I915_GEM_GET_APERTURE: 0x80106463,
      I915_GEM_MMAP_GTT: 0xc0106464,
      I915_GEM_MMAP_OFFSET: 0xc0206464,
      I915_GEM_MADVISE: 0xc00c6466,
      I915_GEM_EXECBUFFER2: 0x40406469,
      I915_GEM_EXECBUFFER2_WR: 0xc0406469,
      I915_GEM_WAIT: 0xc010646c,
      I915_GEM_CONTEXT_CREATE: 0xc008646d,
      I915_GEM_CONTEXT_CREATE_EXT: 0xc010646d,
      I915_GEM_CONTEXT_DESTROY: 0x4008646e,
      I915_GEM_SET_CACHING: 0x4008646f,
      I915_GEM_GET_CACHING: 0xc0086470,
      I915_REG_READ: 0xc0106471,
      I915_GET_RESET_STATS: 0xc0186472,
      I915_GEM_USERPTR: 0xc0186473,
      I915_GEM_CONTEXT_GETPARAM: 0xc0186474,
      I915_GEM_CONTEXT_SETPARAM: 0xc0186475,
      I915_QUERY: 0xc0106479,
      I915_GEM_VM_CREATE: 0xc010647a,
      I915_GEM_VM_DESTROY: 0x4010647b,
      I915_GEM_CREATE_EXT: 0xc018647c,
      SYNCOBJ_CREATE: 0xc00864bf,
      SYNCOBJ_DESTROY: 0xc00864c0,
      SYNCOBJ_HANDLE_TO_FD: 0xc01064c1,
      SYNCOBJ_WAIT: 0xc02864c3,
      SYNCOBJ_RESET: 0xc01064c4,
      SYNCOBJ_TIMELINE_WAIT: 0xc03064ca,
      SYNCOBJ_QUERY: 0xc01864cb,
      SYNCOBJ_TRANSFER: 0xc02064cc,
      SYNCOBJ_TIMELINE_SIGNAL: 0xc01864cd,
    });
  });

  test('structs without a request have the sizes of the headers', () => {
    const sizes: [StructName, number][] = [
      ['gem_exec_object2', 56],
      ['gem_relocation_entry', 32],
      ['gem_exec_fence', 8],
      ['query_item', 24],
      ['user_extension', 32],
      ['timeline_fences', 56],
    ];
    for (const [name, size] of sizes) expect([name, structSize(name)]).toEqual([name, size]);
  });

  test('pack and unpack are each other, for large and negative numbers too', () => {
    const bytes = packStruct('gem_wait', { bo_handle: 7, flags: -1, timeout_ns: -5n });
    expect(unpackStruct('gem_wait', bytes)).toEqual({ bo_handle: 7, flags: 0xffffffff, timeout_ns: 2n ** 64n - 5n });
    expect(unpackStruct('gem_wait', bytes.subarray(0, 4))).toEqual({ bo_handle: 7, flags: 0, timeout_ns: 0 });
    expect(() => packStruct('gem_wait', { handle: 1 } as never)).toThrow(TypeError);
    expect(() => packStruct('gem_wait', { flags: 1.5 })).toThrow(TypeError);
    expect(() => packStruct('nothing' as never)).toThrow(TypeError);
  });
});

describe('ioctl', () => {
  test('what is no request: another type ENOTTY, an unknown number EINVAL, a closed file EBADF', () => {
    const { file } = new Client();
    expect(file.ioctl(0x5401)).toBe(ENOTTY);
    expect(file.ioctl(0x64ff)).toBe(EINVAL);
    expect(file.ioctl(0x6450)).toBe(EINVAL);
    expect(file.ioctl(IOCTL.SYNCOBJ_CREATE, new Uint8Array(8))).toBe(EINVAL);
    file.close();
    expect(file.ioctl(IOCTL.VERSION, new Uint8Array(64))).toBe(EBADF);
    file.close();
    expect(() => file.ioctl('1' as never)).toThrow(TypeError);
    expect(() => file.ioctl(1, [] as never)).toThrow(TypeError);
  });

  test('a shorter struct is filled with zeros, of a longer one the rest stays', () => {
    const { file } = new Client();
    const size = (n: number): number => IOCTL.I915_GEM_CREATE - 0x100000 + n * 0x10000;
    const short = packStruct('gem_create', { size: 4096 }).subarray(0, 12);
    expect(file.ioctl(size(12), short)).toBe(0);
    expect(short[8]).toBe(1);
    const long = new Uint8Array(24).fill(0xaa);
    long.set(packStruct('gem_create', { size: 4096, handle: 99 }));
    expect(file.ioctl(size(24), long)).toBe(0);
    expect([...long.subarray(8, 12), ...long.subarray(16)]).toEqual([2, 0, 0, 0, ...new Array(8).fill(0xaa)]);
    expect(file.ioctl(size(8), new Uint8Array(8))).toBe(EINVAL);
    expect(file.ioctl(IOCTL.I915_GEM_CREATE, new Uint8Array(15))).toBe(EFAULT);
    expect(file.ioctl(IOCTL.I915_GEM_CREATE)).toBe(EFAULT);
  });

  test('direction bits that the request has not are ignored, and those that it lacks copy nothing', () => {
    const { file } = new Client();
    const buffer = packStruct('gem_create', { size: 4096 });
    expect(file.ioctl(IOCTL.I915_GEM_CREATE - 0x80000000, buffer)).toBe(0);
    expect(unpackStruct('gem_create', buffer).handle).toBe(0);
    expect(file.ioctl(IOCTL.GEM_CLOSE + 0x80000000, packStruct('gem_close', { handle: 1 }))).toBe(0);
  });

  test('VERSION gives the texts as far as there is room, and their lengths', () => {
    const client = new Client();
    const name = client.memory.place(new Uint8Array(16));
    const answer = client.call('VERSION', 'version', { name_len: 3, name });
    expect(answer).toMatchObject({ rc: 0, version_major: 1, version_minor: 6, name_len: 4, date_len: 8, desc_len: 14 });
    expect(new TextDecoder().decode(client.memory.read(name, 5)!)).toBe('i91\0\0');
    expect(client.call('VERSION', 'version', { name_len: 4, name: 8 }).rc).toBe(EFAULT);
  });

  test('GETPARAM', () => {
    const client = new Client({ gen: 7 });
    const at = client.memory.place(new Uint8Array(8));
    const param = (n: number): number | string => {
      const { rc } = client.call('I915_GETPARAM', 'getparam', { param: n, value: at });
      return rc === 0 ? new DataView(client.memory.bytes.buffer).getInt32(at - client.memory.base, true) : `${rc}`;
    };
    expect([4, 5, 6, 9, 10, 11, 17, 18, 22, 30].map(param)).toEqual([0x166, 1, 32, 1, 1, 1, 1, 1, 0, 1]);
    expect([1, 2, 3, 33, 34].map(param)).toEqual(new Array(5).fill(`${ENODEV}`));
    expect([0, 35, 37, 1000, -1].map(param)).toEqual(new Array(5).fill(`${EINVAL}`));
    expect(client.call('I915_GETPARAM', 'getparam', { param: 4, value: 8 }).rc).toBe(EFAULT);
  });

  test('a render node refuses names and authentication', () => {
    const client = new Client({}, { node: 'render' });
    const handle = client.create(4096);
    expect(client.call('GEM_FLINK', 'gem_flink', { handle }).rc).toBe(EACCES);
    expect(client.call('GEM_OPEN', 'gem_open', { name: 1 }).rc).toBe(EACCES);
    expect(client.call('I915_GEM_SW_FINISH', 'gem_sw_finish', { handle }).rc).toBe(0);
  });

  test('what a finding of dma-debug throws with strict, or a hook, is no result', () => {
    const machine = new Machine({ ram: '64MiB' });
    const policy = {
      name: 'broken',
      getPages: () => {
        throw new RangeError('mine');
      },
    };
    const client = new Client({ gen: 8, policy }, {}, machine);
    const handle = client.create(4096);
    expect(() => client.pwrite(handle, 0, new Uint8Array(4))).toThrow('mine');
    machine[Symbol.dispose]();
    expect(() => client.file.ioctl(IOCTL.VERSION, new Uint8Array(64))).toThrow(/disposed/);
  });
});

describe('objects', () => {
  test('handles begin at 1 and the lowest free one is taken; a second close is EINVAL', () => {
    const client = new Client();
    expect([client.create(4096), client.create(1), client.create(4097)]).toEqual([1, 2, 3]);
    expect(client.file.object(3)!.size).toBe(8192);
    expect(client.call('GEM_CLOSE', 'gem_close', { handle: 2 }).rc).toBe(0);
    expect(client.call('GEM_CLOSE', 'gem_close', { handle: 2 }).rc).toBe(EINVAL);
    expect([client.create(4096), client.create(4096), client.file.handleCount]).toEqual([2, 4, 4]);
  });

  test('sizes: nothing, what rounds to nothing, what there is no room for', () => {
    const client = new Client();
    const rc = (size: number | bigint): number => client.call('I915_GEM_CREATE', 'gem_create', { size }).rc;
    expect([rc(0), rc(2n ** 64n - 1n), rc(2n ** 64n - 4096n), rc(2n ** 60n)]).toEqual([EINVAL, EINVAL, ENOMEM, ENOMEM]);
    expect(client.call('I915_GEM_CREATE', 'gem_create', { size: 5000 })).toMatchObject({ rc: 0, size: 5000 });
    const modern = new Client({}, { profile: 'modern' });
    expect(modern.call('I915_GEM_CREATE', 'gem_create', { size: 5000 })).toMatchObject({ rc: 0, size: 8192 });
    expect(modern.call('I915_GEM_CREATE', 'gem_create', { size: 2n ** 60n }).rc).toBe(E2BIG);
  });

  test('pread and pwrite', () => {
    const client = new Client();
    const handle = client.create(8192);
    expect(client.pwrite(handle, 4090, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8))).toBe(0);
    expect([...client.pread(handle, 4089, 10)]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 0]);
    const at = client.memory.place(new Uint8Array(8));
    const rc = (fields: object, name: 'I915_GEM_PREAD' | 'I915_GEM_PWRITE'): number =>
      client.call(name, 'gem_pread', { handle, size: 8, data_ptr: at, ...fields }).rc;
    for (const name of ['I915_GEM_PREAD', 'I915_GEM_PWRITE'] as const) {
      expect(rc({ handle: 99, size: 0 }, name)).toBe(0);
      expect(rc({ handle: 99 }, name)).toBe(ENOENT);
      expect(rc({ offset: 8185 }, name)).toBe(EINVAL);
      expect(rc({ offset: 2n ** 64n - 4n }, name)).toBe(EINVAL);
      expect(rc({ data_ptr: 16 }, name)).toBe(EFAULT);
      expect(rc({ data_ptr: 2n ** 63n }, name)).toBe(EFAULT);
    }
    // Linux 4.2 looks at the memory first, newer ones at the handle.
    expect(rc({ handle: 99, data_ptr: 16 }, 'I915_GEM_PWRITE')).toBe(EFAULT);
    const modern = new Client({}, { profile: 'modern' });
    expect(modern.call('I915_GEM_PWRITE', 'gem_pread', { handle: 9, size: 8, data_ptr: 16 }).rc).toBe(ENOENT);
  });

  test('madvise: an object that was never touched is purged at once', () => {
    const client = new Client();
    const handle = client.create(4096);
    const advise = (madv: number): unknown => {
      const { rc, retained } = client.call('I915_GEM_MADVISE', 'gem_madvise', { handle, madv, retained: 1 });
      return rc === 0 ? retained : rc;
    };
    expect([advise(1), advise(0), advise(2)]).toEqual([0, 0, EINVAL]);
    expect(client.pwrite(handle, 0, new Uint8Array(4))).toBe(EFAULT);
    expect(client.call('I915_GEM_MADVISE', 'gem_madvise', { handle: 9 }).rc).toBe(ENOENT);
    const kept = client.create(4096);
    client.pwrite(kept, 0, Uint8Array.of(1));
    expect(client.call('I915_GEM_MADVISE', 'gem_madvise', { handle: kept, madv: 1 }).retained).toBe(1);
  });

  test('domains', () => {
    const client = new Client();
    const handle = client.create(4096);
    const rc = (read_domains: number, write_domain = 0, of = handle): number =>
      client.call('I915_GEM_SET_DOMAIN', 'gem_set_domain', { handle: of, read_domains, write_domain }).rc;
    expect([rc(2), rc(1, 2), rc(0x41, 1), rc(1, 1, 9)]).toEqual([EINVAL, EINVAL, EINVAL, ENOENT]);
    expect([rc(1, 1), client.file.object(handle)!.pages]).toEqual([0, 0]);
    expect([rc(0x40, 0x40), client.file.object(handle)!.pages === 0]).toEqual([0, false]);
    expect(client.call('I915_GEM_SW_FINISH', 'gem_sw_finish', { handle: 9 }).rc).toBe(ENOENT);
  });

  test('caching and the aperture', () => {
    const client = new Client({ gen: 7, platform: 'hsw-ellc' });
    const handle = client.create(4096);
    const get = (): unknown => client.call('I915_GEM_GET_CACHING', 'gem_caching', { handle }).caching;
    expect(get()).toBe(1);
    for (const caching of [0, 2, 1]) {
      expect(client.call('I915_GEM_SET_CACHING', 'gem_caching', { handle, caching }).rc).toBe(0);
      expect(get()).toBe(caching);
    }
    expect(client.call('I915_GEM_SET_CACHING', 'gem_caching', { handle, caching: 3 }).rc).toBe(EINVAL);
    const total = 2 ** 31;
    const aperture = (): unknown => client.call('I915_GEM_GET_APERTURE', 'gem_get_aperture');
    expect(aperture()).toEqual({ rc: 0, aper_size: total, aper_available_size: total });
    client.file.object(handle)!.bind(client.gpu.ggtt, { pin: true });
    expect(aperture()).toEqual({ rc: 0, aper_size: total, aper_available_size: total - 4096 });
    expect(client.call('I915_GEM_SET_CACHING', 'gem_caching', { handle, caching: 0 }).rc).toBe(EBUSY);
  });
});

describe('sharing', () => {
  test('names: the same one again, a handle more for each open, gone with the last handle', () => {
    const client = new Client();
    const other = client.gpu.open();
    const handle = client.create(8192);
    expect(client.call('GEM_FLINK', 'gem_flink', { handle })).toMatchObject({ rc: 0, name: 1 });
    expect(client.call('GEM_FLINK', 'gem_flink', { handle })).toMatchObject({ rc: 0, name: 1 });
    expect(client.call('GEM_FLINK', 'gem_flink', { handle: 9 }).rc).toBe(ENOENT);
    expect(client.call('GEM_OPEN', 'gem_open', { name: 1 }, other)).toMatchObject({ rc: 0, handle: 1, size: 8192 });
    expect(client.call('GEM_OPEN', 'gem_open', { name: 1 }, other)).toMatchObject({ rc: 0, handle: 2 });
    client.call('GEM_CLOSE', 'gem_close', { handle });
    expect(client.call('GEM_OPEN', 'gem_open', { name: 1 })).toMatchObject({ rc: 0, handle: 1 });
    other.close();
    client.call('GEM_CLOSE', 'gem_close', { handle: 1 });
    expect(client.call('GEM_OPEN', 'gem_open', { name: 1 }).rc).toBe(ENOENT);
    expect(client.gpu.liveObjects).toBe(0);
  });

  test('prime: one handle per dma-buf, the same object on its own device, an import elsewhere', () => {
    const client = new Client();
    const second = new Client({}, {}, client.machine);
    const handle = client.create(8192);
    expect(client.call('PRIME_HANDLE_TO_FD', 'prime_handle', { handle, flags: 1 }).rc).toBe(EINVAL);
    expect(client.call('PRIME_HANDLE_TO_FD', 'prime_handle', { handle: 9 }).rc).toBe(ENOENT);
    const fd = Number(client.call('PRIME_HANDLE_TO_FD', 'prime_handle', { handle, flags: 0x80000 }).fd);
    const again = Number(client.call('PRIME_HANDLE_TO_FD', 'prime_handle', { handle }).fd);
    expect([fd, again, client.file.dmaBuf(fd) === client.file.dmaBuf(again)]).toEqual([3, 4, true]);
    expect(client.call('PRIME_FD_TO_HANDLE', 'prime_handle', { fd })).toMatchObject({ rc: 0, handle });
    const own = client.gpu.open();
    expect(client.call('PRIME_FD_TO_HANDLE', 'prime_handle', { fd }, own)).toMatchObject({ rc: 0, handle: 1 });
    expect(own.object(1)).toBe(client.file.object(handle));
    expect(client.call('PRIME_FD_TO_HANDLE', 'prime_handle', { fd: 77 }).rc).toBe(EBADF);

    client.pwrite(handle, 0, Uint8Array.of(42));
    const imported = Number(second.call('PRIME_FD_TO_HANDLE', 'prime_handle', { fd }).handle);
    expect(second.call('PRIME_FD_TO_HANDLE', 'prime_handle', { fd: again }).handle).toBe(imported);
    const bad = { handle: imported, size: 4, data_ptr: second.memory.place(new Uint8Array(4)) };
    expect(second.call('I915_GEM_PREAD', 'gem_pread', bad).rc).toBe(EINVAL);
    const { rc, offsets } = second.exec([{ handle: imported }]);
    expect(rc).toBe(0);
    const { vm } = second.gpu.contexts.values().next().value!;
    expect(second.gpu.read(vm, offsets[0], 1)[0]).toBe(42);
    expect(second.call('PRIME_HANDLE_TO_FD', 'prime_handle', { handle: imported }).fd).toBe(5);
    expect(second.file.dmaBuf(5)).toBe(client.file.dmaBuf(fd));
    for (const one of [fd, again, 5]) expect(client.file.closeFd(one)).toBe(true);
    expect(client.file.closeFd(fd)).toBe(false);
    for (const file of [own, client.file, second.file]) file.close();
    second.gpu.idle();
    expect([client.gpu.liveObjects, second.gpu.liveObjects]).toEqual([0, 0]);
  });

  test('close releases handles, contexts and mappings, and the device can be unbound', () => {
    const client = new Client();
    const handle = client.create(1 << 20);
    client.exec([{ handle }]);
    client.call('I915_GEM_CONTEXT_CREATE', 'gem_context_create');
    const { rc, addr_ptr } = client.call('I915_GEM_MMAP', 'gem_mmap', { handle, size: 4096 });
    expect([rc, client.gpu.contexts.size]).toEqual([0, 2]);
    const mapping = client.file.mapping(Number(addr_ptr))!;
    client.file.close();
    expect([mapping.alive, client.gpu.contexts.size, client.gpu.files.size]).toEqual([false, 0, 0]);
    expect(client.gpu.remove()).toBe(0);
  });
});

describe('contexts', () => {
  test('ids from 1; the own one stays', () => {
    const client = new Client();
    const ids = [1, 2].map(() => client.call('I915_GEM_CONTEXT_CREATE', 'gem_context_create').ctx_id);
    expect(ids).toEqual([1, 2]);
    const destroy = (ctx_id: number): number =>
      client.call('I915_GEM_CONTEXT_DESTROY', 'gem_context_destroy', { ctx_id }).rc;
    expect([destroy(0), destroy(1), destroy(1)]).toEqual([ENOENT, 0, ENOENT]);
    expect(client.call('I915_GEM_CONTEXT_CREATE', 'gem_context_create').ctx_id).toBe(1);
  });

  test('parameters and reset statistics', () => {
    const client = new Client({}, { admin: false });
    const set = (fields: object): number =>
      client.call('I915_GEM_CONTEXT_SETPARAM', 'gem_context_param', { param: 1, ...fields }).rc;
    expect(client.call('I915_GEM_CONTEXT_GETPARAM', 'gem_context_param', { param: 1 })).toMatchObject({
      rc: 0,
      value: 12,
    });
    expect([set({ value: 3 }), set({ value: 20, size: 8 }), set({ value: 20 }), set({ ctx_id: 9 })]).toEqual([
      ...[EPERM, EINVAL, 0, ENOENT],
    ]);
    expect(client.call('I915_GEM_CONTEXT_GETPARAM', 'gem_context_param', { param: 1 }).value).toBe(20);
    expect(client.call('I915_GEM_CONTEXT_GETPARAM', 'gem_context_param', { param: 3 }).rc).toBe(EINVAL);
    expect(client.call('I915_GET_RESET_STATS', 'reset_stats').rc).toBe(EPERM);
    expect(client.call('I915_GET_RESET_STATS', 'reset_stats', { flags: 1 }).rc).toBe(EINVAL);
    expect(new Client().call('I915_GET_RESET_STATS', 'reset_stats').rc).toBe(0);
  });
});

describe('time', () => {
  test('busy names the engines, wait lets time pass', () => {
    const client = new Client({ gen: 8 }, { busy: 2 });
    const handle = client.create(4096);
    const busy = (): unknown => client.call('I915_GEM_BUSY', 'gem_busy', { handle }).busy;
    const wait = (timeout_ns: number | bigint): { rc: number; timeout_ns: number | bigint } =>
      client.call('I915_GEM_WAIT', 'gem_wait', { bo_handle: handle, timeout_ns });
    expect([busy(), wait(0).rc]).toEqual([0, 0]);
    client.exec([{ handle }], { flags: 3 });
    client.exec([{ handle, flags: 4 }, { handle: client.create(4096) }], { flags: 2 });
    expect(busy()).toBe((0b110 << 16) | 1);
    expect(wait(0).rc).toBe(ETIME);
    expect([wait(500_000), client.machine.clock.now]).toMatchObject([{ rc: ETIME, timeout_ns: 0 }, 0.5]);
    expect([wait(10_000_000), client.machine.clock.now]).toMatchObject([{ rc: 0, timeout_ns: 8_500_000 }, 2]);
    expect(busy()).toBe(0);
    client.exec([{ handle }]);
    expect([wait(-1n).rc, client.machine.clock.now]).toEqual([0, 4]);
    expect(client.call('I915_GEM_WAIT', 'gem_wait', { flags: 1 }).rc).toBe(EINVAL);
    expect(client.call('I915_GEM_BUSY', 'gem_busy', { handle: 9 }).rc).toBe(ENOENT);
    expect(client.file.ioctl(IOCTL.I915_GEM_THROTTLE)).toBe(0);
  });

  test('a client that submits more than a ring holds waits', () => {
    const client = new Client({ gen: 8 }, { busy: 1 });
    const handle = client.create(4096);
    for (let i = 0; i < 1000; ++i) {
      client.memory.clear();
      expect(client.exec([{ handle }]).rc).toBe(0);
    }
    expect(client.gpu.engines[0].length).toBeLessThanOrEqual(256);
    expect(client.machine.clock.now).toBeGreaterThan(700);
  });
});

describe('userptr', () => {
  test('memory of a process at its address, and its invalidation', () => {
    const machine = new Machine({ ram: '64MiB' });
    const process = new Process(machine.ram);
    const client = new Client({}, { process }, machine);
    const user_ptr = process.mmap(8192);
    process.write(user_ptr, Uint8Array.of(7));
    process.write(user_ptr + 4096, Uint8Array.of(8));
    const rc = (fields: object): number =>
      client.call('I915_GEM_USERPTR', 'gem_userptr', { user_ptr, user_size: 8192, ...fields }).rc;
    expect([rc({ flags: 8 }), rc({ user_ptr: user_ptr + 1 }), rc({ user_size: 2 ** 33 })]).toEqual([
      EINVAL,
      EINVAL,
      E2BIG,
    ]);
    expect([rc({ user_ptr: 0x7ffffffff000 }), rc({ flags: 1 }), rc({ user_size: 0 })]).toEqual([
      EFAULT,
      ENODEV,
      EINVAL,
    ]);
    const handle = Number(client.call('I915_GEM_USERPTR', 'gem_userptr', { user_ptr, user_size: 8192 }).handle);
    const { rc: ran, offsets } = client.exec([{ handle }]);
    const { vm } = client.gpu.contexts.values().next().value!;
    expect([ran, client.gpu.read(vm, offsets[0], 1)[0]]).toEqual([0, 7]);
    process.munmap(user_ptr, 8192);
    expect(client.file.object(handle)!.pages).toBe(0);
    expect(client.exec([{ handle }]).rc).toBe(EAGAIN);
    machine.clock.run();
    expect(client.exec([{ handle }]).rc).toBe(EFAULT);
    expect(new Client().call('I915_GEM_USERPTR', 'gem_userptr', { user_ptr, user_size: 8192 }).rc).toBe(EFAULT);
    const plain = new Client({}, { process, admin: false }, machine);
    expect(plain.call('I915_GEM_USERPTR', 'gem_userptr', { user_ptr, user_size: 8192, flags: 0x80000000 }).rc).toBe(
      EPERM,
    );
  });
});

describe('memory of the client', () => {
  test('a process of the machine, or a block of bytes', () => {
    const machine = new Machine({ ram: '64MiB' });
    const process = new Process(machine.ram);
    const file = machine.addI915().open({ memory: process });
    const create = packStruct('gem_create', { size: 4096 });
    expect(file.ioctl(IOCTL.I915_GEM_CREATE, create)).toBe(0);
    const data_ptr = process.mmap(4096);
    process.write(data_ptr, Uint8Array.of(1, 2, 3));
    const write = packStruct('gem_pread', { handle: 1, size: 3, data_ptr });
    expect(file.ioctl(IOCTL.I915_GEM_PWRITE, write)).toBe(0);
    expect([...file.object(1)!.pread(0, 3)]).toEqual([1, 2, 3]);
    process.munmap(data_ptr, 4096);
    expect(file.ioctl(IOCTL.I915_GEM_PWRITE, write)).toBe(EFAULT);
    expect(file.ioctl(IOCTL.I915_GEM_PWRITE, write, new UserBlock(16, data_ptr))).toBe(0);
    expect(() => file.ioctl(IOCTL.I915_GEM_PWRITE, write, {} as never)).toThrow(TypeError);
    expect(() => new UserBlock(8).place(new Uint8Array(9))).toThrow(/ENOMEM/);
  });

  test('pointers may lead into what the client has mapped of an object', () => {
    const client = new Client();
    const [from, to] = [client.create(4096), client.create(4096)];
    const at = Number(client.call('I915_GEM_MMAP', 'gem_mmap', { handle: from, size: 4096 }).addr_ptr);
    client.file.mapping(at)!.write(8, Uint8Array.of(5, 6));
    const { rc } = client.call('I915_GEM_PWRITE', 'gem_pread', { handle: to, size: 2, data_ptr: at + 8 });
    expect([rc, ...client.pread(to, 0, 2)]).toEqual([0, 5, 6]);
  });
});

test('ENOSPC where no place has the alignment, and the next batch works', () => {
  const client = new Client();
  const handle = client.create(4096);
  expect(client.exec([{ handle, alignment: 2n ** 63n }]).rc).toBe(ENOSPC);
  expect(client.exec([{ handle }]).rc).toBe(0);
});
