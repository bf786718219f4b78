// SPDX-License-Identifier: MIT
/* One mistake per function: what a driver may do wrong in a single call. test/driver/misuse.test.ts has what is found. */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/slab.h>

static struct pci_dev *dev;
static dma_addr_t ring_dma;
static void *ring;

int loops(void)
{
	volatile int x = 1;

	while (x)
		;
	return 0;
}

int writes_null(void)
{
	struct { int a, b; } *volatile p = NULL;

	p->b = 3;
	return 0;
}

int frees_twice(void)
{
	void *volatile p = kmalloc(32, GFP_KERNEL);

	kfree(p);
	kfree(p);
	return 0;
}

int frees_nothing(void)
{
	kfree((void *)0x12345678);
	return 0;
}

int frees_the_middle(void)
{
	char *p = kmalloc(64, GFP_KERNEL);

	kfree(p + 8);
	kfree(p);
	return 0;
}

int sleeps_with_lock(void)
{
	static DEFINE_SPINLOCK(lock);
	void *p;

	spin_lock(&lock);
	p = kmalloc(10, GFP_KERNEL);
	spin_unlock(&lock);
	kfree(p);
	return 0;
}

int sleeps_with_irqs_off(void)
{
	unsigned long flags;
	void *p;

	local_irq_save(flags);
	p = kmalloc(10, GFP_KERNEL);
	local_irq_restore(flags);
	kfree(p);
	return 0;
}

int keeps_a_lock(void)
{
	static DEFINE_SPINLOCK(lock);

	spin_lock(&lock);
	return 0;
}

int unlocks(void)
{
	static DEFINE_SPINLOCK(lock);

	spin_unlock(&lock);
	return 0;
}

static irqreturn_t frees_coherent(int irq, void *data)
{
	dma_free_coherent(&dev->dev, 4096, ring, ring_dma);
	return IRQ_HANDLED;
}

int frees_in_irq(void)
{
	ring = dma_alloc_coherent(&dev->dev, 4096, &ring_dma, GFP_KERNEL);
	return request_irq(dev->irq, frees_coherent, 0, "misuse", dev);
}

void frees_irq(void) { free_irq(dev->irq, dev); }

int unmaps_twice(void)
{
	void *p = kmalloc(64, GFP_KERNEL);
	dma_addr_t dma = dma_map_single(&dev->dev, p, 64, DMA_TO_DEVICE);

	if (dma_mapping_error(&dev->dev, dma))
		return -ENOMEM;
	dma_unmap_single(&dev->dev, dma, 64, DMA_TO_DEVICE);
	dma_unmap_single(&dev->dev, dma, 64, DMA_TO_DEVICE);
	kfree(p);
	return 0;
}

int maps_null(void) { return dma_mapping_error(&dev->dev, dma_map_single(&dev->dev, NULL, 64, DMA_TO_DEVICE)); }
int maps_without_device(void) { return dma_map_single(NULL, dev, 64, DMA_TO_DEVICE) == 0; }

int maps_in_no_direction(void)
{
	void *p = kmalloc(64, GFP_KERNEL);
	int rc = dma_mapping_error(&dev->dev, dma_map_single(&dev->dev, p, 64, DMA_NONE));

	kfree(p);
	return rc;
}

int asks_for_too_much(void) { return kmalloc(0xfffffff0u, GFP_KERNEL) != NULL; }

int divides(void)
{
	volatile int none = 0;

	return 5 / none;
}

int writes_beyond(void)
{
	char *p = kmalloc(64, GFP_KERNEL);

	memset(p, 0, 65);
	kfree(p);
	return 0;
}

int reads_no_register(void)
{
	void __iomem *regs = pci_iomap(dev, 0, 0);
	int value = readl(regs + 4096);

	pci_iounmap(dev, regs);
	return value;
}

int reads_unmapped_register(void)
{
	void __iomem *regs = pci_iomap(dev, 0, 0);

	pci_iounmap(dev, regs);
	return readl(regs);
}

static int probe(struct pci_dev *p, const struct pci_device_id *id)
{
	dev = p;
	return 0;
}

static void remove(struct pci_dev *p) { }

static const struct pci_device_id ids[] = { { PCI_DEVICE(0x1234, 0x0001) }, { } };
static struct pci_driver misuse = { .name = "misuse", .id_table = ids, .probe = probe, .remove = remove };
module_pci_driver(misuse);
