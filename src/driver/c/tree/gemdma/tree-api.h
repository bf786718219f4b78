/* SPDX-License-Identifier: MIT */
/* What the call-site macros call: the runtime's functions, whose names in own mode are the same. */
#ifndef GEMDMA_TREE_API_H
#define GEMDMA_TREE_API_H
#include <gemdma/core.h>

struct sk_buff;
struct net_device;
void *gd_kmalloc(size_t size, gfp_t gfp);
void *gd_krealloc(const void *at, size_t size, gfp_t gfp);
void *gd_kmemdup(const void *from, size_t n, gfp_t gfp);
void *gd_vmalloc_bytes(unsigned long size);
void *gd_kvmalloc(size_t size, gfp_t gfp);
static inline void *gd_kcalloc(size_t n, size_t size, gfp_t gfp)
{
	size_t bytes;

	return __builtin_mul_overflow(n, size, &bytes) ? NULL : gd_kmalloc(bytes, gfp);
}
static inline char *gd_kstrdup(const char *s, gfp_t gfp) { return s ? gd_kmemdup(s, __builtin_strlen(s) + 1, gfp) : NULL; }
void *gd_cache_take(void *cache, gfp_t gfp);
#define gd_cache_alloc gd_cache_take
struct page *gd_alloc_pages(gfp_t gfp, unsigned int order);
unsigned long gd_get_free_pages(gfp_t gfp, unsigned int order);
dma_addr_t gd_map_single_attrs(struct device *d, void *at, size_t size, enum dma_data_direction dir, unsigned long attrs);
struct sk_buff *gd_alloc_skb(struct net_device *dev, unsigned int size, gfp_t gfp, unsigned int reserve);
static inline int gd_request_irq(unsigned int irq, irq_handler_t handler, unsigned long flags, const char *name, void *dev)
{
	return request_threaded_irq(irq, handler, NULL, flags, name, dev);
}
int gd_sg_alloc_table(struct sg_table *table, unsigned int n, gfp_t gfp);
int gd_sg_alloc_table_from_pages(struct sg_table *table, struct page **pages, unsigned int n, unsigned int offset,
				 unsigned long size, unsigned int longest, gfp_t gfp);
int gd_mapping_error(struct device *d, dma_addr_t at);
void gd_dma_sync_range(struct device *d, dma_addr_t at, size_t size, enum dma_data_direction dir, bool for_device);
void gd_dma_sync_list(struct device *d, struct scatterlist *sgl, int n, enum dma_data_direction dir, bool for_device);

/* In the tree these are inline functions that ask whether there is anything to do, which dma-debug has to see. */
#define dma_mapping_error(d, a) gd_mapping_error(d, a)
#endif
