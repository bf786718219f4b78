/* SPDX-License-Identifier: MIT */
/*
 * Before each driver file: the mode's headers, then macros around the names of calls that make something, so that what they
 * make knows the place it was made at. The names are those of both modes. A macro only notes the place; the call is the same.
 */
#ifndef GEMDMA_SITE_H
#define GEMDMA_SITE_H

#ifdef GD_TREE
#include <gemdma/tree.h>
#include <gemdma/tree-api.h>
#else
#include <gemdma/all.h>
#endif
#include <gemdma/map.h>

#define GD_AT(call) ({ \
	static const struct gd_site _gd_site = { __func__, __FILE__, __LINE__ }; \
	(void)__atomic_exchange_n(gd_site_reg, &_gd_site, __ATOMIC_RELAXED); \
	call; })

/* A macro of the same name would expand to itself; a name in parentheses is the function. */
#undef kmalloc
#undef kzalloc
#undef kmalloc_node
#undef kzalloc_node
#undef kcalloc
#undef kmalloc_array
#undef krealloc
#undef kmemdup
#undef kstrdup
#undef kvmalloc
#undef kvzalloc
#undef kvmalloc_array
#undef kvcalloc
#undef vmalloc
#undef vzalloc
#undef kmem_cache_alloc
#undef kmem_cache_zalloc
#undef alloc_page
#undef alloc_pages
#undef dev_alloc_page
#undef dev_alloc_pages
#undef __get_free_page
#undef __get_free_pages
#undef get_zeroed_page
#define kmalloc(s, g) GD_AT(gd_kmalloc(s, g))
#define kzalloc(s, g) GD_AT(gd_kmalloc(s, (g) | __GFP_ZERO))
#define kmalloc_node(s, g, n) GD_AT(gd_kmalloc(s, g))
#define kzalloc_node(s, g, n) GD_AT(gd_kmalloc(s, (g) | __GFP_ZERO))
#define kcalloc(n, s, g) GD_AT(gd_kcalloc(n, s, (g) | __GFP_ZERO))
#define kmalloc_array(n, s, g) GD_AT(gd_kcalloc(n, s, g))
#define krealloc(p, s, g) GD_AT(gd_krealloc(p, s, g))
#define kmemdup(p, n, g) GD_AT(gd_kmemdup(p, n, g))
#define kstrdup(p, g) GD_AT(gd_kstrdup(p, g))
#define kvmalloc(s, g) GD_AT(gd_kvmalloc(s, g))
#define kvzalloc(s, g) GD_AT(gd_kvmalloc(s, (g) | __GFP_ZERO))
#define kvmalloc_array(n, s, g) GD_AT(gd_kvmalloc((n) * (s), g))
#define kvcalloc(n, s, g) GD_AT(gd_kvmalloc((n) * (s), (g) | __GFP_ZERO))
#define vmalloc(s) GD_AT(gd_vmalloc_bytes(s))
#define vzalloc(s) GD_AT(gd_vmalloc_bytes(s))
#define kmem_cache_alloc(c, g) GD_AT(gd_cache_alloc(c, g))
#define kmem_cache_zalloc(c, g) GD_AT(gd_cache_alloc(c, (g) | __GFP_ZERO))
#define alloc_page(g) GD_AT(gd_alloc_pages(g, 0))
#define alloc_pages(g, o) GD_AT(gd_alloc_pages(g, o))
#define dev_alloc_page() GD_AT(gd_alloc_pages(GFP_ATOMIC, 0))
#define dev_alloc_pages(o) GD_AT(gd_alloc_pages(GFP_ATOMIC, o))
#define __get_free_page(g) GD_AT(gd_get_free_pages(g, 0))
#define __get_free_pages(g, o) GD_AT(gd_get_free_pages(g, o))
#define get_zeroed_page(g) GD_AT(gd_get_free_pages((g) | __GFP_ZERO, 0))

#undef dma_map_single_attrs
#undef dma_map_sg_attrs
#undef dma_alloc_coherent
#undef dmam_alloc_coherent
#undef dma_alloc_wc
#undef dma_alloc_noncoherent
#undef skb_frag_dma_map
#undef dma_mapping_error
#define dma_mapping_error(d, a) gd_map_failed(d, a)
#define dma_map_single_attrs(d, p, s, r, a) GD_AT(gd_map_single(d, p, s, r, a))
#define dma_map_page_attrs(d, p, o, s, r, a) GD_AT(gd_map_page(d, p, o, s, r, a))
#define skb_frag_dma_map(d, f, o, s, r) GD_AT(gd_map_page(d, skb_frag_page(f), skb_frag_off(f) + (o), s, r, 0))
#define dma_map_sg_attrs(d, l, n, r, a) GD_AT((dma_map_sg_attrs)(d, l, n, r, a))
#define dma_map_sgtable(d, t, r, a) GD_AT((dma_map_sgtable)(d, t, r, a))
#define dma_map_resource(d, p, s, r, a) GD_AT((dma_map_resource)(d, p, s, r, a))
#define dma_alloc_attrs(d, s, h, g, a) GD_AT((dma_alloc_attrs)(d, s, h, g, a))
#define dma_alloc_coherent(d, s, h, g) GD_AT((dma_alloc_attrs)(d, s, h, g, 0))
#define dma_alloc_wc(d, s, h, g) GD_AT((dma_alloc_attrs)(d, s, h, g, DMA_ATTR_WRITE_COMBINE))
#define dmam_alloc_coherent(d, s, h, g) GD_AT(dmam_alloc_attrs(d, s, h, g, 0))
#define dma_alloc_pages(d, s, h, r, g) GD_AT((dma_alloc_pages)(d, s, h, r, g))
#define dma_pool_alloc(p, g, h) GD_AT((dma_pool_alloc)(p, g, h))
#define dma_pool_create(n, d, s, a, b) GD_AT((dma_pool_create)(n, d, s, a, b))

/* What ends or syncs a mapping: clang may make one call of two, the places stay apart. */
#undef dma_unmap_single_attrs
#undef dma_free_coherent
#undef dma_free_wc
#define dma_unmap_single_attrs(d, a, s, r, t) GD_AT(gd_unmap_page(d, a, s, r, t))
#define dma_unmap_page_attrs(d, a, s, r, t) GD_AT(gd_unmap_page(d, a, s, r, t))
#define dma_unmap_sg_attrs(d, l, n, r, t) GD_AT((dma_unmap_sg_attrs)(d, l, n, r, t))
#define dma_unmap_resource(d, a, s, r, t) GD_AT((dma_unmap_resource)(d, a, s, r, t))
#define dma_free_attrs(d, s, p, h, t) GD_AT((dma_free_attrs)(d, s, p, h, t))
#define dma_free_coherent(d, s, p, h) GD_AT((dma_free_attrs)(d, s, p, h, 0))
#define dma_free_wc(d, s, p, h) GD_AT((dma_free_attrs)(d, s, p, h, DMA_ATTR_WRITE_COMBINE))
#define dma_pool_free(p, a, h) GD_AT((dma_pool_free)(p, a, h))
#define dma_sync_single_for_cpu(d, a, s, r) GD_AT((dma_sync_single_for_cpu)(d, a, s, r))
#define dma_sync_single_for_device(d, a, s, r) GD_AT((dma_sync_single_for_device)(d, a, s, r))
#define dma_sync_sg_for_cpu(d, l, n, r) GD_AT((dma_sync_sg_for_cpu)(d, l, n, r))
#define dma_sync_sg_for_device(d, l, n, r) GD_AT((dma_sync_sg_for_device)(d, l, n, r))
#define kfree(p) GD_AT((kfree)(p))
#define kmem_cache_free(c, p) GD_AT((kmem_cache_free)(c, p))
#ifndef GD_TREE
#define kmem_cache_create(n, s, a, f, c) GD_AT((kmem_cache_create)(n, s, a, f, c))
#endif

#ifndef GD_TREE
#undef drm_dev_alloc
#define drm_dev_alloc(d, p) GD_AT(gd_drm_dev_alloc(d, p))
#define dma_buf_attach(b, d) GD_AT((dma_buf_attach)(b, d))
#define dma_buf_map_attachment(a, r) GD_AT((dma_buf_map_attachment)(a, r))
#define dma_buf_unmap_attachment(a, t, r) GD_AT((dma_buf_unmap_attachment)(a, t, r))
#define drm_gem_shmem_create(d, n) GD_AT((drm_gem_shmem_create)(d, n))
#define drm_gem_shmem_get_pages_sgt(s) GD_AT((drm_gem_shmem_get_pages_sgt)(s))
#define drm_gem_shmem_vmap(s, m) GD_AT((drm_gem_shmem_vmap)(s, m))
#define drm_gem_prime_export(o, f) GD_AT((drm_gem_prime_export)(o, f))
#endif

#undef sg_alloc_table
#undef sg_alloc_table_from_pages
#undef sg_alloc_table_from_pages_segment
#define sg_alloc_table(t, n, g) GD_AT(gd_sg_alloc_table(t, n, g))
#define sg_alloc_table_from_pages(t, p, n, o, s, g) GD_AT(gd_sg_alloc_table_from_pages(t, p, n, o, s, ~0u, g))
#define sg_alloc_table_from_pages_segment(t, p, n, o, s, m, g) GD_AT(gd_sg_alloc_table_from_pages(t, p, n, o, s, m, g))

#undef spin_lock
#undef spin_lock_bh
#undef spin_lock_irq
#undef spin_lock_irqsave
#ifdef GD_TREE
#define spin_lock(l) GD_AT(_raw_spin_lock(spinlock_check(l)))
#define spin_lock_bh(l) GD_AT(_raw_spin_lock_bh(spinlock_check(l)))
#define spin_lock_irq(l) GD_AT(_raw_spin_lock_irq(spinlock_check(l)))
#define spin_lock_irqsave(l, f) GD_AT((void)((f) = _raw_spin_lock_irqsave(spinlock_check(l))))
#else
#define spin_lock(l) GD_AT(gd_lock(l))
#define spin_lock_bh(l) GD_AT(gd_lock(l))
#define spin_lock_irq(l) GD_AT((local_irq_disable(), gd_lock(l)))
#define spin_lock_irqsave(l, f) GD_AT((local_irq_save(f), gd_lock(l)))
#endif

#undef alloc_skb
#undef dev_alloc_skb
#undef netdev_alloc_skb
#undef __netdev_alloc_skb
#undef netdev_alloc_skb_ip_align
#undef napi_alloc_skb
#define alloc_skb(n, g) GD_AT(gd_alloc_skb(NULL, n, g, 0))
#define dev_alloc_skb(n) GD_AT(gd_alloc_skb(NULL, n, GFP_ATOMIC, NET_SKB_PAD))
#define netdev_alloc_skb(d, n) GD_AT(gd_alloc_skb(d, n, GFP_ATOMIC, NET_SKB_PAD))
#define __netdev_alloc_skb(d, n, g) GD_AT(gd_alloc_skb(d, n, g, NET_SKB_PAD))
#define netdev_alloc_skb_ip_align(d, n) GD_AT(gd_alloc_skb(d, n, GFP_ATOMIC, NET_SKB_PAD + NET_IP_ALIGN))
#define napi_alloc_skb(x, n) GD_AT(gd_alloc_skb((x)->dev, n, GFP_ATOMIC, NET_SKB_PAD + NET_IP_ALIGN))
#define build_skb(p, n) GD_AT((build_skb)(p, n))

#undef request_irq
#undef alloc_etherdev
#undef alloc_etherdev_mq
#define request_irq(i, h, f, n, d) GD_AT(gd_request_irq(i, h, f, n, d))
#define request_threaded_irq(i, h, t, f, n, d) GD_AT((request_threaded_irq)(i, h, t, f, n, d))
#define alloc_etherdev(n) GD_AT((alloc_etherdev_mqs)(n, 1, 1))
#define alloc_etherdev_mqs(n, t, r) GD_AT((alloc_etherdev_mqs)(n, t, r))
#define pci_enable_device(p) GD_AT((pci_enable_device)(p))
#define pci_request_regions(p, n) GD_AT((pci_request_regions)(p, n))
#define pci_iomap(p, b, n) GD_AT((pci_iomap)(p, b, n))
#define pci_ioremap_bar(p, b) GD_AT((pci_ioremap_bar)(p, b))
#undef schedule_delayed_work
#undef queue_delayed_work
#undef schedule_work
#undef queue_work
#define schedule_delayed_work(w, d) GD_AT(queue_delayed_work_on(0, system_wq, w, d))
#define queue_delayed_work(q, w, d) GD_AT(queue_delayed_work_on(0, q, w, d))
#define schedule_work(w) GD_AT(queue_work_on(0, system_wq, w))
#define queue_work(q, w) GD_AT(queue_work_on(0, q, w))
#define mod_timer(t, e) GD_AT((mod_timer)(t, e))

#endif
