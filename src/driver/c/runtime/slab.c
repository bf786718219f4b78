// SPDX-License-Identifier: MIT
/*
 * Objects: what kmalloc, caches, skbs and devres are made of. Objects of one size come from blocks of frames whose records lie
 * apart, so that nothing but the object's own bytes is open to the driver. A freed object waits in a queue before it is used
 * again, so that its use after free is seen.
 */
#include "runtime.h"

#define CLASSES 12
#define NO_OBJECT 0xffffu
#define QUARANTINE 256
/* page->mapping of a frame that belongs to a block of objects; page->private is its record. */
#define SLAB_MARK ((struct address_space *)0x51ab)

struct object {
	u32 size;
	const struct gd_site *born;
	const struct gd_site *freed;
	u16 next;
	u8 kind;
	u8 state;
};
enum { OBJECT_FREE, OBJECT_LIVE, OBJECT_DEAD };

struct slab {
	struct slab *next, *prev_all, *next_all;
	char *base;
	u32 pfn;
	u32 object_size;
	u16 order, count, first_free, live;
	u8 class, meta_order;
	struct object objects[];
};

static const u16 class_size[CLASSES] = { 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096 };
static struct slab *partial[CLASSES];
static struct slab *all;
static void *quarantine[QUARANTINE];
static u32 quarantine_at;
static u32 live_objects;

static struct slab *slab_of(const void *at)
{
	u32 pfn = gd_virt_pfn(at);
	struct page *page;

	if (pfn == 0 || (pfn & GD_PFN_VMALLOC))
		return NULL;
	page = pfn_to_page(pfn);
	return page->mapping == SLAB_MARK ? (struct slab *)page->private : NULL;
}

static struct slab *slab_create(u32 class, u32 size, u32 order)
{
	u32 count = class < CLASSES ? (PAGE_SIZE << order) / size : 1;
	u32 meta = sizeof(struct slab) + count * sizeof(struct object);
	u32 meta_order = get_order(meta);
	struct slab *slab = gd_block_alloc(meta_order);
	u32 i;

	if (!slab)
		return NULL;
	slab->pfn = gd_pages_alloc(order, 0);
	if (slab->pfn == 0) {
		gd_block_free(slab);
		return NULL;
	}
	slab->base = gd_pfn_virt(slab->pfn);
	slab->object_size = size;
	slab->order = order;
	slab->count = count;
	slab->class = class;
	slab->meta_order = meta_order;
	for (i = 0; i < count; i++)
		slab->objects[i].next = i + 1 < count ? i + 1 : NO_OBJECT;
	for (i = 0; i < 1u << order; i++) {
		struct page *page = pfn_to_page(slab->pfn + i);

		page->mapping = SLAB_MARK;
		page->private = (unsigned long)slab;
	}
	gd_poison(slab->base, PAGE_SIZE << order, GD_REDZONE);
	slab->next_all = all;
	if (all)
		all->prev_all = slab;
	all = slab;
	return slab;
}

static void slab_destroy(struct slab *slab)
{
	u32 i;

	if (slab->prev_all)
		slab->prev_all->next_all = slab->next_all;
	else
		all = slab->next_all;
	if (slab->next_all)
		slab->next_all->prev_all = slab->prev_all;
	for (i = 0; i < 1u << slab->order; i++)
		pfn_to_page(slab->pfn + i)->mapping = NULL;
	gd_pages_free(slab->pfn, slab->order);
	gd_block_free(slab);
}

void *gd_object_alloc(u32 size, enum gd_kind kind, bool zero)
{
	u32 class = 0;
	struct slab *slab;
	struct object *object;
	char *at;

	while (class < CLASSES - 1 && class_size[class] < size)
		class++;
	if (class_size[class] >= size && class < CLASSES - 1) {
		slab = partial[class];
		if (!slab) {
			slab = slab_create(class, class_size[class], 0);
			if (!slab)
				return NULL;
			slab->next = NULL;
			partial[class] = slab;
		}
	} else {
		slab = slab_create(CLASSES, PAGE_SIZE << get_order(size), get_order(size));
		if (!slab)
			return NULL;
	}
	object = &slab->objects[slab->first_free];
	at = slab->base + slab->first_free * slab->object_size;
	slab->first_free = object->next;
	if (slab->first_free == NO_OBJECT && slab->class < CLASSES)
		partial[class] = slab->next;
	slab->live++;
	live_objects++;
	object->size = size;
	object->born = gd_site_now();
	object->kind = kind;
	object->state = OBJECT_LIVE;
	gd_unpoison(at, size);
	__builtin_memset(at, zero ? 0 : 0x5a, size);
	return at;
}

/* An object's record, when an address is the start of one. */
static struct object *object_at(const void *at, struct slab **slab_out)
{
	struct slab *slab = slab_of(at);
	u32 offset, i;

	if (!slab)
		return NULL;
	offset = (char *)at - slab->base;
	i = offset / slab->object_size;
	*slab_out = slab;
	return i * slab->object_size == offset ? &slab->objects[i] : NULL;
}

static void object_release(void *at)
{
	struct slab *slab;
	struct object *object = object_at(at, &slab);

	object->state = OBJECT_FREE;
	if (slab->class >= CLASSES) {
		slab_destroy(slab);
		return;
	}
	if (slab->first_free == NO_OBJECT) {
		slab->next = partial[slab->class];
		partial[slab->class] = slab;
	}
	object->next = slab->first_free;
	slab->first_free = object - slab->objects;
	slab->live--;
}

void gd_object_free(const void *at, enum gd_kind kind)
{
	struct slab *slab;
	struct object *object = object_at(at, &slab);
	void *oldest;

	if (!object || object->state == OBJECT_FREE) {
		gd_finding(GD_BAD_FREE, at, 0, NULL, "frees %p, which is no object that was allocated", at);
		return;
	}
	if (object->state == OBJECT_DEAD) {
		gd_finding(GD_DOUBLE_FREE, at, object->size, object->born, "frees an object of %u bytes that is free already", object->size);
		return;
	}
	gd_check_free(at, object->size);
	gd_sched_free(at, object->size);
	object->state = OBJECT_DEAD;
	object->freed = gd_site_now();
	live_objects--;
	gd_poison(at, ALIGN(object->size, 8), GD_FREED);
	if (slab->class >= CLASSES) {
		object_release((void *)at);
		return;
	}
	oldest = quarantine[quarantine_at];
	quarantine[quarantine_at] = (void *)at;
	quarantine_at = (quarantine_at + 1) % QUARANTINE;
	if (oldest)
		object_release(oldest);
}

u32 gd_object_size(const void *at)
{
	struct slab *slab;
	struct object *object = object_at(at, &slab);

	return object && object->state == OBJECT_LIVE ? object->size : 0;
}

/* The object that an address lies in, for the host: size, offset, state and both sites. */
GD_EXPORT u32 gd_object_find(const void *at, u32 *out)
{
	struct slab *slab = slab_of(at);
	struct object *object;
	u32 i;

	if (!slab)
		return 0;
	i = ((char *)at - slab->base) / slab->object_size;
	if (i >= slab->count)
		return 0;
	object = &slab->objects[i];
	out[0] = (u32)slab->base + i * slab->object_size;
	out[1] = object->size;
	out[2] = object->state;
	out[3] = (u32)object->born;
	out[4] = (u32)object->freed;
	return 1;
}

void *gd_kmalloc(size_t size, gfp_t gfp)
{
	if (size == 0)
		return (void *)16;
	if (gd_in_atomic(gfp, "kmalloc"))
		return NULL;
	if (size > (PAGE_SIZE << 10)) {
		if (!(gfp & __GFP_NOWARN))
			gd_finding(GD_WARN, NULL, 0, NULL, "asks kmalloc for %zu bytes, more than it ever has", size);
		return NULL;
	}
	if ((!(gfp & __GFP_NOFAIL) && gd_fail(GD_FAULT_KMALLOC)))
		return NULL;
	return gd_object_alloc(size, GD_KIND_KMALLOC, (gfp & __GFP_ZERO) != 0);
}

void kfree(const void *at)
{
	if ((unsigned long)at > 16)
		gd_object_free(at, GD_KIND_KMALLOC);
}

void kfree_sensitive(const void *at)
{
	if ((unsigned long)at > 16)
		__builtin_memset((void *)at, 0, gd_object_size(at));
	kfree(at);
}

void *gd_krealloc(const void *at, size_t size, gfp_t gfp)
{
	u32 old = (unsigned long)at > 16 ? gd_object_size(at) : 0;
	void *to;

	if (size == 0) {
		kfree(at);
		return (void *)16;
	}
	to = gd_kmalloc(size, gfp);
	if (to && old) {
		__builtin_memcpy(to, at, old < size ? old : size);
		kfree(at);
	}
	return to;
}

void *gd_kmemdup(const void *from, size_t n, gfp_t gfp)
{
	void *to = gd_kmalloc(n, gfp);

	if (to) {
		gd_check(from, n, 0);
		__builtin_memcpy(to, from, n);
	}
	return to;
}

size_t ksize(const void *at)
{
	return (unsigned long)at > 16 ? gd_object_size(at) : 0;
}

/* Caches: a size and a name. */
struct gd_cache { u32 size; const char *name; u32 live; void (*ctor)(void *); };

void *gd_cache_create(const char *name, u32 size, void (*ctor)(void *))
{
	struct gd_cache *cache;

	if (gd_fail(GD_FAULT_KMALLOC))
		return NULL;
	cache = gd_object_alloc(sizeof(*cache), GD_KIND_CACHE, true);
	if (cache) {
		cache->size = size;
		cache->name = name;
		cache->ctor = ctor;
	}
	return cache;
}

void gd_cache_destroy(void *at)
{
	struct gd_cache *cache = at;

	if (!cache)
		return;
	if (cache->live)
		gd_finding(GD_MISUSE, cache, 0, gd_site_now(), "destroys cache %s with %u objects in use", cache->name, cache->live);
	gd_object_free(cache, GD_KIND_CACHE);
}

void *gd_cache_take(void *at, gfp_t gfp)
{
	struct gd_cache *cache = at;
	void *object = gd_kmalloc(cache->size, gfp);

	if (object) {
		cache->live++;
		if (cache->ctor)
			cache->ctor(object);
	}
	return object;
}

void gd_cache_give(void *at, void *object)
{
	struct gd_cache *cache = at;

	cache->live--;
	kfree(object);
}

void gd_leaks_objects(void)
{
	static const char *const what[] = { "object", "skb", "skb data", "cache", "managed resource", "", "network device", "DMA pool",
		"dma-buf", "DRM device" };
	struct slab *slab;
	u32 i;

	for (slab = all; slab; slab = slab->next_all) {
		for (i = 0; i < slab->count; i++) {
			struct object *object = &slab->objects[i];

			if (object->state != OBJECT_LIVE || object->kind == GD_KIND_OWN || object->kind == GD_KIND_SKB_DATA)
				continue;
			gd_finding(GD_LEAK, slab->base + i * slab->object_size, object->size, object->born,
				   "leaves %s of %u bytes allocated", what[object->kind], object->size);
		}
	}
}
