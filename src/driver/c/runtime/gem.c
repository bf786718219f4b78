// SPDX-License-Identifier: MIT
/* dma-buf, and GEM objects on shmem, as own mode has them; in tree mode the tree's own files are compiled (--with). */
#include "runtime.h"

#ifndef GD_TREE

/* ---- dma-buf ---- */
static struct dma_buf *exported;
static u32 exports;

struct dma_buf *dma_buf_export(const struct dma_buf_export_info *info)
{
	struct dma_buf *buf;

	if (!info->ops || !info->ops->map_dma_buf || !info->ops->unmap_dma_buf || !info->ops->release)
		return ERR_PTR(-EINVAL);
	if (gd_fail(GD_FAULT_KMALLOC))
		return ERR_PTR(-ENOMEM);
	buf = gd_object_alloc(sizeof(*buf), GD_KIND_DMABUF, true);
	if (!buf)
		return ERR_PTR(-ENOMEM);
	buf->size = info->size;
	buf->ops = info->ops;
	buf->priv = info->priv;
	buf->exp_name = info->exp_name;
	buf->refs = 1;
	INIT_LIST_HEAD(&buf->attachments);
	exported = buf;
	exports++;
	return buf;
}

void get_dma_buf(struct dma_buf *buf)
{
	buf->refs++;
}

void dma_buf_put(struct dma_buf *buf)
{
	if (!buf || --buf->refs > 0)
		return;
	if (!list_empty(&buf->attachments))
		gd_finding(GD_MISUSE, buf, 0, NULL, "releases a dma-buf that is attached");
	exports--;
	buf->ops->release(buf);
	if (exported == buf)
		exported = NULL;
	gd_object_free(buf, GD_KIND_DMABUF);
}

struct dma_buf_attachment *dma_buf_attach(struct dma_buf *buf, struct device *d)
{
	struct dma_buf_attachment *a;
	int rc;

	if (gd_fail(GD_FAULT_KMALLOC))
		return ERR_PTR(-ENOMEM);
	a = gd_object_alloc(sizeof(*a), GD_KIND_DMABUF, true);
	if (!a)
		return ERR_PTR(-ENOMEM);
	a->dmabuf = buf;
	a->dev = d;
	if (buf->ops->attach) {
		rc = buf->ops->attach(buf, a);
		if (rc) {
			gd_object_free(a, GD_KIND_DMABUF);
			return ERR_PTR(rc);
		}
	}
	list_add(&a->node, &buf->attachments);
	return a;
}

void dma_buf_detach(struct dma_buf *buf, struct dma_buf_attachment *a)
{
	if (a->sgt)
		gd_finding(GD_MISUSE, a, 0, NULL, "detaches from a dma-buf that it has mapped");
	list_del(&a->node);
	if (buf->ops->detach)
		buf->ops->detach(buf, a);
	gd_object_free(a, GD_KIND_DMABUF);
}

struct sg_table *dma_buf_map_attachment(struct dma_buf_attachment *a, enum dma_data_direction dir)
{
	struct sg_table *t;

	gd_might_sleep("dma_buf_map_attachment");
	if (a->dmabuf->ops->pin && a->dmabuf->ops->pin(a))
		return ERR_PTR(-ENOMEM);
	t = a->dmabuf->ops->map_dma_buf(a, dir);
	if (!t)
		t = ERR_PTR(-ENOMEM);
	if (IS_ERR(t)) {
		if (a->dmabuf->ops->unpin)
			a->dmabuf->ops->unpin(a);
		return t;
	}
	a->sgt = t;
	a->dir = dir;
	return t;
}

void dma_buf_unmap_attachment(struct dma_buf_attachment *a, struct sg_table *t, enum dma_data_direction dir)
{
	a->sgt = NULL;
	a->dmabuf->ops->unmap_dma_buf(a, t, dir);
	if (a->dmabuf->ops->unpin)
		a->dmabuf->ops->unpin(a);
}

/* ---- devices and objects ---- */
struct drm_device *gd_drm_dev_alloc(const struct drm_driver *driver, struct device *dev)
{
	struct drm_device *d;

	if (gd_fail(GD_FAULT_KMALLOC))
		return ERR_PTR(-ENOMEM);
	d = gd_object_alloc(sizeof(*d), GD_KIND_DRM, true);
	if (!d)
		return ERR_PTR(-ENOMEM);
	d->dev = dev;
	d->driver = driver;
	return d;
}

int drm_dev_register(struct drm_device *d, unsigned long flags)
{
	return gd_fail(GD_FAULT_REGISTER) ? -ENOMEM : 0;
}

void drm_dev_unregister(struct drm_device *d)
{
}

void drm_dev_put(struct drm_device *d)
{
	if (d->objects)
		gd_finding(GD_LEAK, d, 0, NULL, "the device goes with %d GEM objects alive", d->objects);
	gd_object_free(d, GD_KIND_DRM);
}

void drm_gem_private_object_init(struct drm_device *d, struct drm_gem_object *o, size_t size)
{
	if (size & (PAGE_SIZE - 1))
		gd_finding(GD_BUG, o, size, NULL, "a GEM object of %u bytes, which is no multiple of the page size", (u32)size);
	o->dev = d;
	o->size = size;
	kref_init(&o->refcount);
	d->objects++;
}

void drm_gem_object_release(struct drm_gem_object *o)
{
	u32 n = o->size >> PAGE_SHIFT, i;

	o->dev->objects--;
	if (!o->file)
		return;
	for (i = 0; i < n; i++)
		__free_pages(o->file[i], 0);
	gd_object_free(o->file, GD_KIND_OWN);
	o->file = NULL;
}

void drm_gem_object_free(struct kref *kref)
{
	struct drm_gem_object *o = container_of(kref, struct drm_gem_object, refcount);

	o->funcs->free(o);
}

/*
 * An object's file keeps its pages from the first time they are asked for till the object goes; a driver has them between get
 * and put, after which they may be swapped out.
 */
struct page **drm_gem_get_pages(struct drm_gem_object *o)
{
	u32 n = o->size >> PAGE_SHIFT, i;
	struct page **pages = gd_kvmalloc(n * sizeof(*pages), GFP_KERNEL);

	if (!pages)
		return ERR_PTR(-ENOMEM);
	if (!o->file)
		o->file = gd_object_alloc(n * sizeof(*pages), GD_KIND_OWN, true);
	for (i = 0; i < n; i++) {
		if (!o->file[i])
			o->file[i] = gd_alloc_pages(GFP_KERNEL, 0);
		if (!o->file[i]) {
			kvfree(pages);
			return ERR_PTR(-ENOMEM);
		}
		pages[i] = o->file[i];
	}
	return pages;
}

void drm_gem_put_pages(struct drm_gem_object *o, struct page **pages, bool dirty, bool accessed)
{
	u32 n = o->size >> PAGE_SHIFT, i;

	for (i = 0; i < n; i++)
		gd_check_free(page_address(pages[i]), PAGE_SIZE);
	kvfree(pages);
}

/* ---- shmem ---- */
static const struct drm_gem_object_funcs shmem_funcs = { .free = drm_gem_shmem_object_free };

struct drm_gem_shmem_object *drm_gem_shmem_create(struct drm_device *d, size_t size)
{
	struct drm_gem_shmem_object *s;
	struct drm_gem_object *o;

	size = PAGE_ALIGN(size);
	if (d->driver->gem_create_object) {
		o = d->driver->gem_create_object(d, size);
		if (IS_ERR(o))
			return ERR_CAST(o);
		s = to_drm_gem_shmem_obj(o);
	} else {
		s = gd_kmalloc(sizeof(*s), GFP_KERNEL | __GFP_ZERO);
		if (!s)
			return ERR_PTR(-ENOMEM);
	}
	if (!s->base.funcs)
		s->base.funcs = &shmem_funcs;
	drm_gem_private_object_init(d, &s->base, size);
	return s;
}

int drm_gem_shmem_get_pages(struct drm_gem_shmem_object *s)
{
	struct page **pages;

	if (s->pages_use_count++ > 0)
		return 0;
	pages = drm_gem_get_pages(&s->base);
	if (IS_ERR(pages)) {
		s->pages_use_count = 0;
		return PTR_ERR(pages);
	}
	s->pages = pages;
	return 0;
}

void drm_gem_shmem_put_pages(struct drm_gem_shmem_object *s)
{
	if (s->pages_use_count == 0) {
		gd_finding(GD_WARN, s, 0, NULL, "puts pages of a shmem object that has none");
		return;
	}
	if (--s->pages_use_count > 0)
		return;
	drm_gem_put_pages(&s->base, s->pages, true, true);
	s->pages = NULL;
}

struct sg_table *drm_prime_pages_to_sg(struct drm_device *d, struct page **pages, unsigned int n)
{
	struct sg_table *t = gd_kmalloc(sizeof(*t), GFP_KERNEL | __GFP_ZERO);
	unsigned int longest = dma_get_max_seg_size(d->dev);
	int rc;

	if (!t)
		return ERR_PTR(-ENOMEM);
	rc = gd_sg_alloc_table_from_pages(t, pages, n, 0, (unsigned long)n << PAGE_SHIFT, longest, GFP_KERNEL);
	if (rc) {
		kfree(t);
		return ERR_PTR(rc);
	}
	return t;
}

struct sg_table *drm_gem_shmem_get_sg_table(struct drm_gem_shmem_object *s)
{
	return drm_prime_pages_to_sg(s->base.dev, s->pages, s->base.size >> PAGE_SHIFT);
}

struct sg_table *drm_gem_shmem_get_pages_sgt(struct drm_gem_shmem_object *s)
{
	struct sg_table *t;
	int rc;

	if (s->sgt)
		return s->sgt;
	rc = drm_gem_shmem_get_pages(s);
	if (rc)
		return ERR_PTR(rc);
	t = drm_gem_shmem_get_sg_table(s);
	if (IS_ERR(t)) {
		drm_gem_shmem_put_pages(s);
		return t;
	}
	rc = dma_map_sgtable(s->base.dev->dev, t, DMA_BIDIRECTIONAL, 0);
	if (rc) {
		sg_free_table(t);
		kfree(t);
		drm_gem_shmem_put_pages(s);
		return ERR_PTR(rc);
	}
	s->sgt = t;
	return t;
}

void drm_gem_shmem_free(struct drm_gem_shmem_object *s)
{
	if (s->vmap_use_count)
		gd_finding(GD_WARN, s, 0, NULL, "frees a shmem object that is mapped for the CPU");
	if (s->sgt) {
		dma_unmap_sg_attrs(s->base.dev->dev, s->sgt->sgl, s->sgt->orig_nents, DMA_BIDIRECTIONAL, 0);
		sg_free_table(s->sgt);
		kfree(s->sgt);
	}
	if (s->sgt || s->pages)
		drm_gem_shmem_put_pages(s);
	if (s->pages_use_count)
		gd_finding(GD_WARN, s, 0, NULL, "frees a shmem object whose pages are in use");
	drm_gem_object_release(&s->base);
	kfree(s);
}

void drm_gem_shmem_object_free(struct drm_gem_object *o)
{
	drm_gem_shmem_free(to_drm_gem_shmem_obj(o));
}

int drm_gem_shmem_vmap(struct drm_gem_shmem_object *s, struct iosys_map *map)
{
	int rc;

	if (s->vmap_use_count++ == 0) {
		rc = drm_gem_shmem_get_pages(s);
		if (rc) {
			s->vmap_use_count = 0;
			return rc;
		}
		s->vaddr = gd_vmap_pages(s->pages, s->base.size >> PAGE_SHIFT);
		if (!s->vaddr) {
			drm_gem_shmem_put_pages(s);
			s->vmap_use_count = 0;
			return -ENOMEM;
		}
	}
	map->vaddr = s->vaddr;
	map->is_iomem = false;
	return 0;
}

void drm_gem_shmem_vunmap(struct drm_gem_shmem_object *s, struct iosys_map *map)
{
	if (s->vmap_use_count == 0) {
		gd_finding(GD_WARN, s, 0, NULL, "unmaps a shmem object that is not mapped for the CPU");
		return;
	}
	if (--s->vmap_use_count > 0)
		return;
	vunmap(s->vaddr);
	s->vaddr = NULL;
	drm_gem_shmem_put_pages(s);
}

/* ---- PRIME: an object as a dma-buf ---- */
static struct sg_table *prime_map(struct dma_buf_attachment *a, enum dma_data_direction dir)
{
	struct drm_gem_object *o = a->dmabuf->priv;
	struct sg_table *t = o->funcs->get_sg_table(o);
	int rc;

	if (IS_ERR(t))
		return t;
	rc = dma_map_sgtable(a->dev, t, dir, DMA_ATTR_SKIP_CPU_SYNC);
	if (rc) {
		sg_free_table(t);
		kfree(t);
		return ERR_PTR(rc);
	}
	return t;
}

static void prime_unmap(struct dma_buf_attachment *a, struct sg_table *t, enum dma_data_direction dir)
{
	dma_unmap_sg_attrs(a->dev, t->sgl, t->orig_nents, dir, DMA_ATTR_SKIP_CPU_SYNC);
	sg_free_table(t);
	kfree(t);
}

static int prime_pin(struct dma_buf_attachment *a)
{
	struct drm_gem_object *o = a->dmabuf->priv;

	return o->funcs->pin ? o->funcs->pin(o) : 0;
}

static void prime_unpin(struct dma_buf_attachment *a)
{
	struct drm_gem_object *o = a->dmabuf->priv;

	if (o->funcs->unpin)
		o->funcs->unpin(o);
}

static void prime_release(struct dma_buf *buf)
{
	drm_gem_object_put(buf->priv);
}

static const struct dma_buf_ops prime_ops = {
	.pin = prime_pin,
	.unpin = prime_unpin,
	.map_dma_buf = prime_map,
	.unmap_dma_buf = prime_unmap,
	.release = prime_release,
};

struct dma_buf *drm_gem_prime_export(struct drm_gem_object *o, int flags)
{
	struct dma_buf_export_info info = { .exp_name = o->dev->driver->name, .ops = &prime_ops, .size = o->size, .priv = o };
	struct dma_buf *buf = dma_buf_export(&info);

	if (!IS_ERR(buf))
		drm_gem_object_get(o);
	return buf;
}

#endif
