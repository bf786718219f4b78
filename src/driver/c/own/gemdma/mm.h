/* SPDX-License-Identifier: MIT */
/* Pages, kmalloc, vmalloc, highmem, scatterlists. */
#ifndef GEMDMA_MM_H
#define GEMDMA_MM_H

#include <gemdma/base.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096UL
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define PAGE_ALIGN(x) ALIGN(x, PAGE_SIZE)
#define PAGE_ALIGNED(x) IS_ALIGNED((unsigned long)(x), PAGE_SIZE)
#define offset_in_page(p) ((unsigned long)(p) & ~PAGE_MASK)
#define PFN_UP(x) (((x) + PAGE_SIZE - 1) >> PAGE_SHIFT)
#define PFN_DOWN(x) ((x) >> PAGE_SHIFT)
#define PFN_PHYS(x) ((phys_addr_t)(x) << PAGE_SHIFT)
#define L1_CACHE_BYTES 64
#define SMP_CACHE_BYTES 64
#define cache_line_size() 64
#define ARCH_KMALLOC_MINALIGN 8
#define MAX_PAGE_ORDER 10

#define __GFP_DMA 0x01u
#define __GFP_HIGHMEM 0x02u
#define __GFP_DMA32 0x04u
#define __GFP_ZERO 0x100u
#define __GFP_DIRECT_RECLAIM 0x400u
#define __GFP_NOWARN 0x2000u
#define __GFP_RETRY_MAYFAIL 0x4000u
#define __GFP_NOFAIL 0x8000u
#define __GFP_NORETRY 0x10000u
#define __GFP_COMP 0x40000u
#define GFP_ATOMIC 0x820u
#define GFP_NOWAIT 0x800u
#define GFP_KERNEL 0xcc0u
#define GFP_NOIO 0xc00u
#define GFP_NOFS 0xc40u
#define GFP_USER 0x100cc0u
#define GFP_HIGHUSER 0x100cc2u
#define GFP_DMA __GFP_DMA
#define GFP_DMA32 __GFP_DMA32

struct address_space;
/* 32 bytes, as assembly/driver/state.ts has it. */
struct page {
	unsigned long flags;
	struct list_head lru;
	struct address_space *mapping;
	unsigned long index;
	unsigned long private;
	atomic_t _mapcount;
	atomic_t _refcount;
};

extern struct page *gd_mem_map __attribute__((visibility("hidden")));
static inline unsigned long page_to_pfn(const struct page *page) { return gd_frame_pfn(page - gd_mem_map); }
static inline struct page *pfn_to_page(unsigned long pfn) { return gd_mem_map + gd_frame(pfn); }
static inline phys_addr_t page_to_phys(const struct page *page) { return PFN_PHYS(page_to_pfn(page)); }
static inline void *page_address(const struct page *page) { return gd_pfn_virt(page_to_pfn(page)); }
static inline bool pfn_valid(unsigned long pfn) { return gd_pfn_virt(pfn) != 0; }
struct page *gd_virt_to_page(const void *at);
#define virt_to_page(p) gd_virt_to_page((const void *)(p))
phys_addr_t virt_to_phys(const volatile void *at);
void *phys_to_virt(phys_addr_t phys);
#define __pa(p) virt_to_phys((void *)(p))
#define __va(p) phys_to_virt(p)
bool virt_addr_valid_(const void *at);
#define virt_addr_valid(p) virt_addr_valid_((const void *)(p))
bool is_vmalloc_addr(const void *at);
struct page *vmalloc_to_page(const void *at);

struct page *gd_alloc_pages(gfp_t gfp, unsigned int order);
void __free_pages(struct page *page, unsigned int order);
void free_pages(unsigned long at, unsigned int order);
void put_page(struct page *page);
static inline void get_page(struct page *page) { page->_refcount.counter++; }
static inline int page_count(const struct page *page) { return page->_refcount.counter; }
#define page_ref_count page_count
#define alloc_pages(gfp, order) gd_alloc_pages(gfp, order)
#define alloc_page(gfp) gd_alloc_pages(gfp, 0)
#define dev_alloc_page() gd_alloc_pages(GFP_ATOMIC, 0)
#define dev_alloc_pages(order) gd_alloc_pages(GFP_ATOMIC, order)
unsigned long gd_get_free_pages(gfp_t gfp, unsigned int order);
#define __get_free_pages(gfp, order) gd_get_free_pages(gfp, order)
#define __get_free_page(gfp) gd_get_free_pages(gfp, 0)
#define get_zeroed_page(gfp) gd_get_free_pages((gfp) | __GFP_ZERO, 0)
#define __free_page(page) __free_pages(page, 0)
#define free_page(at) free_pages(at, 0)
static inline int get_order(unsigned long size)
{
	return size <= PAGE_SIZE ? 0 : 32 - __builtin_clz((unsigned int)((size - 1) >> PAGE_SHIFT));
}
static inline void set_page_dirty(struct page *page) {}
static inline void mark_page_accessed(struct page *page) {}
static inline int page_to_nid(const struct page *page) { return 0; }
#define NUMA_NO_NODE (-1)

void *gd_kmalloc(size_t size, gfp_t gfp);
void *gd_krealloc(const void *at, size_t size, gfp_t gfp);
void *gd_kmemdup(const void *from, size_t n, gfp_t gfp);
void kfree(const void *at);
void kfree_sensitive(const void *at);
size_t ksize(const void *at);
static inline void *gd_kcalloc(size_t n, size_t size, gfp_t gfp)
{
	size_t bytes;

	return __builtin_mul_overflow(n, size, &bytes) ? NULL : gd_kmalloc(bytes, gfp);
}
#define ZERO_SIZE_PTR ((void *)16)
#define ZERO_OR_NULL_PTR(p) ((unsigned long)(p) <= 16)
#define kmalloc(s, g) gd_kmalloc(s, g)
#define kzalloc(s, g) gd_kmalloc(s, (g) | __GFP_ZERO)
#define kmalloc_node(s, g, n) gd_kmalloc(s, g)
#define kzalloc_node(s, g, n) gd_kmalloc(s, (g) | __GFP_ZERO)
#define kcalloc(n, s, g) gd_kcalloc(n, s, (g) | __GFP_ZERO)
#define kmalloc_array(n, s, g) gd_kcalloc(n, s, g)
#define krealloc(p, s, g) gd_krealloc(p, s, g)
#define kmemdup(p, n, g) gd_kmemdup(p, n, g)
static inline char *gd_kstrdup(const char *s, gfp_t gfp) { return s ? gd_kmemdup(s, strlen(s) + 1, gfp) : NULL; }
#define kstrdup(s, g) gd_kstrdup(s, g)

void *gd_vmalloc_bytes(unsigned long size);
void vfree(const void *at);
#define vmalloc(s) gd_vmalloc_bytes(s)
#define vzalloc(s) gd_vmalloc_bytes(s)
void *gd_kvmalloc(size_t size, gfp_t gfp);
void kvfree(const void *at);
#define kvmalloc(s, g) gd_kvmalloc(s, g)
#define kvzalloc(s, g) gd_kvmalloc(s, (g) | __GFP_ZERO)
#define kvmalloc_array(n, s, g) gd_kvmalloc((n) * (s), g)
#define kvcalloc(n, s, g) gd_kvmalloc((n) * (s), (g) | __GFP_ZERO)
typedef struct { unsigned long pgprot; } pgprot_t;
#define PAGE_KERNEL ((pgprot_t){ 0 })
#define pgprot_writecombine(p) (p)
#define VM_MAP 4
void *gd_vmap_pages(struct page **pages, unsigned int n);
void vunmap(const void *at);
#define vmap(pages, n, flags, prot) gd_vmap_pages(pages, n)

static inline void *kmap(struct page *page) { return page_address(page); }
static inline void kunmap(struct page *page) {}
static inline void *kmap_local_page(struct page *page) { return page_address(page); }
#define kmap_atomic kmap_local_page
#define kunmap_local(p) ((void)(p))
#define kunmap_atomic(p) ((void)(p))

struct kmem_cache;
struct kmem_cache *kmem_cache_create(const char *name, unsigned int size, unsigned int align, unsigned int flags, void (*ctor)(void *));
void kmem_cache_destroy(struct kmem_cache *cache);
void *gd_cache_alloc(struct kmem_cache *cache, gfp_t gfp);
void kmem_cache_free(struct kmem_cache *cache, void *at);
#define kmem_cache_alloc(c, g) gd_cache_alloc(c, g)
#define kmem_cache_zalloc(c, g) gd_cache_alloc(c, (g) | __GFP_ZERO)
#define KMEM_CACHE(s, f) kmem_cache_create(#s, sizeof(struct s), __alignof__(struct s), f, NULL)
#define SLAB_HWCACHE_ALIGN 0x2000u

/* Scatterlists, as include/linux/scatterlist.h has them with CONFIG_NEED_SG_DMA_LENGTH. */
struct scatterlist {
	unsigned long page_link;
	unsigned int offset;
	unsigned int length;
	dma_addr_t dma_address;
	unsigned int dma_length;
	unsigned int dma_flags;
};
struct sg_table {
	struct scatterlist *sgl;
	unsigned int nents;
	unsigned int orig_nents;
};
#define SG_CHAIN 1UL
#define SG_END 2UL
#define sg_is_chain(sg) ((sg)->page_link & SG_CHAIN)
#define sg_is_last(sg) ((sg)->page_link & SG_END)
#define sg_chain_ptr(sg) ((struct scatterlist *)((sg)->page_link & ~(SG_CHAIN | SG_END)))
#define sg_dma_address(sg) ((sg)->dma_address)
#define sg_dma_len(sg) ((sg)->dma_length)
#define for_each_sg(sgl, sg, n, i) for (i = 0, sg = (sgl); i < (n); i++, sg = sg_next(sg))
#define for_each_sgtable_sg(t, sg, i) for_each_sg((t)->sgl, sg, (t)->orig_nents, i)
#define for_each_sgtable_dma_sg(t, sg, i) for_each_sg((t)->sgl, sg, (t)->nents, i)
static inline struct page *sg_page(const struct scatterlist *sg) { return (struct page *)(sg->page_link & ~3UL); }
static inline phys_addr_t sg_phys(const struct scatterlist *sg) { return page_to_phys(sg_page(sg)) + sg->offset; }
static inline void *sg_virt(const struct scatterlist *sg) { return (char *)page_address(sg_page(sg)) + sg->offset; }
static inline void sg_mark_end(struct scatterlist *sg) { sg->page_link = (sg->page_link | SG_END) & ~SG_CHAIN; }
static inline void sg_unmark_end(struct scatterlist *sg) { sg->page_link &= ~SG_END; }
static inline void sg_assign_page(struct scatterlist *sg, struct page *page)
{
	sg->page_link = (sg->page_link & 3) | (unsigned long)page;
}
static inline void sg_set_page(struct scatterlist *sg, struct page *page, unsigned int len, unsigned int offset)
{
	sg_assign_page(sg, page);
	sg->offset = offset;
	sg->length = len;
}
static inline void sg_set_buf(struct scatterlist *sg, const void *buf, unsigned int len)
{
	sg_set_page(sg, virt_to_page(buf), len, offset_in_page(buf));
}
struct scatterlist *sg_next(struct scatterlist *sg);
void sg_init_table(struct scatterlist *sgl, unsigned int n);
void sg_init_one(struct scatterlist *sg, const void *buf, unsigned int len);
int sg_nents(struct scatterlist *sg);
int gd_sg_alloc_table(struct sg_table *table, unsigned int n, gfp_t gfp);
int gd_sg_alloc_table_from_pages(struct sg_table *table, struct page **pages, unsigned int n, unsigned int offset,
				 unsigned long size, unsigned int longest, gfp_t gfp);
#define sg_alloc_table(t, n, g) gd_sg_alloc_table(t, n, g)
#define sg_alloc_table_from_pages(t, p, n, o, s, g) gd_sg_alloc_table_from_pages(t, p, n, o, s, ~0u, g)
#define sg_alloc_table_from_pages_segment(t, p, n, o, s, m, g) gd_sg_alloc_table_from_pages(t, p, n, o, s, m, g)
void sg_free_table(struct sg_table *table);
size_t sg_copy_from_buffer(struct scatterlist *sgl, unsigned int n, const void *buf, size_t len);
size_t sg_copy_to_buffer(struct scatterlist *sgl, unsigned int n, void *buf, size_t len);

#endif
