// SPDX-License-Identifier: MIT
/* The DMA API: hands calls to the core's module, wasm to wasm. */
#include "runtime.h"

struct dma_res { u32 size; void *at; dma_addr_t dma; unsigned long attrs; };

void gd_no_device(const char *what)
{
	gd_finding(GD_MISUSE, NULL, 0, NULL, "%s for a device that does no DMA", what);
	gd_host_oops("no device");
}

void gd_map_refused(gd_u32 dir)
{
	if (dir > DMA_FROM_DEVICE)
		gd_finding(GD_BUG, NULL, 0, NULL, "BUG_ON(!valid_dma_direction(dir)): maps in direction %u", dir);
}

#define wide gd_wide
#define handle gd_handle_of

/* The core's handle, when it has been told what the driver has set of its masks. */
static u32 prepared(struct device *d, const char *what)
{
	u32 h = handle(d, what);

	gd_dma_masks(h, gd_mask_of(d), d->coherent_dma_mask);
	return h;
}

dma_addr_t gd_map_single_attrs(struct device *d, void *at, size_t size, enum dma_data_direction dir, unsigned long attrs)
{
	return gd_map_single(d, at, size, dir, attrs);
}

dma_addr_t dma_map_page_attrs(struct device *d, struct page *page, size_t offset, size_t size, enum dma_data_direction dir, unsigned long attrs)
{
	return gd_map_page(d, page, offset, size, dir, attrs);
}

void dma_unmap_page_attrs(struct device *d, dma_addr_t at, size_t size, enum dma_data_direction dir, unsigned long attrs)
{
	gd_unmap_page(d, at, size, dir, attrs);
}

static int map_list(struct device *d, struct scatterlist *sgl, int n, enum dma_data_direction dir, unsigned long attrs)
{
	u32 h = prepared(d, "dma_map_sg"), *run;
	struct device_dma_parameters *parms = d->dma_parms;
	struct scatterlist *sg;
	int i, count;

	if (n <= 0)
		return -EINVAL;
	if (gd_fail(GD_FAULT_MAP_SG))
		return -ENOMEM;
	if (parms)
		gd_dma_segments(h, parms->max_segment_size, parms->segment_boundary_mask, parms->min_align_mask);
	run = gd_sg_begin(sgl, n);
	if (!run)
		return -ENOMEM;
	for_each_sg(sgl, sg, n, i) {
		gd_check(sg, sizeof(*sg), 0);
		run[0] = page_to_pfn(sg_page(sg));
		run[1] = sg->offset;
		run[2] = sg->length;
		run[3] = 0;
		run += 4;
	}
	count = gd_sg_map(h, sgl, dir, attrs);
	if (count <= 0)
		return count;
	for_each_sg(sgl, sg, count, i) {
		sg_dma_address(sg) = (dma_addr_t)gd_sg_address(sgl, i);
		sg_dma_len(sg) = gd_sg_length(sgl, i);
	}
	if (count < n && sg)
		sg_dma_len(sg) = 0;
	return count;
}

unsigned int dma_map_sg_attrs(struct device *d, struct scatterlist *sgl, int n, enum dma_data_direction dir, unsigned long attrs)
{
	int count = map_list(d, sgl, n, dir, attrs);

	return count < 0 ? 0 : count;
}

int dma_map_sgtable(struct device *d, struct sg_table *t, enum dma_data_direction dir, unsigned long attrs)
{
	int count = map_list(d, t->sgl, t->orig_nents, dir, attrs);

	if (count < 0)
		return count;
	t->nents = count;
	return 0;
}

void dma_unmap_sg_attrs(struct device *d, struct scatterlist *sgl, int n, enum dma_data_direction dir, unsigned long attrs)
{
	if (!gd_sg_unmap(handle(d, "dma_unmap_sg"), sgl, n, dir, attrs))
		gd_finding(GD_MISUSE, sgl, 0, NULL, "unmaps a list that was never mapped");
}

dma_addr_t dma_map_resource(struct device *d, phys_addr_t at, size_t size, enum dma_data_direction dir, unsigned long attrs)
{
	u32 h = prepared(d, "dma_map_resource");

	if (gd_fail(GD_FAULT_MAP))
		return DMA_MAPPING_ERROR;
	return (dma_addr_t)gd_dma_map_resource(h, at, size, dir, attrs);
}

void dma_unmap_resource(struct device *d, dma_addr_t at, size_t size, enum dma_data_direction dir, unsigned long attrs)
{
	gd_dma_unmap_resource(handle(d, "dma_unmap_resource"), wide(at), size, dir, attrs);
}

int gd_mapping_error(struct device *d, dma_addr_t at)
{
	return gd_map_failed(d, at);
}

void gd_dma_sync_range(struct device *d, dma_addr_t at, size_t size, enum dma_data_direction dir, bool for_device)
{
	gd_dma_sync(handle(d, "dma_sync_single"), wide(at), size, dir, for_device);
}

void gd_dma_sync_list(struct device *d, struct scatterlist *sgl, int n, enum dma_data_direction dir, bool for_device)
{
	if (!gd_sg_sync(handle(d, "dma_sync_sg"), sgl, n, dir, for_device))
		gd_finding(GD_MISUSE, sgl, 0, NULL, "syncs a list that was never mapped");
}

/* ---- coherent memory: what is left is known by a list of its own. ---- */
struct coherent { struct coherent *next; void *at; dma_addr_t dma; u32 size; struct device *dev; const struct gd_site *born; };
static struct coherent *coherents;

void *dma_alloc_attrs(struct device *d, size_t size, dma_addr_t *dma, gfp_t gfp, unsigned long attrs)
{
	u32 h = prepared(d, "dma_alloc_coherent");
	struct coherent *c;
	u64 address;
	void *at;

	gd_in_atomic(gfp, "dma_alloc_coherent");
	if (gd_fail(GD_FAULT_COHERENT))
		return NULL;
	c = gd_object_alloc(sizeof(*c), GD_KIND_OWN, true);
	if (!c)
		return NULL;
	at = gd_coherent_alloc(h, size, attrs, &address);
	if (!at) {
		gd_object_free(c, GD_KIND_OWN);
		return NULL;
	}
	c->at = at;
	c->dma = *dma = (dma_addr_t)address;
	c->size = size;
	c->dev = d;
	c->born = gd_site_now();
	c->next = coherents;
	coherents = c;
	return at;
}

void dma_free_attrs(struct device *d, size_t size, void *at, dma_addr_t dma, unsigned long attrs)
{
	struct coherent **link = &coherents, *c;

	if (!at)
		return;
	if (gd_in_irq || gd_irqs_off)
		gd_finding(GD_SLEEP, at, size, NULL, "dma_free_coherent with interrupts off");
	while (*link && (*link)->at != at)
		link = &(*link)->next;
	c = *link;
	if (!c || !gd_coherent_free(handle(d, "dma_free_coherent"), size, at, wide(dma))) {
		gd_finding(GD_BAD_FREE, at, size, NULL, "frees coherent memory at %p, where none is allocated", at);
		return;
	}
	*link = c->next;
	gd_object_free(c, GD_KIND_OWN);
}

static void coherent_release(struct device *d, void *res)
{
	struct dma_res *r = res;

	dma_free_attrs(d, r->size, r->at, r->dma, r->attrs);
}

void *dmam_alloc_attrs(struct device *d, size_t size, dma_addr_t *dma, gfp_t gfp, unsigned long attrs)
{
	struct dma_res *r = gd_devres_alloc(coherent_release, sizeof(*r), gfp);

	if (!r)
		return NULL;
	r->at = dma_alloc_attrs(d, size, dma, gfp, attrs);
	if (!r->at) {
		devres_free(r);
		return NULL;
	}
	r->size = size;
	r->dma = *dma;
	r->attrs = attrs;
	devres_add(d, r);
	return r->at;
}

/* ---- pages that are mapped from the start (dma_alloc_pages) ---- */
struct page *dma_alloc_pages(struct device *d, size_t size, dma_addr_t *dma, enum dma_data_direction dir, gfp_t gfp)
{
	struct page *page;
	u32 h = prepared(d, "dma_alloc_pages");

	if (gd_fail(GD_FAULT_COHERENT))
		return NULL;
	page = gd_alloc_pages(gfp | __GFP_NOFAIL, get_order(size));
	if (!page)
		return NULL;
	*dma = (dma_addr_t)gd_dma_map(h, gd_mask_of(d), (u64)page_to_pfn(page) << PAGE_SHIFT, size, dir, DMA_ATTR_SKIP_CPU_SYNC);
	/* What dma_alloc_pages returns needs no dma_mapping_error: it has been asked here. */
	if (gd_dma_error(h, wide(*dma))) {
		__free_pages(page, get_order(size));
		return NULL;
	}
	return page;
}

void dma_free_pages(struct device *d, size_t size, struct page *page, dma_addr_t dma, enum dma_data_direction dir)
{
	gd_dma_unmap(handle(d, "dma_free_pages"), wide(dma), size, dir, DMA_ATTR_SKIP_CPU_SYNC);
	__free_pages(page, get_order(size));
}

int dma_set_mask(struct device *d, u64 mask)
{
	if (!d->dma_mask || gd_fail(GD_FAULT_MASK))
		return -EIO;
	*d->dma_mask = (u64)(dma_addr_t)mask;
	return 0;
}

int dma_set_coherent_mask(struct device *d, u64 mask)
{
	d->coherent_dma_mask = (u64)(dma_addr_t)mask;
	return 0;
}

size_t dma_max_mapping_size(struct device *d)
{
	gd_u64 most = gd_dma_max_mapping(prepared(d, "dma_max_mapping_size"));

	return most > 4294967295u ? (size_t)-1 : (size_t)most;
}

size_t dma_opt_mapping_size(struct device *d)
{
	gd_u64 most = gd_dma_opt_mapping(prepared(d, "dma_opt_mapping_size"));

	return most > 4294967295u ? (size_t)-1 : (size_t)most;
}

unsigned long dma_get_merge_boundary(struct device *d)
{
	return gd_dma_merge_boundary(prepared(d, "dma_get_merge_boundary"));
}

u64 dma_get_required_mask(struct device *d)
{
	return 0xffffffffULL;
}

void gd_leaks_dma(void)
{
	struct coherent *c;

	for (c = coherents; c; c = c->next)
		gd_finding(GD_LEAK, c->at, c->size, c->born, "leaves %u bytes of coherent memory allocated", c->size);
}

/* ---- pools: blocks carved from coherent memory (mm/dmapool.c) ---- */
struct pool_page { struct pool_page *next; char *at; dma_addr_t dma; u32 size, used; u32 bits[128]; };
struct dma_pool { struct device *dev; const char *name; u32 size, allocation, boundary, live; struct pool_page *pages; };

struct dma_pool *gd_pool_create(const char *name, struct device *d, size_t size, size_t align, size_t boundary)
{
	struct dma_pool *pool;

	if (align == 0)
		align = 1;
	if (size == 0 || (align & (align - 1)) || (boundary && (boundary < size || (boundary & (boundary - 1)))))
		return NULL;
	if (gd_fail(GD_FAULT_POOL))
		return NULL;
	pool = gd_object_alloc(sizeof(*pool), GD_KIND_POOL, true);
	if (!pool)
		return NULL;
	pool->dev = d;
	pool->name = name;
	pool->size = ALIGN(size < 4 ? 4 : size, align);
	pool->allocation = pool->size > PAGE_SIZE ? pool->size : PAGE_SIZE;
	pool->boundary = boundary ? boundary : pool->allocation;
	return pool;
}

void dma_pool_destroy(struct dma_pool *pool)
{
	struct pool_page *p;

	if (!pool)
		return;
	if (pool->live)
		gd_finding(GD_LEAK, pool, pool->live * pool->size, NULL, "destroys DMA pool %s with %u blocks in use", pool->name, pool->live);
	while ((p = pool->pages)) {
		pool->pages = p->next;
		gd_unpoison(p->at, pool->allocation);
		if (p->used == 0)
			dma_free_attrs(pool->dev, pool->allocation, p->at, p->dma, 0);
		gd_object_free(p, GD_KIND_OWN);
	}
	gd_object_free(pool, GD_KIND_POOL);
}

/* Offset of block i, or -1 past the last: none crosses the boundary. */
static int block_offset(struct dma_pool *pool, u32 i)
{
	u32 each = pool->boundary / pool->size, offset = i / each * pool->boundary + i % each * pool->size;

	return offset + pool->size <= pool->allocation ? (int)offset : -1;
}

void *dma_pool_alloc(struct dma_pool *pool, gfp_t gfp, dma_addr_t *dma)
{
	struct pool_page *p;
	u32 i;

	gd_in_atomic(gfp, "dma_pool_alloc");
	if (gd_fail(GD_FAULT_POOL))
		return NULL;
	for (p = pool->pages;; p = p->next) {
		if (!p) {
			bool made = false;
			void *at;

			p = gd_object_alloc(sizeof(*p), GD_KIND_OWN, true);
			if (!p)
				return NULL;
			at = dma_alloc_attrs(pool->dev, pool->allocation, &p->dma, gfp & ~__GFP_DIRECT_RECLAIM, 0);
			made = at != NULL;
			if (!made) {
				gd_object_free(p, GD_KIND_OWN);
				return NULL;
			}
			p->at = at;
			p->next = pool->pages;
			pool->pages = p;
			gd_poison(at, pool->allocation & ~7, GD_FREED);
		}
		for (i = 0; block_offset(pool, i) >= 0 && i < 4096; i++) {
			int offset = block_offset(pool, i);

			if (p->bits[i >> 5] & (1u << (i & 31)))
				continue;
			p->bits[i >> 5] |= 1u << (i & 31);
			p->used++;
			pool->live++;
			gd_unpoison(p->at + offset, pool->size);
			if (gfp & __GFP_ZERO)
				__builtin_memset(p->at + offset, 0, pool->size);
			*dma = p->dma + offset;
			return p->at + offset;
		}
	}
}

void dma_pool_free(struct dma_pool *pool, void *at, dma_addr_t dma)
{
	struct pool_page *p;
	u32 i;

	for (p = pool->pages; p; p = p->next) {
		u32 offset = (char *)at - p->at;

		if (offset >= pool->allocation)
			continue;
		if (p->dma + offset != dma) {
			gd_finding(GD_BAD_FREE, at, pool->size, NULL, "frees a block of pool %s with device address %llx, its own is %llx", pool->name,
				   (u64)dma, (u64)(p->dma + offset));
			return;
		}
		for (i = 0; block_offset(pool, i) >= 0; i++) {
			if (block_offset(pool, i) != (int)offset)
				continue;
			if (!(p->bits[i >> 5] & (1u << (i & 31))))
				break;
			p->bits[i >> 5] &= ~(1u << (i & 31));
			p->used--;
			pool->live--;
			gd_poison(at, pool->size & ~7, GD_FREED);
			return;
		}
		gd_finding(GD_DOUBLE_FREE, at, pool->size, NULL, "frees a block of pool %s that is free already", pool->name);
		return;
	}
	gd_finding(GD_BAD_FREE, at, pool->size, NULL, "frees %p, which is no block of pool %s", at, pool->name);
}

#ifndef GD_TREE
void dmam_free_coherent(struct device *d, size_t size, void *at, dma_addr_t dma)
{
	gd_finding(GD_MISUSE, at, size, NULL, "dmam_free_coherent is not modelled");
}

bool dma_need_sync(struct device *d, dma_addr_t at)
{
	return false;
}

struct dma_pool *dma_pool_create(const char *name, struct device *d, size_t size, size_t align, size_t boundary)
{
	return gd_pool_create(name, d, size, align, boundary);
}
#endif

static void pool_release(struct device *d, void *res)
{
	dma_pool_destroy(*(struct dma_pool **)res);
}

struct dma_pool *dmam_pool_create(const char *name, struct device *d, size_t size, size_t align, size_t boundary)
{
	struct dma_pool **res = gd_devres_alloc(pool_release, sizeof(*res), GFP_KERNEL);

	if (!res)
		return NULL;
	*res = gd_pool_create(name, d, size, align, boundary);
	if (!*res) {
		devres_free(res);
		return NULL;
	}
	devres_add(d, res);
	return *res;
}
