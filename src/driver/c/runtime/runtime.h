/* SPDX-License-Identifier: MIT */
/* What every file of the runtime includes: the headers of the mode, and what the files share. */
#ifndef GEMDMA_RUNTIME_H
#define GEMDMA_RUNTIME_H

#ifdef GD_TREE
#include <gemdma/tree.h>
#else
#include <gemdma/all.h>
#endif
#include <gemdma/core.h>
#include <gemdma/map.h>

#undef kmalloc
#undef kfree
#undef alloc_pages

/* A finding with text of printk's form. */
void gd_finding(enum gd_finding kind, const void *at, u32 size, const struct gd_site *born, const char *fmt, ...);


/* locks.c */
extern u32 gd_irqs_off, gd_in_irq, gd_spin_depth;
void gd_might_sleep(const char *what);

/* work.c */
void gd_sched_free(const void *at, u32 size);

/* sched.c */
void gd_time_passed(void);
bool gd_run_pending(void);
bool gd_wait_step(u64 deadline);
void gd_hang(const char *what);
bool gd_irqs_run(void);
bool gd_napi_run(void);

#ifdef GD_TREE
#include <gemdma/tree-api.h>
#endif

/* device.c */
void *gd_devres_alloc(dr_release_t release, size_t size, gfp_t gfp);
int devres_release_all(struct device *d);

/* pages.c */
#ifdef GD_TREE
/* asm/page.h has the array by this name. */
#define gd_mem_map ((struct page *)gd_pages_at)
#endif
struct page *gd_alloc_pages(gfp_t gfp, unsigned int order);
void *gd_kmalloc(size_t size, gfp_t gfp);
bool gd_in_atomic(gfp_t gfp, const char *what);
void gd_put_page(struct page *page);
bool gd_is_vmalloc(const void *at);
void gd_pages_set(void *at);
void *gd_cache_create(const char *name, u32 size, void (*ctor)(void *));
void gd_cache_destroy(void *at);
void *gd_cache_take(void *at, gfp_t gfp);
void gd_cache_give(void *at, void *object);

/* skb.c */
struct sk_buff *gd_skb_build(struct net_device *dev, u32 linear, u32 frags, u32 each, u32 first);
void gd_skb_deliver(struct net_device *dev, struct sk_buff *s);
void gd_kfree_skb(struct sk_buff *s);

/* What is left when the driver is gone: each part tells its own. */
void gd_leaks_objects(void);
void gd_leaks_pages(void);
void gd_leaks_work(void);
void gd_leaks_sched(void);
void gd_leaks_irq(void);
void gd_leaks_pci(void);
void gd_leaks_net(void);
void gd_leaks_dma(void);

#endif
