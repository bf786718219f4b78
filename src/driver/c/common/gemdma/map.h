/* SPDX-License-Identifier: MIT */
/*
 * map, mapping_error and unmap as they become part of the driver's own code: each is one call of the core. What is read of
 * struct device is read with atomics, which clang does not instrument: these are no accesses of the driver's.
 */
#ifndef GEMDMA_MAP_H
#define GEMDMA_MAP_H
#include <gemdma/core.h>

#define gd_peek(at) __atomic_load_n(&(at), __ATOMIC_RELAXED)
#define GD_INLINE static inline __attribute__((always_inline))

extern gd_u32 gd_dma_debug_on __attribute__((visibility("hidden")));
_Noreturn void gd_no_device(const char *what);

/* The core's handle of a device. */
GD_INLINE gd_u32 gd_handle_of(struct device *d, const char *what)
{
	gd_u32 h = __builtin_expect(d != 0, 1) ? gd_peek(d->archdata.gd_handle) : 0;

	if (__builtin_expect(h == 0, 0))
		gd_no_device(what);
	return h;
}

/* What the driver has set as its mask, however it did; 0 for none. */
GD_INLINE gd_u64 gd_mask_of(struct device *d)
{
	gd_u64 *mask = gd_peek(d->dma_mask);

	return mask ? gd_peek(*mask) : 0;
}

/* With a 32-bit dma_addr_t, DMA_MAPPING_ERROR is 0xffffffff; the core's is 64 bits wide. */
GD_INLINE gd_u64 gd_wide(dma_addr_t at)
{
	return at == DMA_MAPPING_ERROR ? GD_NO_ADDRESS : (gd_u64)at;
}

/* Says what the kernel says of a mapping that it refuses for its arguments. */
void gd_map_refused(gd_u32 dir);

GD_INLINE dma_addr_t gd_mapped(gd_u64 at, gd_u32 dir)
{
	if (__builtin_expect(at == GD_NO_ADDRESS, 0))
		gd_map_refused(dir);
	return (dma_addr_t)at;
}

GD_INLINE dma_addr_t gd_map_page(struct device *d, struct page *page, unsigned long offset, unsigned long size, gd_u32 dir, gd_u32 attrs)
{
	gd_u32 h = gd_handle_of(d, "dma_map_page");

	if (gd_fail(GD_FAULT_MAP))
		return DMA_MAPPING_ERROR;
	return gd_mapped(gd_dma_map(h, gd_mask_of(d), ((gd_u64)page_to_pfn(page) << 12) + offset, size, dir, attrs), dir);
}

GD_INLINE dma_addr_t gd_map_single(struct device *d, const void *at, unsigned long size, gd_u32 dir, gd_u32 attrs)
{
	gd_u32 h = gd_handle_of(d, "dma_map_single");

	if (gd_fail(GD_FAULT_MAP))
		return DMA_MAPPING_ERROR;
	return gd_mapped(gd_dma_map_single(h, gd_mask_of(d), at, size, dir, attrs), dir);
}

GD_INLINE void gd_unmap_page(struct device *d, dma_addr_t at, unsigned long size, gd_u32 dir, gd_u32 attrs)
{
	gd_dma_unmap(gd_handle_of(d, "dma_unmap_page"), gd_wide(at), size, dir, attrs);
}

GD_INLINE int gd_map_failed(struct device *d, dma_addr_t at)
{
	gd_u32 h = gd_handle_of(d, "dma_mapping_error");

	if (gd_dma_debug_on)
		gd_dma_error(h, gd_wide(at));
	return at == DMA_MAPPING_ERROR ? -12 : 0;
}

#endif
