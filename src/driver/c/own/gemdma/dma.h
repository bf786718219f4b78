/* SPDX-License-Identifier: MIT */
/* The DMA API, DMA pools, dma-buf. */
#ifndef GEMDMA_DMA_H
#define GEMDMA_DMA_H

#include <gemdma/device.h>

enum dma_data_direction { DMA_BIDIRECTIONAL, DMA_TO_DEVICE, DMA_FROM_DEVICE, DMA_NONE };
#define DMA_ATTR_WEAK_ORDERING (1UL << 1)
#define DMA_ATTR_WRITE_COMBINE (1UL << 2)
#define DMA_ATTR_NO_KERNEL_MAPPING (1UL << 4)
#define DMA_ATTR_SKIP_CPU_SYNC (1UL << 5)
#define DMA_ATTR_FORCE_CONTIGUOUS (1UL << 6)
#define DMA_ATTR_ALLOC_SINGLE_PAGES (1UL << 7)
#define DMA_ATTR_NO_WARN (1UL << 8)
#define DMA_ATTR_PRIVILEGED (1UL << 9)
#define DMA_MAPPING_ERROR (~(dma_addr_t)0)
#define DMA_BIT_MASK(n) (((n) == 64) ? ~0ULL : ((1ULL << (n)) - 1))

dma_addr_t gd_map_single_attrs(struct device *d, void *at, size_t size, enum dma_data_direction dir, unsigned long attrs);
dma_addr_t dma_map_page_attrs(struct device *d, struct page *page, size_t offset, size_t size, enum dma_data_direction dir, unsigned long attrs);
void dma_unmap_page_attrs(struct device *d, dma_addr_t at, size_t size, enum dma_data_direction dir, unsigned long attrs);
unsigned int dma_map_sg_attrs(struct device *d, struct scatterlist *sgl, int n, enum dma_data_direction dir, unsigned long attrs);
void dma_unmap_sg_attrs(struct device *d, struct scatterlist *sgl, int n, enum dma_data_direction dir, unsigned long attrs);
int dma_map_sgtable(struct device *d, struct sg_table *t, enum dma_data_direction dir, unsigned long attrs);
dma_addr_t dma_map_resource(struct device *d, phys_addr_t at, size_t size, enum dma_data_direction dir, unsigned long attrs);
void dma_unmap_resource(struct device *d, dma_addr_t at, size_t size, enum dma_data_direction dir, unsigned long attrs);
void gd_dma_sync_range(struct device *d, dma_addr_t at, size_t size, enum dma_data_direction dir, bool for_device);
void gd_dma_sync_list(struct device *d, struct scatterlist *sgl, int n, enum dma_data_direction dir, bool for_device);
int gd_mapping_error(struct device *d, dma_addr_t at);
void *dma_alloc_attrs(struct device *d, size_t size, dma_addr_t *dma, gfp_t gfp, unsigned long attrs);
void dma_free_attrs(struct device *d, size_t size, void *at, dma_addr_t dma, unsigned long attrs);
void *dmam_alloc_attrs(struct device *d, size_t size, dma_addr_t *dma, gfp_t gfp, unsigned long attrs);
void dmam_free_coherent(struct device *d, size_t size, void *at, dma_addr_t dma);
struct page *dma_alloc_pages(struct device *d, size_t size, dma_addr_t *dma, enum dma_data_direction dir, gfp_t gfp);
void dma_free_pages(struct device *d, size_t size, struct page *page, dma_addr_t dma, enum dma_data_direction dir);
int dma_set_mask(struct device *d, u64 mask);
int dma_set_coherent_mask(struct device *d, u64 mask);
size_t dma_max_mapping_size(struct device *d);
size_t dma_opt_mapping_size(struct device *d);
unsigned long dma_get_merge_boundary(struct device *d);
bool dma_need_sync(struct device *d, dma_addr_t at);
u64 dma_get_required_mask(struct device *d);

#define dma_map_single_attrs(d, p, s, r, a) gd_map_single_attrs(d, p, s, r, a)
#define dma_unmap_single_attrs dma_unmap_page_attrs
#define dma_map_single(d, p, s, r) dma_map_single_attrs(d, p, s, r, 0)
#define dma_unmap_single(d, a, s, r) dma_unmap_single_attrs(d, a, s, r, 0)
#define dma_map_page(d, p, o, s, r) dma_map_page_attrs(d, p, o, s, r, 0)
#define dma_unmap_page(d, a, s, r) dma_unmap_page_attrs(d, a, s, r, 0)
#define dma_map_sg(d, l, n, r) dma_map_sg_attrs(d, l, n, r, 0)
#define dma_unmap_sg(d, l, n, r) dma_unmap_sg_attrs(d, l, n, r, 0)
#define dma_unmap_sgtable(d, t, r, a) dma_unmap_sg_attrs(d, (t)->sgl, (t)->orig_nents, r, a)
static inline int dma_mapping_error(struct device *d, dma_addr_t at) { return gd_mapping_error(d, at); }
#define GD_SYNC(suffix, for_device) \
static inline void dma_sync_single_##suffix(struct device *d, dma_addr_t at, size_t n, enum dma_data_direction dir) \
{ \
	gd_dma_sync_range(d, at, n, dir, for_device); \
} \
static inline void dma_sync_single_range_##suffix(struct device *d, dma_addr_t at, unsigned long offset, size_t n, enum dma_data_direction dir) \
{ \
	gd_dma_sync_range(d, at + offset, n, dir, for_device); \
} \
static inline void dma_sync_sg_##suffix(struct device *d, struct scatterlist *sgl, int n, enum dma_data_direction dir) \
{ \
	gd_dma_sync_list(d, sgl, n, dir, for_device); \
} \
static inline void dma_sync_sgtable_##suffix(struct device *d, struct sg_table *t, enum dma_data_direction dir) \
{ \
	gd_dma_sync_list(d, t->sgl, t->orig_nents, dir, for_device); \
}
GD_SYNC(for_cpu, false)
GD_SYNC(for_device, true)
#define dma_alloc_coherent(d, s, h, g) dma_alloc_attrs(d, s, h, g, 0)
#define dma_free_coherent(d, s, p, h) dma_free_attrs(d, s, p, h, 0)
#define dma_alloc_wc(d, s, h, g) dma_alloc_attrs(d, s, h, g, DMA_ATTR_WRITE_COMBINE)
#define dma_free_wc(d, s, p, h) dma_free_attrs(d, s, p, h, DMA_ATTR_WRITE_COMBINE)
#define dmam_alloc_coherent(d, s, h, g) dmam_alloc_attrs(d, s, h, g, 0)
static inline void *gd_alloc_noncoherent(struct device *d, size_t size, dma_addr_t *dma, enum dma_data_direction dir, gfp_t gfp)
{
	struct page *page = dma_alloc_pages(d, size, dma, dir, gfp);

	return page ? page_address(page) : NULL;
}
#define dma_alloc_noncoherent(d, s, h, r, g) gd_alloc_noncoherent(d, s, h, r, g)
#define dma_free_noncoherent(d, s, p, h, r) dma_free_pages(d, s, virt_to_page(p), h, r)
static inline int dma_set_mask_and_coherent(struct device *d, u64 mask)
{
	int rc = dma_set_mask(d, mask);

	if (rc == 0)
		dma_set_coherent_mask(d, mask);
	return rc;
}
static inline u64 dma_get_mask(struct device *d) { return d->dma_mask && *d->dma_mask ? *d->dma_mask : DMA_BIT_MASK(32); }
static inline void dma_set_max_seg_size(struct device *d, unsigned int n) { if (d->dma_parms) d->dma_parms->max_segment_size = n; }
static inline unsigned int dma_get_max_seg_size(struct device *d)
{
	return d->dma_parms && d->dma_parms->max_segment_size ? d->dma_parms->max_segment_size : 65536;
}
static inline void dma_set_seg_boundary(struct device *d, unsigned long m) { if (d->dma_parms) d->dma_parms->segment_boundary_mask = m; }
static inline void dma_set_min_align_mask(struct device *d, unsigned int m) { if (d->dma_parms) d->dma_parms->min_align_mask = m; }
#define DEFINE_DMA_UNMAP_ADDR(n) dma_addr_t n
#define DEFINE_DMA_UNMAP_LEN(n) u32 n
#define dma_unmap_addr(p, n) ((p)->n)
#define dma_unmap_addr_set(p, n, v) ((p)->n = (v))
#define dma_unmap_len(p, n) ((p)->n)
#define dma_unmap_len_set(p, n, v) ((p)->n = (v))

struct dma_pool;
struct dma_pool *dma_pool_create(const char *name, struct device *d, size_t size, size_t align, size_t boundary);
void dma_pool_destroy(struct dma_pool *pool);
void *dma_pool_alloc(struct dma_pool *pool, gfp_t gfp, dma_addr_t *dma);
void dma_pool_free(struct dma_pool *pool, void *at, dma_addr_t dma);
struct dma_pool *dmam_pool_create(const char *name, struct device *d, size_t size, size_t align, size_t boundary);
#define dma_pool_zalloc(p, g, h) dma_pool_alloc(p, (g) | __GFP_ZERO, h)

/* dma-buf: export, attach, map. */
struct dma_buf;
struct dma_buf_attachment;
struct iosys_map { void *vaddr; bool is_iomem; };
struct vm_area_struct;
struct dma_buf_ops {
	int (*attach)(struct dma_buf *, struct dma_buf_attachment *);
	void (*detach)(struct dma_buf *, struct dma_buf_attachment *);
	int (*pin)(struct dma_buf_attachment *);
	void (*unpin)(struct dma_buf_attachment *);
	struct sg_table *(*map_dma_buf)(struct dma_buf_attachment *, enum dma_data_direction);
	void (*unmap_dma_buf)(struct dma_buf_attachment *, struct sg_table *, enum dma_data_direction);
	void (*release)(struct dma_buf *);
	int (*begin_cpu_access)(struct dma_buf *, enum dma_data_direction);
	int (*end_cpu_access)(struct dma_buf *, enum dma_data_direction);
	int (*mmap)(struct dma_buf *, struct vm_area_struct *);
	int (*vmap)(struct dma_buf *, struct iosys_map *);
	void (*vunmap)(struct dma_buf *, struct iosys_map *);
};
struct dma_buf { size_t size; const struct dma_buf_ops *ops; void *priv; int refs; struct list_head attachments; const char *exp_name; };
struct dma_buf_attachment { struct dma_buf *dmabuf; struct device *dev; struct list_head node; struct sg_table *sgt; enum dma_data_direction dir; void *priv; };
struct dma_buf_export_info { const char *exp_name; struct module *owner; const struct dma_buf_ops *ops; size_t size; int flags; void *resv; void *priv; };
#define DEFINE_DMA_BUF_EXPORT_INFO(n) struct dma_buf_export_info n = { .owner = THIS_MODULE }
struct dma_buf *dma_buf_export(const struct dma_buf_export_info *info);
void get_dma_buf(struct dma_buf *buf);
void dma_buf_put(struct dma_buf *buf);
struct dma_buf_attachment *dma_buf_attach(struct dma_buf *buf, struct device *d);
void dma_buf_detach(struct dma_buf *buf, struct dma_buf_attachment *a);
struct sg_table *dma_buf_map_attachment(struct dma_buf_attachment *a, enum dma_data_direction dir);
void dma_buf_unmap_attachment(struct dma_buf_attachment *a, struct sg_table *t, enum dma_data_direction dir);
#define dma_buf_map_attachment_unlocked dma_buf_map_attachment
#define dma_buf_unmap_attachment_unlocked dma_buf_unmap_attachment

#endif
