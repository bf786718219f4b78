// SPDX-License-Identifier: MIT
/*
 * A GEM driver on shmem: objects with pages, a copy engine that reads and writes them, export as dma-buf to another device.
 * Written for gemdma as an example. Each BUG_ macro builds it with one mistake; the comment behind a line says which of them is
 * found there, by a run or by fail-nth, as what, and whether at this line or by what was made (born) here.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/dma-mapping.h>
#include <linux/dma-buf.h>
#include <linux/interrupt.h>
#include <drm/drm_gem_shmem_helper.h>
#include <drm/drm_prime.h>

#define OBJECTS 8

/* Registers: a copy of LENGTH bytes from one address to another; each address has its high half behind it. */
#define REG_FROM 0x00
#define REG_TO 0x08
#define REG_LENGTH 0x10
#define REG_GO 0x14
#define REG_STATUS 0x18

struct gem {
	struct drm_device *drm;
	struct pci_dev *pdev;
	void __iomem *regs;
	struct drm_gem_shmem_object *objects[OBJECTS];
	struct completion done;
};

static struct gem *the_gem;

static const struct drm_driver gem_driver = { .driver_features = DRIVER_GEM, .name = "gem_copy" };

static int object_pin(struct drm_gem_object *o)
{
	return drm_gem_shmem_pin(to_drm_gem_shmem_obj(o));
}

static void object_unpin(struct drm_gem_object *o)
{
#ifndef BUG_NO_UNPIN
	drm_gem_shmem_unpin(to_drm_gem_shmem_obj(o));
#endif
}

static struct sg_table *object_table(struct drm_gem_object *o)
{
	return drm_gem_shmem_get_sg_table(to_drm_gem_shmem_obj(o));
}

static const struct drm_gem_object_funcs object_funcs = {
	.free = drm_gem_shmem_object_free,
	.pin = object_pin,
	.unpin = object_unpin,
	.get_sg_table = object_table,
};

/* Makes an object. Returns its handle or a negative errno. */
int gem_create(u32 size)
{
	struct gem *g = the_gem;
	struct drm_gem_shmem_object *s;
	int handle;

	for (handle = 0; handle < OBJECTS && g->objects[handle]; handle++)
		;
	if (handle == OBJECTS)
		return -ENOSPC;
	s = drm_gem_shmem_create(g->drm, size);
	if (IS_ERR(s))
		return PTR_ERR(s);
	s->base.funcs = &object_funcs;
	g->objects[handle] = s;
	return handle;
}

void gem_close(u32 handle)
{
	struct gem *g = the_gem;

	if (handle < OBJECTS && g->objects[handle])
		drm_gem_object_put(&g->objects[handle]->base); /* BUG_NO_VUNMAP: run WARN at */
#ifndef BUG_CLOSE_STALE
	g->objects[handle] = NULL;
#endif
}

/* Writes a byte to each page of an object, or checks it. */
int gem_fill(u32 handle, u32 value, u32 check)
{
	struct drm_gem_shmem_object *s = the_gem->objects[handle];
	struct iosys_map map;
	size_t i;
	int rc;

	rc = drm_gem_shmem_vmap(s, &map);
	if (rc)
		return rc;
	for (i = 0; i < s->base.size && !rc; i += PAGE_SIZE) {
		u8 *at = (u8 *)map.vaddr + i;

#ifdef BUG_VMAP_BEYOND
		if (i == 0)
			*(at + s->base.size) = value; /* BUG_VMAP_BEYOND: run WILD_ACCESS at */
#endif
		if (!check)
			*at = value + (i >> PAGE_SHIFT);
		else if (*at != (u8)(value + (i >> PAGE_SHIFT)))
			rc = -EIO;
	}
#ifndef BUG_NO_VUNMAP
	drm_gem_shmem_vunmap(s, &map);
#endif
	return rc;
}

static void copy(struct gem *g, dma_addr_t from, dma_addr_t to, u32 length)
{
	writel(lower_32_bits(from), g->regs + REG_FROM);
	writel(upper_32_bits(from), g->regs + REG_FROM + 4);
	writel(lower_32_bits(to), g->regs + REG_TO);
	writel(upper_32_bits(to), g->regs + REG_TO + 4);
	writel(length, g->regs + REG_LENGTH);
	writel(1, g->regs + REG_GO);
}

/* The device copies one object to another, segment by segment of the first; both must be one segment or of the same shape. */
int gem_copy(u32 from, u32 to)
{
	struct gem *g = the_gem;
	struct device *d = &g->pdev->dev;
	struct sg_table *source, *target;
	struct scatterlist *a, *b;
	int i;

	source = drm_gem_shmem_get_pages_sgt(g->objects[from]);
	if (IS_ERR(source))
		return PTR_ERR(source);
	target = drm_gem_shmem_get_pages_sgt(g->objects[to]);
	if (IS_ERR(target))
		return PTR_ERR(target);
	dma_sync_sgtable_for_device(d, source, DMA_BIDIRECTIONAL);
	dma_sync_sgtable_for_device(d, target, DMA_BIDIRECTIONAL);
#ifdef BUG_TOUCH_AFTER_SYNC
	*(u8 *)page_address(g->objects[from]->pages[0]) = 0; /* BUG_TOUCH_AFTER_SYNC: run CPU_ACCESS at */
#endif
	b = target->sgl;
	for_each_sgtable_dma_sg(source, a, i) {
		reinit_completion(&g->done);
		copy(g, sg_dma_address(a), sg_dma_address(b), min(sg_dma_len(a), sg_dma_len(b)));
		if (!wait_for_completion_timeout(&g->done, msecs_to_jiffies(50)))
			return -ETIMEDOUT;
		b = sg_next(b);
		if (!b)
			break;
	}
#ifdef BUG_SYNC_LENGTH
	dma_sync_single_for_cpu(d, sg_dma_address(source->sgl), 2 * g->objects[from]->base.size, DMA_BIDIRECTIONAL); /* BUG_SYNC_LENGTH: run SYNC_UNKNOWN at */
#else
	dma_sync_sgtable_for_cpu(d, source, DMA_BIDIRECTIONAL);
#endif
	dma_sync_sgtable_for_cpu(d, target, DMA_BIDIRECTIONAL);
	return 0;
}

/* Another user of the dma-buf: attaches the device, maps, unmaps, goes. */
int gem_share(u32 handle)
{
	struct gem *g = the_gem;
	struct dma_buf_attachment *a;
	struct dma_buf *buf;
	struct sg_table *t;
	int rc = 0;

	buf = drm_gem_prime_export(&g->objects[handle]->base, 0);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	a = dma_buf_attach(buf, &g->pdev->dev); /* BUG_ATTACH_LEAK: fail-nth LEAK born */
	if (IS_ERR(a)) {
		rc = PTR_ERR(a);
		goto put;
	}
	t = dma_buf_map_attachment(a, DMA_TO_DEVICE);
	if (IS_ERR(t)) {
		rc = PTR_ERR(t);
#ifdef BUG_ATTACH_LEAK
		return rc;
#endif
		goto detach;
	}
#ifdef BUG_UNMAP_ATTACHMENT_DIR
	dma_buf_unmap_attachment(a, t, DMA_FROM_DEVICE); /* BUG_UNMAP_ATTACHMENT_DIR: run UNMAP_DIR at */
#else
	dma_buf_unmap_attachment(a, t, DMA_TO_DEVICE);
#endif
detach:
	dma_buf_detach(buf, a);
put:
	dma_buf_put(buf);
	return rc;
}

static irqreturn_t gem_irq(int irq, void *data)
{
	struct gem *g = data;

	if (!readl(g->regs + REG_STATUS))
		return IRQ_NONE;
	writel(0, g->regs + REG_STATUS);
	complete(&g->done);
	return IRQ_HANDLED;
}

static int gem_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct gem *g;
	int rc;

	g = devm_kzalloc(&pdev->dev, sizeof(*g), GFP_KERNEL);
	if (!g)
		return -ENOMEM;
	g->pdev = pdev;
	init_completion(&g->done);
	rc = pcim_enable_device(pdev);
	if (rc)
		return rc;
	rc = pcim_iomap_regions(pdev, 1, "gem_copy");
	if (rc)
		return rc;
	g->regs = pcim_iomap_table(pdev)[0];
	rc = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (rc)
		return rc;
	rc = devm_request_irq(&pdev->dev, pdev->irq, gem_irq, 0, "gem_copy", g);
	if (rc)
		return rc;
	pci_set_master(pdev);
	g->drm = drm_dev_alloc(&gem_driver, &pdev->dev); /* BUG_PROBE_DRM_LEAK: fail-nth LEAK born */
	if (IS_ERR(g->drm))
		return PTR_ERR(g->drm);
	rc = drm_dev_register(g->drm, 0);
	if (rc) {
#ifndef BUG_PROBE_DRM_LEAK
		drm_dev_put(g->drm);
#endif
		return rc;
	}
	pci_set_drvdata(pdev, g);
	the_gem = g;
	return 0;
}

static void gem_remove(struct pci_dev *pdev)
{
	struct gem *g = pci_get_drvdata(pdev);
	u32 i;

	drm_dev_unregister(g->drm);
	for (i = 0; i < OBJECTS; i++)
		if (g->objects[i])
			drm_gem_object_put(&g->objects[i]->base); /* BUG_CLOSE_STALE: run USE_AFTER_FREE at, BUG_NO_UNPIN: run WARN at */
	drm_dev_put(g->drm);
	the_gem = NULL;
}

static const struct pci_device_id gem_ids[] = {
	{ PCI_DEVICE(0x1234, 0x0013) },
	{ }
};

static struct pci_driver gem_pci = {
	.name = "gem_copy",
	.id_table = gem_ids,
	.probe = gem_probe,
	.remove = gem_remove,
};
module_pci_driver(gem_pci);
MODULE_LICENSE("Dual MIT/GPL");
