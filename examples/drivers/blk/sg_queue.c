// SPDX-License-Identifier: MIT
/*
 * A block-style queue: requests of scattered pages, mapped as lists, whose segments the device reads from commands of a DMA
 * pool. Written for gemdma as an example. Each BUG_ macro builds it with one mistake; the comment behind a line says which of
 * them is found there, by a run or by fail-nth, as what, and whether at this line or by what was made (born) here.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/dma-mapping.h>
#include <linux/dmapool.h>
#include <linux/scatterlist.h>
#include <linux/interrupt.h>
#include <linux/completion.h>
#include <linux/slab.h>

#define DEPTH 8
#define MOST_SEGMENTS 30
#define MOST_PAGES 24

/* Registers */
#define REG_QUEUE 0x00 /* address of a command, low; high at 0x04 */
#define REG_KICK 0x08 /* slot to run */
#define REG_DONE 0x0c /* slots that are done, one bit each; write 1 clears */
#define REG_RESET 0x10

struct segment {
	__le64 address;
	__le32 length;
	__le32 pad;
};

struct command {
	__le32 write;
	__le32 segments;
	__le32 status; /* the device: 1 done, 2 failed */
	__le32 pad;
	struct segment list[MOST_SEGMENTS];
};

struct request {
	struct sg_table table;
	struct page *pages[MOST_PAGES];
	u32 count;
	bool write, busy, mapped;
	struct command *command;
	dma_addr_t dma;
	struct completion done;
};

struct queue {
	struct pci_dev *pdev;
	void __iomem *regs;
	struct dma_pool *pool;
	struct request requests[DEPTH];
};

static struct queue *the_queue;

static enum dma_data_direction direction(const struct request *r)
{
	return r->write ? DMA_TO_DEVICE : DMA_FROM_DEVICE;
}

static void request_unmap(struct queue *q, struct request *r)
{
	struct device *d = &q->pdev->dev;

	if (!r->mapped)
		return;
	r->mapped = false;
#ifdef BUG_UNMAP_NENTS
	dma_unmap_sg(d, r->table.sgl, r->table.nents, direction(r)); /* BUG_UNMAP_NENTS: run UNMAP_SGCOUNT at */
#else
	dma_unmap_sgtable(d, &r->table, direction(r), 0);
#endif
}

static void request_free(struct queue *q, struct request *r)
{
	u32 i;

	request_unmap(q, r);
	if (r->command)
#ifdef BUG_POOL_ADDRESS
		dma_pool_free(q->pool, r->command, r->dma + 16); /* BUG_POOL_ADDRESS: run BAD_FREE at */
#else
		dma_pool_free(q->pool, r->command, r->dma);
#endif
	r->command = NULL;
#ifdef BUG_TABLE_LEAK
	r->table.sgl = NULL;
#endif
	sg_free_table(&r->table);
	for (i = 0; i < r->count; i++)
		__free_page(r->pages[i]);
	r->count = 0;
	r->busy = false;
}

/* The pages of a request; what is to be written counts up from seed. */
static int request_fill(struct queue *q, struct request *r, u32 pages, u32 seed)
{
	u32 i, j, longest = dma_get_max_seg_size(&q->pdev->dev);

	for (i = 0; i < pages; i++) {
		u8 *at;

		r->pages[i] = alloc_page(GFP_KERNEL); /* BUG_START_LEAK: fail-nth LEAK born */
		if (!r->pages[i])
			return -ENOMEM;
		r->count = i + 1;
		at = page_address(r->pages[i]);
		for (j = 0; j < PAGE_SIZE; j++)
			at[j] = r->write ? (u8)(seed + i + j) : 0;
	}
#ifdef BUG_SEGMENT_LENGTH
	longest = UINT_MAX;
#endif
	return sg_alloc_table_from_pages_segment(&r->table, r->pages, pages, 0, pages * PAGE_SIZE, longest, GFP_KERNEL); /* BUG_TABLE_LEAK: run LEAK born */
}

static int request_map(struct queue *q, struct request *r)
{
	struct device *d = &q->pdev->dev;
	struct scatterlist *sg;
	int rc, i;

	rc = dma_map_sgtable(d, &r->table, direction(r), 0); /* BUG_NO_UNMAP: run OBJECT_GONE born, BUG_POOL_UNWIND: fail-nth OBJECT_GONE born, BUG_SEGMENT_LENGTH: run SEG_LEN at */
	if (rc)
		return rc;
#ifndef BUG_NO_UNMAP
	r->mapped = true;
#endif
#ifdef BUG_MAP_TWICE
	rc = dma_map_sgtable(d, &r->table, direction(r), 0); /* BUG_MAP_TWICE: run DOUBLE_MAP at */
#endif
	r->command = dma_pool_alloc(q->pool, GFP_KERNEL, &r->dma);
	if (!r->command) {
#ifdef BUG_POOL_UNWIND
		r->mapped = false;
#endif
		return -ENOMEM;
	}
	r->command->write = cpu_to_le32(r->write);
	r->command->segments = cpu_to_le32(r->table.nents);
	r->command->status = 0;
	for_each_sgtable_dma_sg(&r->table, sg, i) {
		r->command->list[i].address = cpu_to_le64(sg_dma_address(sg));
		r->command->list[i].length = cpu_to_le32(sg_dma_len(sg));
	}
#ifdef BUG_WRITE_AFTER_MAP
	*(u32 *)page_address(r->pages[0]) = 0; /* BUG_WRITE_AFTER_MAP: run CPU_ACCESS at */
#endif
	return 0;
}

/* Starts a request. Returns its slot or a negative errno. */
int queue_start(u32 write, u32 pages, u32 seed)
{
	struct queue *q = the_queue;
	struct request *r;
	int slot, rc;

	if (!q || pages == 0 || pages > MOST_PAGES)
		return -EINVAL;
	for (slot = 0; slot < DEPTH && q->requests[slot].busy; slot++)
		;
	if (slot == DEPTH)
		return -EBUSY;
	r = &q->requests[slot];
	r->busy = true;
	r->write = write;
	init_completion(&r->done);
	rc = request_fill(q, r, pages, seed);
	if (!rc)
		rc = request_map(q, r);
	if (rc) {
#ifndef BUG_START_LEAK
		request_free(q, r);
#else
		r->busy = false;
		r->count = 0;
#endif
		return rc;
	}
	writel(lower_32_bits(r->dma), q->regs + REG_QUEUE);
	writel(upper_32_bits(r->dma), q->regs + REG_QUEUE + 4);
	writel(slot, q->regs + REG_KICK);
	return slot;
}

/* Waits for a request. Returns 0, -ETIMEDOUT, -EIO, or for a read what the bytes count up from. */
int queue_finish(u32 slot)
{
	struct queue *q = the_queue;
	struct request *r = &q->requests[slot];
	int rc = 0;

	if (!r->busy)
		return -EINVAL;
	if (!wait_for_completion_timeout(&r->done, msecs_to_jiffies(100))) {
		writel(1 << slot, q->regs + REG_RESET);
		rc = -ETIMEDOUT;
	} else if (le32_to_cpu(r->command->status) != 1)
		rc = -EIO;
#ifdef BUG_READ_BEFORE_UNMAP
	if (!rc && !r->write)
		rc = *(u8 *)page_address(r->pages[0]); /* BUG_READ_BEFORE_UNMAP: run CPU_ACCESS at */
#endif
	request_unmap(q, r);
	if (!rc && !r->write)
		rc = *(u8 *)page_address(r->pages[0]);
	request_free(q, r);
	return rc;
}

static irqreturn_t queue_irq(int irq, void *data)
{
	struct queue *q = data;
	u32 done = readl(q->regs + REG_DONE), slot;

	if (!done)
		return IRQ_NONE;
	writel(done, q->regs + REG_DONE);
	for (slot = 0; slot < DEPTH; slot++)
		if ((done & (1 << slot)) && q->requests[slot].busy)
			complete(&q->requests[slot].done);
	return IRQ_HANDLED;
}

static int queue_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct queue *q;
	int rc;

	q = devm_kzalloc(&pdev->dev, sizeof(*q), GFP_KERNEL);
	if (!q)
		return -ENOMEM;
	q->pdev = pdev;
	rc = pcim_enable_device(pdev);
	if (rc)
		return rc;
	rc = pcim_iomap_regions(pdev, 1, "sg_queue");
	if (rc)
		return rc;
	q->regs = pcim_iomap_table(pdev)[0];
	rc = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (rc)
		return rc;
	dma_set_max_seg_size(&pdev->dev, 65536);
	q->pool = dma_pool_create("commands", &pdev->dev, sizeof(struct command), 64, 0); /* BUG_POOL_LEAK: run LEAK born */
	if (!q->pool)
		return -ENOMEM;
	pci_set_master(pdev);
	rc = devm_request_irq(&pdev->dev, pdev->irq, queue_irq, IRQF_SHARED, "sg_queue", q);
	if (rc) {
		dma_pool_destroy(q->pool);
		return rc;
	}
	pci_set_drvdata(pdev, q);
	the_queue = q;
	return 0;
}

static void queue_remove(struct pci_dev *pdev)
{
	struct queue *q = pci_get_drvdata(pdev);
	u32 slot;

	writel(~0, q->regs + REG_RESET);
	the_queue = NULL;
	for (slot = 0; slot < DEPTH; slot++)
		if (q->requests[slot].busy)
			request_free(q, &q->requests[slot]);
#ifndef BUG_POOL_LEAK
	dma_pool_destroy(q->pool);
#endif
}

static const struct pci_device_id queue_ids[] = {
	{ PCI_DEVICE(0x1234, 0x0012) },
	{ }
};

static struct pci_driver queue_driver = {
	.name = "sg_queue",
	.id_table = queue_ids,
	.probe = queue_probe,
	.remove = queue_remove,
};
module_pci_driver(queue_driver);
MODULE_LICENSE("Dual MIT/GPL");
