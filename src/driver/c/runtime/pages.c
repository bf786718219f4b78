// SPDX-License-Identifier: MIT
/* Pages, vmalloc areas, and scatterlists over them. */
#include "runtime.h"

#ifdef GD_TREE
void *gd_pages_at;
#else
struct page *gd_mem_map;
#endif

void gd_pages_set(void *at)
{
#ifdef GD_TREE
	gd_pages_at = at;
#else
	gd_mem_map = at;
#endif
}

/* Pages that the driver has, by their struct page: born and a mark. */
#define PAGES_MARK ((struct address_space *)0x9a6e)

struct page *gd_virt_to_page(const void *at)
{
	u32 pfn = gd_virt_pfn(at);

	/* The page of an address that has none is page 0, as on a PC it is some page or none. */
	return pfn == 0 || (pfn & GD_PFN_VMALLOC) ? gd_mem_map : pfn_to_page(pfn);
}

phys_addr_t virt_to_phys(const volatile void *at)
{
	u32 pfn = gd_virt_pfn((const void *)at) & ~GD_PFN_VMALLOC;

	return ((phys_addr_t)pfn << PAGE_SHIFT) | offset_in_page(at);
}

void *phys_to_virt(phys_addr_t phys)
{
	char *at = gd_pfn_virt(phys >> PAGE_SHIFT);

	return at ? at + offset_in_page(phys) : NULL;
}

bool virt_addr_valid_(const void *at)
{
	u32 pfn = gd_virt_pfn(at);

	return pfn != 0 && !(pfn & GD_PFN_VMALLOC);
}

bool gd_is_vmalloc(const void *at)
{
	return (gd_virt_pfn(at) & GD_PFN_VMALLOC) != 0;
}

struct page *vmalloc_to_page(const void *at)
{
	u32 pfn = gd_virt_pfn(at) & ~GD_PFN_VMALLOC;

	return pfn ? pfn_to_page(pfn) : NULL;
}

/* Memory that may sleep in a context that must not: says so. */
bool gd_in_atomic(gfp_t gfp, const char *what)
{
	if ((gfp & __GFP_DIRECT_RECLAIM) && (gd_in_irq || gd_spin_depth || gd_irqs_off)) {
		gd_finding(GD_SLEEP, NULL, 0, NULL, "%s may sleep %s", what,
			   gd_in_irq ? "in an interrupt" : gd_spin_depth ? "with a spinlock held" : "with interrupts off");
	}
	return false;
}

struct page *gd_alloc_pages(gfp_t gfp, unsigned int order)
{
	u32 pfn, i;
	struct page *page;

	gd_in_atomic(gfp, "alloc_pages");
	if (!(gfp & __GFP_NOFAIL) && gd_fail(GD_FAULT_PAGES))
		return NULL;
	if (order > 10) {
		if (!(gfp & __GFP_NOWARN))
			gd_finding(GD_WARN, NULL, 0, NULL, "asks for %u pages at once, more than the page allocator has", 1u << order);
		return NULL;
	}
	pfn = gd_pages_alloc(order, (gfp & (__GFP_DMA32 | __GFP_DMA)) != 0);
	if (pfn == 0)
		return NULL;
	page = pfn_to_page(pfn);
	for (i = 0; i < 1u << order; i++) {
		__builtin_memset(page + i, 0, sizeof(*page));
		page[i]._refcount.counter = i == 0;
	}
	page->mapping = PAGES_MARK;
	page->index = order;
	page->private = (unsigned long)gd_site_now();
	return page;
}

void __free_pages(struct page *page, unsigned int order)
{
	if (!page)
		return;
	if (page->_refcount.counter <= 0) {
		gd_finding(GD_DOUBLE_FREE, NULL, PAGE_SIZE << order, NULL, "frees page %p, which is free already", page);
		return;
	}
	if (--page->_refcount.counter != 0)
		return;
	page->mapping = NULL;
	gd_pages_free(page_to_pfn(page), order);
}

void free_pages(unsigned long at, unsigned int order)
{
	if (at)
		__free_pages(gd_virt_to_page((void *)at), order);
}

void gd_put_page(struct page *page)
{
	__free_pages(page, page->mapping == PAGES_MARK ? page->index : 0);
}

unsigned long gd_get_free_pages(gfp_t gfp, unsigned int order)
{
	struct page *page = gd_alloc_pages(gfp, order);

	return page ? (unsigned long)page_address(page) : 0;
}

void gd_leaks_pages(void)
{
	u32 i, n = gd_frames();

	for (i = 0; i < n; i++) {
		struct page *page = gd_mem_map + i;

		if (page->mapping == PAGES_MARK && page->_refcount.counter > 0)
			gd_finding(GD_LEAK, NULL, PAGE_SIZE << page->index, (const struct gd_site *)page->private,
				   "leaves %u page%s allocated", 1u << page->index, page->index ? "s" : "");
	}
}

/* vmalloc: the number of pages is kept in the first one's struct page. */
void *gd_vmalloc_bytes(unsigned long size)
{
	u32 n = PFN_UP(size);
	void *at;

	if (n == 0 || gd_fail(GD_FAULT_PAGES))
		return NULL;
	at = gd_vmalloc(n);
	if (at) {
		struct page *page = vmalloc_to_page(at);

		page->index = n;
		page->private = (unsigned long)gd_site_now();
	}
	return at;
}

void vfree(const void *at)
{
	if (!at)
		return;
	if (!gd_is_vmalloc(at)) {
		gd_finding(GD_BAD_FREE, at, 0, NULL, "vfree of %p, which vmalloc did not give", at);
		return;
	}
	gd_check_free(at, vmalloc_to_page(at)->index << PAGE_SHIFT);
	gd_vfree(at, vmalloc_to_page(at)->index);
}

void *gd_kvmalloc(size_t size, gfp_t gfp)
{
	return size <= PAGE_SIZE ? gd_kmalloc(size, gfp) : gd_vmalloc_bytes(size);
}

void kvfree(const void *at)
{
	if (gd_is_vmalloc(at))
		vfree(at);
	else
		kfree(at);
}

void *gd_vmap_pages(struct page **pages, unsigned int n)
{
	u32 order = get_order(n * 4), i;
	u32 *pfns;
	void *at;

	if (gd_fail(GD_FAULT_PAGES))
		return NULL;
	pfns = gd_block_alloc(order);
	if (!pfns)
		return NULL;
	for (i = 0; i < n; i++)
		pfns[i] = page_to_pfn(pages[i]);
	at = gd_vmap(pfns, n);
	gd_block_free(pfns);
	return at;
}

void vunmap(const void *at)
{
	u32 n = 0;

	while (gd_virt_pfn((char *)at + n * PAGE_SIZE) & GD_PFN_VMALLOC)
		n++;
	gd_vunmap(at, n);
}

#ifndef GD_TREE
bool is_vmalloc_addr(const void *at)
{
	return gd_is_vmalloc(at);
}

void put_page(struct page *page)
{
	gd_put_page(page);
}

struct kmem_cache *kmem_cache_create(const char *name, unsigned int size, unsigned int align, unsigned int flags, void (*ctor)(void *))
{
	return gd_cache_create(name, ALIGN(size, align ? align : 8), ctor);
}

void kmem_cache_destroy(struct kmem_cache *cache)
{
	gd_cache_destroy(cache);
}

void *gd_cache_alloc(struct kmem_cache *cache, gfp_t gfp)
{
	return gd_cache_take(cache, gfp);
}

void kmem_cache_free(struct kmem_cache *cache, void *at)
{
	gd_cache_give(cache, at);
}
#endif
