// SPDX-License-Identifier: MIT
/*
 * A client of a copy engine in the style of dmaengine: descriptors from a cache, callbacks from a tasklet, a cyclic capture that the
 * CPU reads period by period, a watchdog. A platform driver. Written for gemdma as an example. Each BUG_ macro builds it with one
 * mistake; the comment behind a line says which of them is found there, by a run or by fail-nth, as what, and whether at this
 * line or by what was made (born) here.
 */
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/workqueue.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#define PERIODS 4
#define PERIOD_BYTES 256

/* Registers; each address has its high half behind it. */
#define REG_FROM 0x00
#define REG_TO 0x08
#define REG_LENGTH 0x10
#define REG_START 0x14
#define REG_CAPTURE 0x18 /* 1 starts a capture into REG_TO, PERIODS of PERIOD_BYTES in a ring; 0 stops it */
#define REG_CAUSE 0x1c
#define CAUSE_COPY 1
#define CAUSE_PERIOD 2

struct transfer {
	struct list_head node;
	void *from, *to;
	dma_addr_t from_dma, to_dma;
	u32 length;
	int status; /* -EINPROGRESS till it is over */
};

struct client {
	struct device *dev;
	void __iomem *regs;
	struct kmem_cache *cache;
	struct list_head active, complete;
	struct tasklet_struct tasklet;
	struct delayed_work watchdog;
	u8 *capture;
	dma_addr_t capture_dma;
	u32 period, sum;
	spinlock_t lock;
	u32 done, failed;
};

static struct client *the_client;

static void address(struct client *c, u32 reg, dma_addr_t dma)
{
	writel(lower_32_bits(dma), c->regs + reg);
	writel(upper_32_bits(dma), c->regs + reg + 4);
}

static void start_next(struct client *c)
{
	struct transfer *t = list_first_entry_or_null(&c->active, struct transfer, node);

	if (!t)
		return;
	address(c, REG_FROM, t->from_dma);
	address(c, REG_TO, t->to_dma);
	writel(t->length, c->regs + REG_LENGTH);
	writel(1, c->regs + REG_START);
}

static void transfer_unmap(struct client *c, struct transfer *t)
{
#ifndef BUG_LEAVE_SOURCE
	dma_unmap_single(c->dev, t->from_dma, t->length, DMA_TO_DEVICE);
#endif
	dma_unmap_single(c->dev, t->to_dma, t->length, DMA_FROM_DEVICE);
}

static void transfer_free(struct client *c, struct transfer *t)
{
	kfree(t->from); /* BUG_LEAVE_SOURCE: run FREE_WHILE_MAPPED at */
	kfree(t->to);
	kmem_cache_free(c->cache, t);
}

/* Copies bytes that count up from seed. Returns 0 or a negative errno. */
int client_copy(u32 length, u32 seed)
{
	struct client *c = the_client;
	struct transfer *t;
	unsigned long flags;
	u32 i;

	t = kmem_cache_zalloc(c->cache, GFP_KERNEL);
	if (!t)
		return -ENOMEM;
	t->length = length;
	t->status = -EINPROGRESS;
#ifdef BUG_VMALLOC_BUFFER
	t->from = vmalloc(length);
#else
	t->from = kmalloc(length, GFP_KERNEL);
#endif
	t->to = kmalloc(length, GFP_KERNEL); /* BUG_SUBMIT_LEAK: fail-nth LEAK born */
	if (!t->from || !t->to)
		goto free;
	for (i = 0; i < length; i++)
		((u8 *)t->from)[i] = seed + i;
#ifdef BUG_BEYOND_BUFFER
	((u8 *)t->from)[length] = 0; /* BUG_BEYOND_BUFFER: run OUT_OF_BOUNDS at */
#endif
	t->from_dma = dma_map_single(c->dev, t->from, length, DMA_TO_DEVICE); /* BUG_VMALLOC_BUFFER: run REJECT_VMALLOC at, BUG_SUBMIT_UNMAP: fail-nth FREE_WHILE_MAPPED born */
	if (dma_mapping_error(c->dev, t->from_dma))
		goto free;
	t->to_dma = dma_map_single(c->dev, t->to, length, DMA_FROM_DEVICE);
	if (dma_mapping_error(c->dev, t->to_dma)) {
#ifndef BUG_SUBMIT_UNMAP
		dma_unmap_single(c->dev, t->from_dma, length, DMA_TO_DEVICE);
#endif
		goto free;
	}
	spin_lock_irqsave(&c->lock, flags);
	list_add_tail(&t->node, &c->active);
	if (list_first_entry(&c->active, struct transfer, node) == t)
		start_next(c);
	spin_unlock_irqrestore(&c->lock, flags);
	schedule_delayed_work(&c->watchdog, msecs_to_jiffies(20)); /* BUG_WATCHDOG_RUNS: run MISUSE born */
	return 0;

free:
#ifdef BUG_VMALLOC_BUFFER
	vfree(t->from);
#else
	kfree(t->from);
#endif
#ifndef BUG_SUBMIT_LEAK
	kfree(t->to);
#endif
	kmem_cache_free(c->cache, t);
	return -ENOMEM;
}

static void transfers_done(struct tasklet_struct *tasklet)
{
	struct client *c = from_tasklet(c, tasklet, tasklet);
	struct transfer *t, *next;
	LIST_HEAD(list);
	unsigned long flags;

	spin_lock_irqsave(&c->lock, flags);
	list_splice_init(&c->complete, &list);
#ifdef BUG_LOCK_TWICE
	spin_lock(&c->lock); /* BUG_LOCK_TWICE: run LOCK at */
#endif
	spin_unlock_irqrestore(&c->lock, flags);
	list_for_each_entry_safe(t, next, &list, node) {
#ifdef BUG_COMPARE_BEFORE_UNMAP
		bool same = memcmp(t->from, t->to, t->length) == 0; /* BUG_COMPARE_BEFORE_UNMAP: run CPU_ACCESS at */

		transfer_unmap(c, t);
#else
		bool same;

		transfer_unmap(c, t);
		same = memcmp(t->from, t->to, t->length) == 0;
#endif
		if (t->status == 0 && same)
			c->done++;
		else
			c->failed++;
		list_del(&t->node);
		transfer_free(c, t);
#ifdef BUG_DOUBLE_FREE
		kmem_cache_free(c->cache, t); /* BUG_DOUBLE_FREE: run DOUBLE_FREE at */
#endif
	}
}

static void period_done(struct client *c)
{
	u32 offset = c->period * PERIOD_BYTES, i;

#ifndef BUG_CAPTURE_NO_SYNC
	dma_sync_single_range_for_cpu(c->dev, c->capture_dma, offset, PERIOD_BYTES, DMA_FROM_DEVICE);
#endif
	for (i = 0; i < PERIOD_BYTES; i++)
		c->sum += c->capture[offset + i]; /* BUG_CAPTURE_NO_SYNC: run CPU_ACCESS at */
#ifdef BUG_CAPTURE_SYNC_BEYOND
	dma_sync_single_range_for_device(c->dev, c->capture_dma, offset, PERIODS * PERIOD_BYTES, DMA_FROM_DEVICE); /* BUG_CAPTURE_SYNC_BEYOND: run SYNC_UNKNOWN at */
#else
	dma_sync_single_range_for_device(c->dev, c->capture_dma, offset, PERIOD_BYTES, DMA_FROM_DEVICE);
#endif
	c->period = (c->period + 1) % PERIODS;
}

static irqreturn_t client_irq(int irq, void *data)
{
	struct client *c = data;
	u32 cause = readl(c->regs + REG_CAUSE);
	struct transfer *t;

	if (!cause)
		return IRQ_NONE;
	writel(cause, c->regs + REG_CAUSE);
	spin_lock(&c->lock);
	if ((cause & CAUSE_COPY) && !list_empty(&c->active)) {
		t = list_first_entry(&c->active, struct transfer, node);
		t->status = 0;
		list_move_tail(&t->node, &c->complete);
		start_next(c);
		tasklet_schedule(&c->tasklet);
	}
	spin_unlock(&c->lock);
	if (cause & CAUSE_PERIOD)
		period_done(c);
	return IRQ_HANDLED;
}

/* A transfer that has not come back in time has failed; the others go on. */
static void watchdog(struct work_struct *work)
{
	struct client *c = container_of(work, struct client, watchdog.work);
	struct transfer *t;

	spin_lock_irq(&c->lock);
	t = list_first_entry_or_null(&c->active, struct transfer, node);
	if (t) {
		t->status = -ETIMEDOUT;
		list_move_tail(&t->node, &c->complete);
		start_next(c);
		tasklet_schedule(&c->tasklet);
	}
	if (!list_empty(&c->active))
		schedule_delayed_work(&c->watchdog, msecs_to_jiffies(20));
	spin_unlock_irq(&c->lock);
}

int client_capture(u32 on)
{
	struct client *c = the_client;

	if (!on) {
		writel(0, c->regs + REG_CAPTURE);
		if (c->capture) {
			dma_unmap_single(c->dev, c->capture_dma, PERIODS * PERIOD_BYTES, DMA_FROM_DEVICE);
			kfree(c->capture);
			c->capture = NULL;
		}
		return c->sum;
	}
	c->period = c->sum = 0;
	c->capture = kmalloc(PERIODS * PERIOD_BYTES, GFP_KERNEL);
	if (!c->capture)
		return -ENOMEM;
	c->capture_dma = dma_map_single(c->dev, c->capture, PERIODS * PERIOD_BYTES, DMA_FROM_DEVICE);
	if (dma_mapping_error(c->dev, c->capture_dma)) {
		kfree(c->capture);
		c->capture = NULL;
		return -ENOMEM;
	}
	address(c, REG_TO, c->capture_dma);
	writel(1, c->regs + REG_CAPTURE);
	return 0;
}

u32 client_count(u32 failed)
{
	return failed ? the_client->failed : the_client->done;
}

static int client_probe(struct platform_device *pdev)
{
	struct client *c;
	int irq, rc;

	c = devm_kzalloc(&pdev->dev, sizeof(*c), GFP_KERNEL);
	if (!c)
		return -ENOMEM;
	c->dev = &pdev->dev;
	INIT_LIST_HEAD(&c->active);
	INIT_LIST_HEAD(&c->complete);
	spin_lock_init(&c->lock);
	tasklet_setup(&c->tasklet, transfers_done);
	INIT_DELAYED_WORK(&c->watchdog, watchdog);
	c->regs = devm_platform_ioremap_resource(pdev, 0);
	if (IS_ERR(c->regs))
		return PTR_ERR(c->regs);
	irq = platform_get_irq(pdev, 0);
	if (irq < 0)
		return irq;
	rc = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(32));
	if (rc)
		return rc;
	c->cache = KMEM_CACHE(transfer, 0); /* BUG_PROBE_CACHE: fail-nth LEAK born */
	if (!c->cache)
		return -ENOMEM;
	rc = devm_request_irq(&pdev->dev, irq, client_irq, 0, "copy_client", c);
	if (rc) {
#ifndef BUG_PROBE_CACHE
		kmem_cache_destroy(c->cache);
#endif
		return rc;
	}
	platform_set_drvdata(pdev, c);
	the_client = c;
	return 0;
}

static void client_remove(struct platform_device *pdev)
{
	struct client *c = platform_get_drvdata(pdev);
	struct transfer *t, *next;

#ifndef BUG_WATCHDOG_RUNS
	cancel_delayed_work_sync(&c->watchdog);
#endif
	client_capture(0);
	tasklet_kill(&c->tasklet);
	list_splice_init(&c->active, &c->complete);
	list_for_each_entry_safe(t, next, &c->complete, node) {
		transfer_unmap(c, t);
		transfer_free(c, t);
	}
	kmem_cache_destroy(c->cache);
	the_client = NULL;
}

static struct platform_driver client_driver = {
	.probe = client_probe,
	.remove = client_remove,
	.driver = { .name = "copy_client" },
};
module_platform_driver(client_driver);
MODULE_LICENSE("Dual MIT/GPL");
