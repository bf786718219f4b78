/* SPDX-License-Identifier: MIT */
/*
 * What the runtime imports: from the core's module for C drivers (assembly/driver), wasm to wasm, and from the host
 * (src/driver/driver.ts). For the runtime and for both sets of headers.
 */
#ifndef GEMDMA_CORE_H
#define GEMDMA_CORE_H

typedef unsigned int gd_u32;
typedef unsigned long long gd_u64;

#define GD_PFN_VMALLOC 0x80000000u
#define GD_NO_ADDRESS (~0ULL)

/* A place in the driver's source. Mappings and allocations keep the address of one. */
struct gd_site {
	const char *func;
	const char *file;
	int line;
};

/* The CPU's register for it (assembly/memory/cpu.ts). */
extern const struct gd_site **gd_site_reg __attribute__((visibility("hidden")));

/* assembly/driver/frames.ts */
gd_u32 gd_pages_alloc(gd_u32 order, gd_u32 low);
void gd_pages_free(gd_u32 pfn, gd_u32 order);
gd_u32 gd_virt_pfn(const void *address);
void *gd_pfn_virt(gd_u32 pfn);
gd_u32 gd_low_frames(void);
gd_u32 gd_hole(void);
/* The same as registers: the runtime sets them at its start. */
extern gd_u32 gd_low_end, gd_hole_pages __attribute__((visibility("hidden")));
static inline gd_u32 gd_frame(gd_u32 pfn) { return pfn < gd_low_end ? pfn : pfn - gd_hole_pages; }
static inline gd_u32 gd_frame_pfn(gd_u32 frame) { return frame < gd_low_end ? frame : frame + gd_hole_pages; }
gd_u32 gd_frames(void);
void *gd_vmalloc(gd_u32 pages);
void gd_vfree(const void *at, gd_u32 pages);
void *gd_vmap(const gd_u32 *pfns, gd_u32 pages);
void gd_vunmap(const void *at, gd_u32 pages);
void *gd_pages(void);
/* assembly/driver/shadow.ts */
#define GD_FREED 0xfb
#define GD_REDZONE 0xfc
void *gd_block_alloc(gd_u32 order);
void gd_block_free(void *at);
void gd_poison(const void *at, gd_u32 n, gd_u32 code);
void gd_unpoison(const void *at, gd_u32 n);
void gd_check(const void *at, gd_u32 n, gd_u32 write);
void gd_check_free(const void *at, gd_u32 n);
/* assembly/driver/dma.ts, sg.ts, coherent.ts */
const struct gd_site **gd_site_register(void);
gd_u64 gd_now(void);
gd_u32 gd_dma_debug(void);
void gd_dma_masks(gd_u32 dev, gd_u64 mask, gd_u64 coherent);
void gd_dma_segments(gd_u32 dev, gd_u32 longest, gd_u64 boundary, gd_u32 align);
gd_u64 gd_dma_map(gd_u32 dev, gd_u64 mask, gd_u64 phys, gd_u32 length, gd_u32 dir, gd_u32 attrs);
gd_u64 gd_dma_map_single(gd_u32 dev, gd_u64 mask, const void *at, gd_u32 length, gd_u32 dir, gd_u32 attrs);
void gd_dma_unmap(gd_u32 dev, gd_u64 dma, gd_u32 length, gd_u32 dir, gd_u32 attrs);
gd_u64 gd_dma_map_resource(gd_u32 dev, gd_u64 phys, gd_u32 length, gd_u32 dir, gd_u32 attrs);
void gd_dma_unmap_resource(gd_u32 dev, gd_u64 dma, gd_u32 length, gd_u32 dir, gd_u32 attrs);
gd_u32 gd_dma_error(gd_u32 dev, gd_u64 dma);
void gd_dma_sync(gd_u32 dev, gd_u64 dma, gd_u32 length, gd_u32 dir, gd_u32 for_device);
gd_u64 gd_dma_max_mapping(gd_u32 dev);
gd_u64 gd_dma_opt_mapping(gd_u32 dev);
gd_u32 gd_dma_merge_boundary(gd_u32 dev);
gd_u32 *gd_sg_begin(const void *sgl, gd_u32 n);
int gd_sg_map(gd_u32 dev, const void *sgl, gd_u32 dir, gd_u32 attrs);
gd_u64 gd_sg_address(const void *sgl, gd_u32 i);
gd_u32 gd_sg_length(const void *sgl, gd_u32 i);
gd_u32 gd_sg_unmap(gd_u32 dev, const void *sgl, gd_u32 n, gd_u32 dir, gd_u32 attrs);
gd_u32 gd_sg_sync(gd_u32 dev, const void *sgl, gd_u32 n, gd_u32 dir, gd_u32 for_device);
void gd_sg_gone(const void *sgl);
void *gd_coherent_alloc(gd_u32 dev, gd_u32 length, gd_u32 attrs, gd_u64 *dma);
gd_u32 gd_coherent_free(gd_u32 dev, gd_u32 length, const void *at, gd_u64 dma);

/* src/driver/driver.ts: what was found, text, registers of a device's model, and time */
enum gd_finding {
	GD_BUG, GD_WARN, GD_HANG, GD_DOUBLE_FREE, GD_BAD_FREE, GD_LEAK, GD_LOCK, GD_SLEEP, GD_MISUSE,
};
void gd_host_finding(gd_u32 kind, const char *text, const void *at, gd_u32 size, const struct gd_site *born);
void gd_host_printk(const char *format, void *args, const char *prefix);
int gd_host_format(char *to, gd_u32 size, const char *format, void *args);
gd_u32 gd_host_read(gd_u32 at, gd_u32 size);
void gd_host_write(gd_u32 at, gd_u32 size, gd_u32 value);
gd_u32 gd_host_config_read(gd_u32 dev, gd_u32 at, gd_u32 size);
void gd_host_config_write(gd_u32 dev, gd_u32 at, gd_u32 size, gd_u32 value);
/* Moves the clock by at most ns, less when the model has something to do before. */
void gd_host_advance(double ns);
void gd_host_point(gd_u32 kind, gd_u32 number, gd_u32 strikes);
void gd_host_packet(gd_u32 device, const void *data, gd_u32 length, gd_u32 last);
_Noreturn void gd_host_oops(const char *text);

/* runtime/fault.c: whether the allocation that is about to be made fails. */
enum gd_fault {
	GD_FAULT_KMALLOC, GD_FAULT_PAGES, GD_FAULT_SKB, GD_FAULT_MAP, GD_FAULT_MAP_SG, GD_FAULT_COHERENT, GD_FAULT_IRQ,
	GD_FAULT_PCI, GD_FAULT_IOREMAP, GD_FAULT_REGISTER, GD_FAULT_THREAD, GD_FAULT_MASK, GD_FAULT_POOL,
};
extern gd_u32 gd_faults_on __attribute__((visibility("hidden")));
_Bool gd_fail_slow(enum gd_fault kind);
static inline _Bool gd_fail(enum gd_fault kind) { return __builtin_expect(gd_faults_on, 0) ? gd_fail_slow(kind) : 0; }

/* runtime/slab.c */
enum gd_kind {
	GD_KIND_KMALLOC, GD_KIND_SKB, GD_KIND_SKB_DATA, GD_KIND_CACHE, GD_KIND_DEVRES, GD_KIND_OWN, GD_KIND_NETDEV, GD_KIND_POOL,
	GD_KIND_DMABUF, GD_KIND_DRM,
};
void *gd_object_alloc(gd_u32 size, enum gd_kind kind, _Bool zero);
void gd_object_free(const void *at, enum gd_kind kind);
gd_u32 gd_object_size(const void *at);
/* The place that the last call of an API with a site came from. */
static inline const struct gd_site *gd_site_now(void) { return *gd_site_reg; }

#define GD_EXPORT __attribute__((visibility("default"), used))

#endif
