/* SPDX-License-Identifier: MIT */
/* The core of GEM and its shmem helper: what a driver's mapping code calls. No files, no ioctls, no modesetting. */
#ifndef GEMDMA_DRM_H
#define GEMDMA_DRM_H

#include <gemdma/dma.h>

struct drm_device;
struct drm_gem_object;
struct drm_gem_object_funcs {
	void (*free)(struct drm_gem_object *);
	int (*pin)(struct drm_gem_object *);
	void (*unpin)(struct drm_gem_object *);
	struct sg_table *(*get_sg_table)(struct drm_gem_object *);
	int (*vmap)(struct drm_gem_object *, struct iosys_map *);
	void (*vunmap)(struct drm_gem_object *, struct iosys_map *);
	struct dma_buf *(*export)(struct drm_gem_object *, int);
};
struct drm_driver {
	unsigned int driver_features;
	struct drm_gem_object *(*gem_create_object)(struct drm_device *, size_t);
	const char *name, *desc, *date;
	int major, minor;
};
#define DRIVER_GEM 1
struct drm_device { struct device *dev; const struct drm_driver *driver; void *dev_private; int objects; };
struct drm_gem_object {
	struct kref refcount;
	struct drm_device *dev;
	size_t size;
	const struct drm_gem_object_funcs *funcs;
	struct dma_buf *dma_buf;
	struct dma_buf_attachment *import_attach;
	struct page **file; /* the runtime's: pages of the shmem file */
};
struct drm_gem_shmem_object {
	struct drm_gem_object base;
	struct page **pages;
	unsigned int pages_use_count;
	struct sg_table *sgt;
	void *vaddr;
	unsigned int vmap_use_count;
	bool map_wc;
};
#define to_drm_gem_shmem_obj(o) container_of(o, struct drm_gem_shmem_object, base)

struct drm_device *gd_drm_dev_alloc(const struct drm_driver *driver, struct device *dev);
#define drm_dev_alloc(d, p) gd_drm_dev_alloc(d, p)
int drm_dev_register(struct drm_device *d, unsigned long flags);
void drm_dev_unregister(struct drm_device *d);
void drm_dev_put(struct drm_device *d);
void drm_gem_private_object_init(struct drm_device *d, struct drm_gem_object *o, size_t size);
void drm_gem_object_release(struct drm_gem_object *o);
void drm_gem_object_free(struct kref *kref);
static inline void drm_gem_object_get(struct drm_gem_object *o) { kref_get(&o->refcount); }
static inline void drm_gem_object_put(struct drm_gem_object *o)
{
	if (o)
		kref_put(&o->refcount, drm_gem_object_free);
}
struct drm_gem_shmem_object *drm_gem_shmem_create(struct drm_device *d, size_t size);
void drm_gem_shmem_free(struct drm_gem_shmem_object *s);
int drm_gem_shmem_get_pages(struct drm_gem_shmem_object *s);
void drm_gem_shmem_put_pages(struct drm_gem_shmem_object *s);
#define drm_gem_shmem_pin drm_gem_shmem_get_pages
#define drm_gem_shmem_unpin drm_gem_shmem_put_pages
struct sg_table *drm_gem_shmem_get_sg_table(struct drm_gem_shmem_object *s);
struct sg_table *drm_gem_shmem_get_pages_sgt(struct drm_gem_shmem_object *s);
int drm_gem_shmem_vmap(struct drm_gem_shmem_object *s, struct iosys_map *map);
void drm_gem_shmem_vunmap(struct drm_gem_shmem_object *s, struct iosys_map *map);
void drm_gem_shmem_object_free(struct drm_gem_object *o);
struct sg_table *drm_prime_pages_to_sg(struct drm_device *d, struct page **pages, unsigned int n);
struct dma_buf *drm_gem_prime_export(struct drm_gem_object *o, int flags);
#define drm_err(d, fmt, a...) dev_err((d)->dev, fmt, ##a)
#define drm_info(d, fmt, a...) dev_info((d)->dev, fmt, ##a)
#define DRM_ERROR(fmt, a...) pr_err(fmt, ##a)

/* shmem files: an inode's pages, made when they are asked for. */
struct page **drm_gem_get_pages(struct drm_gem_object *o);
void drm_gem_put_pages(struct drm_gem_object *o, struct page **pages, bool dirty, bool accessed);

#endif
