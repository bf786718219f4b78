// SPDX-License-Identifier: MIT
/*
 * A network driver with descriptor rings: coherent rings, a streaming mapping for each buffer, fragments, NAPI. Written for gemdma
 * as an example. Each BUG_ macro builds it with one mistake; the comment behind a line says which of them is found there, by a run or
 * by fail-nth, as what, and whether at this line or by what was made (born) here.
 */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/netdevice.h>
#include <linux/etherdevice.h>
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>

#define RING 32
#define RX_BYTES 1536

/* Registers */
#define REG_RX_RING 0x00 /* low, high at 0x04 */
#define REG_TX_RING 0x08
#define REG_CONTROL 0x10
#define REG_STATUS 0x14 /* read: pending causes; write 1 clears */
#define REG_MASK 0x18
#define REG_TX_KICK 0x1c
#define REG_MAC 0x20
#define CONTROL_RUN 1
#define CAUSE_RX 1
#define CAUSE_TX 2

/* Descriptors: the device owns one while DESC_OWN is set. */
#define DESC_OWN BIT(31)
#define DESC_LAST BIT(30)
#define DESC_LENGTH 0xffff
struct desc {
	__le32 flags;
	__le32 pad;
	__le64 address;
};

struct tx_slot {
	struct sk_buff *skb; /* with the last descriptor of a packet */
	dma_addr_t dma;
	u32 length;
	bool page;
};

struct nic {
	void __iomem *regs;
	struct pci_dev *pdev;
	struct net_device *dev;
	struct napi_struct napi;
	struct desc *rx, *tx;
	dma_addr_t rx_dma, tx_dma;
	struct sk_buff *rx_skb[RING];
	dma_addr_t rx_buf[RING];
	struct tx_slot slots[RING];
	u32 rx_next, tx_head, tx_tail;
};

static u32 tx_free(struct nic *nic)
{
	return RING - 1 - (nic->tx_head - nic->tx_tail);
}

static int rx_fill(struct nic *nic, u32 i)
{
	struct device *d = &nic->pdev->dev;
	struct sk_buff *skb;
	dma_addr_t dma;
#ifdef BUG_RX_STACK
	char bytes[64];
#endif

#ifdef BUG_RX_SLEEP
	skb = __netdev_alloc_skb(nic->dev, RX_BYTES, GFP_KERNEL); /* BUG_RX_SLEEP: run SLEEP_IN_ATOMIC at */
#else
	skb = netdev_alloc_skb(nic->dev, RX_BYTES); /* BUG_RX_SKB_LEAK: fail-nth LEAK born */
#endif
	if (!skb)
		return -ENOMEM;
#ifdef BUG_RX_STACK
	dma = dma_map_single(d, bytes, sizeof(bytes), DMA_FROM_DEVICE); /* BUG_RX_STACK: run REJECT_VMALLOC at */
#else
	dma = dma_map_single(d, skb->data, RX_BYTES, DMA_FROM_DEVICE); /* BUG_RX_UNCHECKED: run UNMAP_UNCHECKED born */
#endif
#ifndef BUG_RX_UNCHECKED
	if (dma_mapping_error(d, dma)) {
#ifndef BUG_RX_SKB_LEAK
		dev_kfree_skb(skb);
#endif
		return -ENOMEM;
	}
#endif
#ifdef BUG_RX_TOUCH_AFTER_MAP
	skb->data[0] = 0; /* BUG_RX_TOUCH_AFTER_MAP: run CPU_ACCESS at */
#endif
	nic->rx_skb[i] = skb;
	nic->rx_buf[i] = dma;
	nic->rx[i].address = cpu_to_le64(dma);
	dma_wmb();
	nic->rx[i].flags = cpu_to_le32(DESC_OWN | RX_BYTES);
	return 0;
}

static void rx_drain(struct nic *nic)
{
	u32 i;

	for (i = 0; i < RING; i++) {
		if (!nic->rx_skb[i])
			continue;
#ifndef BUG_RX_CLOSE_NO_UNMAP
		dma_unmap_single(&nic->pdev->dev, nic->rx_buf[i], RX_BYTES, DMA_FROM_DEVICE);
#endif
		dev_kfree_skb(nic->rx_skb[i]); /* BUG_RX_CLOSE_NO_UNMAP: run FREE_WHILE_MAPPED at */
		nic->rx_skb[i] = NULL;
		nic->rx[i].flags = 0;
	}
}

static void tx_unmap(struct nic *nic, struct tx_slot *slot)
{
	struct device *d = &nic->pdev->dev;

	if (slot->page)
#ifndef BUG_TX_FRAG_NO_UNMAP
		dma_unmap_page(d, slot->dma, slot->length, DMA_TO_DEVICE);
#else
		;
#endif
	else
#ifdef BUG_TX_UNMAP_SIZE
		dma_unmap_single(d, slot->dma, slot->length + 4, DMA_TO_DEVICE); /* BUG_TX_UNMAP_SIZE: run UNMAP_SIZE at */
#else
		dma_unmap_single(d, slot->dma, slot->length, DMA_TO_DEVICE);
#endif
	slot->length = 0;
}

static void tx_clean(struct nic *nic, bool all)
{
	while (nic->tx_tail != nic->tx_head) {
		u32 i = nic->tx_tail % RING;
		struct tx_slot *slot = &nic->slots[i];

		if (!all && (le32_to_cpu(nic->tx[i].flags) & DESC_OWN))
			break;
		tx_unmap(nic, slot);
		nic->tx[i].flags = 0;
		if (slot->skb) {
			if (all)
				dev_kfree_skb_any(slot->skb);
			else
				dev_consume_skb_any(slot->skb);
#ifdef BUG_TX_USE_AFTER_FREE
			nic->dev->stats.tx_bytes += slot->skb->len; /* BUG_TX_USE_AFTER_FREE: run USE_AFTER_FREE at */
#endif
			slot->skb = NULL;
		}
		nic->tx_tail++;
	}
	if (tx_free(nic) > MAX_SKB_FRAGS && netif_queue_stopped(nic->dev))
		netif_wake_queue(nic->dev);
}

static void tx_desc(struct nic *nic, u32 i, dma_addr_t dma, u32 length, bool page, u32 flags)
{
	nic->slots[i].dma = dma;
	nic->slots[i].length = length;
	nic->slots[i].page = page;
	nic->tx[i].address = cpu_to_le64(dma);
	nic->tx[i].flags = cpu_to_le32(flags | length);
}

static netdev_tx_t nic_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct nic *nic = netdev_priv(dev);
	struct device *d = &nic->pdev->dev;
	u32 frags = skb_shinfo(skb)->nr_frags, first = nic->tx_head, i = first % RING, n;
	u32 length = skb_headlen(skb);
	dma_addr_t dma;

	if (tx_free(nic) < frags + 1) {
		netif_stop_queue(dev);
		return NETDEV_TX_BUSY;
	}
#ifdef BUG_TX_DIRECTION
	dma = dma_map_single(d, skb->data, length, DMA_FROM_DEVICE); /* BUG_TX_DIRECTION: run UNMAP_DIR born */
#else
	dma = dma_map_single(d, skb->data, length, DMA_TO_DEVICE); /* BUG_TX_UNWIND: fail-nth FREE_WHILE_MAPPED born */
#endif
	if (dma_mapping_error(d, dma))
		goto drop;
#ifdef BUG_TX_TOUCH_AFTER_MAP
	skb->data[0] ^= 0xff; /* BUG_TX_TOUCH_AFTER_MAP: run CPU_ACCESS at */
#endif
	tx_desc(nic, i, dma, length, false, frags ? 0 : DESC_LAST);
	nic->tx_head++;
	for (n = 0; n < frags; n++) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[n];

		i = nic->tx_head % RING;
		length = skb_frag_size(frag);
		dma = skb_frag_dma_map(d, frag, 0, length, DMA_TO_DEVICE); /* BUG_TX_FRAG_NO_UNMAP: run LEAK_ON_UNBIND born */
		if (dma_mapping_error(d, dma))
			goto unwind;
		tx_desc(nic, i, dma, length, true, n + 1 == frags ? DESC_LAST : 0);
		nic->tx_head++;
	}
	nic->slots[(nic->tx_head - 1) % RING].skb = skb;
	dma_wmb();
	/* The first descriptor last, so that the device never sees half a packet. */
	for (n = nic->tx_head; n-- != first;)
		nic->tx[n % RING].flags |= cpu_to_le32(DESC_OWN);
	if (tx_free(nic) <= MAX_SKB_FRAGS)
		netif_stop_queue(dev);
	writel(1, nic->regs + REG_TX_KICK);
	return NETDEV_TX_OK;

unwind:
#ifndef BUG_TX_UNWIND
	while (nic->tx_head != first) {
		nic->tx_head--;
		tx_unmap(nic, &nic->slots[nic->tx_head % RING]);
	}
#else
	nic->tx_head = first;
#endif
drop:
	dev_kfree_skb_any(skb);
	dev->stats.tx_dropped++;
	return NETDEV_TX_OK;
}

static int rx_one(struct nic *nic)
{
	u32 i = nic->rx_next % RING, flags = le32_to_cpu(nic->rx[i].flags);
	struct sk_buff *skb = nic->rx_skb[i];
	dma_addr_t dma = nic->rx_buf[i];

	if (!skb || (flags & DESC_OWN))
		return 0;
	dma_rmb();
	if (rx_fill(nic, i)) {
		/* No new buffer: the packet is dropped and its buffer used again. */
		nic->dev->stats.rx_dropped++;
		nic->rx[i].flags = cpu_to_le32(DESC_OWN | RX_BYTES);
		nic->rx_next++;
		return 1;
	}
#ifdef BUG_RX_READ_BEFORE_UNMAP
	nic->dev->stats.multicast += skb->data[0] & 1; /* BUG_RX_READ_BEFORE_UNMAP: run CPU_ACCESS at */
#endif
#ifdef BUG_RX_UNMAP_DIR
	dma_unmap_single(&nic->pdev->dev, dma, RX_BYTES, DMA_BIDIRECTIONAL); /* BUG_RX_UNMAP_DIR: run UNMAP_DIR at */
#else
	dma_unmap_single(&nic->pdev->dev, dma, RX_BYTES, DMA_FROM_DEVICE);
#endif
	skb_put(skb, flags & DESC_LENGTH);
	skb->protocol = eth_type_trans(skb, nic->dev);
	napi_gro_receive(&nic->napi, skb);
	nic->dev->stats.rx_packets++;
	nic->rx_next++;
	return 1;
}

static int nic_poll(struct napi_struct *napi, int budget)
{
	struct nic *nic = container_of(napi, struct nic, napi);
	int done = 0;

	tx_clean(nic, false);
	while (done < budget && rx_one(nic))
		done++;
	if (done < budget && napi_complete_done(napi, done))
		writel(CAUSE_RX | CAUSE_TX, nic->regs + REG_MASK);
	return done;
}

static irqreturn_t nic_irq(int irq, void *data)
{
	struct nic *nic = data;
	u32 causes = readl(nic->regs + REG_STATUS);

	if (!causes)
		return IRQ_NONE;
	writel(causes, nic->regs + REG_STATUS);
	if (napi_schedule_prep(&nic->napi)) {
		writel(0, nic->regs + REG_MASK);
		__napi_schedule(&nic->napi);
	}
	return IRQ_HANDLED;
}

static void ring_address(struct nic *nic, u32 reg, dma_addr_t dma)
{
	writel(lower_32_bits(dma), nic->regs + reg);
	writel(upper_32_bits(dma), nic->regs + reg + 4);
}

static int nic_open(struct net_device *dev)
{
	struct nic *nic = netdev_priv(dev);
	struct device *d = &nic->pdev->dev;
	size_t bytes = RING * sizeof(struct desc);
	int rc = -ENOMEM;
	u32 i;

	nic->rx = dma_alloc_coherent(d, bytes, &nic->rx_dma, GFP_KERNEL); /* BUG_OPEN_RING_LEAK: fail-nth LEAK born */
	if (!nic->rx)
		return -ENOMEM;
	nic->tx = dma_alloc_coherent(d, bytes, &nic->tx_dma, GFP_KERNEL);
	if (!nic->tx)
		goto free_rx;
	nic->rx_next = nic->tx_head = nic->tx_tail = 0;
	for (i = 0; i < RING; i++) {
		rc = rx_fill(nic, i);
		if (rc)
			goto drain;
	}
	napi_enable(&nic->napi);
	rc = request_irq(nic->pdev->irq, nic_irq, IRQF_SHARED, dev->name, nic); /* BUG_STOP_IRQ_LEAK: run LEAK born */
	if (rc)
		goto disable;
	ring_address(nic, REG_RX_RING, nic->rx_dma);
	ring_address(nic, REG_TX_RING, nic->tx_dma);
	writel(CAUSE_RX | CAUSE_TX, nic->regs + REG_MASK);
	writel(CONTROL_RUN, nic->regs + REG_CONTROL);
	netif_start_queue(dev);
	return 0;

disable:
	napi_disable(&nic->napi);
drain:
	rx_drain(nic);
	dma_free_coherent(d, bytes, nic->tx, nic->tx_dma);
free_rx:
#ifndef BUG_OPEN_RING_LEAK
	dma_free_coherent(d, bytes, nic->rx, nic->rx_dma);
#endif
	return rc;
}

static int nic_stop(struct net_device *dev)
{
	struct nic *nic = netdev_priv(dev);
	size_t bytes = RING * sizeof(struct desc);

	netif_stop_queue(dev);
	napi_disable(&nic->napi);
	writel(0, nic->regs + REG_CONTROL);
	writel(0, nic->regs + REG_MASK);
#ifndef BUG_STOP_IRQ_LEAK
	free_irq(nic->pdev->irq, nic);
#endif
	tx_clean(nic, true);
	rx_drain(nic);
#ifdef BUG_STOP_COHERENT_SIZE
	dma_free_coherent(&nic->pdev->dev, bytes / 2, nic->tx, nic->tx_dma); /* BUG_STOP_COHERENT_SIZE: run UNMAP_SIZE at */
#else
	dma_free_coherent(&nic->pdev->dev, bytes, nic->tx, nic->tx_dma);
#endif
	dma_free_coherent(&nic->pdev->dev, bytes, nic->rx, nic->rx_dma);
	return 0;
}

static const struct net_device_ops nic_ops = {
	.ndo_open = nic_open,
	.ndo_stop = nic_stop,
	.ndo_start_xmit = nic_xmit,
	.ndo_validate_addr = eth_validate_addr,
	.ndo_set_mac_address = eth_mac_addr,
};

static int nic_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct net_device *dev;
	struct nic *nic;
	u8 mac[ETH_ALEN];
	int rc, i;

	rc = pci_enable_device(pdev); /* BUG_PROBE_ENABLED: fail-nth LEAK born */
	if (rc)
		return rc;
	rc = pci_request_regions(pdev, "ring_nic");
	if (rc)
		goto disable;
	rc = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (rc)
		goto release;
	pci_set_master(pdev);
	rc = -ENOMEM;
	dev = alloc_etherdev(sizeof(*nic));
	if (!dev)
		goto release;
	SET_NETDEV_DEV(dev, &pdev->dev);
	nic = netdev_priv(dev);
	nic->pdev = pdev;
	nic->dev = dev;
	nic->regs = pci_iomap(pdev, 0, 0);
	if (!nic->regs)
		goto free;
	for (i = 0; i < ETH_ALEN; i++)
		mac[i] = readb(nic->regs + REG_MAC + i);
	eth_hw_addr_set(dev, mac);
	dev->netdev_ops = &nic_ops;
	dev->features |= NETIF_F_SG | NETIF_F_HIGHDMA;
	netif_napi_add(dev, &nic->napi, nic_poll);
	rc = register_netdev(dev);
	if (rc)
		goto unmap;
	pci_set_drvdata(pdev, dev);
	return 0;

unmap:
	netif_napi_del(&nic->napi);
	pci_iounmap(pdev, nic->regs);
free:
	free_netdev(dev);
release:
	pci_release_regions(pdev);
disable:
#ifndef BUG_PROBE_ENABLED
	pci_disable_device(pdev);
#endif
	return rc;
}

static void nic_remove(struct pci_dev *pdev)
{
	struct net_device *dev = pci_get_drvdata(pdev);
	struct nic *nic = netdev_priv(dev);

	unregister_netdev(dev);
	netif_napi_del(&nic->napi);
	pci_iounmap(pdev, nic->regs);
	free_netdev(dev);
	pci_release_regions(pdev);
	pci_disable_device(pdev);
}

static const struct pci_device_id nic_ids[] = {
	{ PCI_DEVICE(0x1234, 0x0011) },
	{ }
};
MODULE_DEVICE_TABLE(pci, nic_ids);

static struct pci_driver nic_driver = {
	.name = "ring_nic",
	.id_table = nic_ids,
	.probe = nic_probe,
	.remove = nic_remove,
};
module_pci_driver(nic_driver);
MODULE_DESCRIPTION("descriptor-ring network driver, an example of gemdma");
MODULE_LICENSE("Dual MIT/GPL");
