// SPDX-License-Identifier: MIT
/* What `gemdma driver bench` times: calls that a driver makes, in batches, so that the clock is read once for many. */
#include <gemdma/site.h>

extern struct device *gd_device(void);

#define MOST 1024
static struct page *pages[MOST];
static dma_addr_t addresses[MOST];
static u32 pfns[MOST];
static double room[MOST];

/* Takes the pages. Returns how many there are. */
GD_EXPORT u32 gd_bench_prepare(u32 n)
{
	u32 i;

	for (i = 0; i < n && i < MOST; i++) {
		pages[i] = gd_alloc_pages(GFP_KERNEL, 0);
		if (!pages[i])
			break;
		pfns[i] = page_to_pfn(pages[i]);
	}
	return i;
}

GD_EXPORT u32 *gd_bench_pfns(void) { return pfns; }
GD_EXPORT double *gd_bench_room(void) { return room; }

/* Maps n pages, asks whether that failed, unmaps them, `rounds` times, as a driver does. */
GD_EXPORT u32 gd_bench_c(u32 n, u32 rounds)
{
	struct device *d = gd_device();
	u32 made = 0, i;

	while (rounds--) {
		for (i = 0; i < n; i++) {
			addresses[i] = dma_map_page(d, pages[i], 0, PAGE_SIZE, DMA_FROM_DEVICE);
			if (!dma_mapping_error(d, addresses[i]))
				made++;
		}
		for (i = 0; i < n; i++)
			dma_unmap_page(d, addresses[i], PAGE_SIZE, DMA_FROM_DEVICE);
	}
	return made;
}
