// SPDX-License-Identifier: MIT
/* Network devices and NAPI, and what a scenario does with them. No stack: what is received is told to the host. */
#include "runtime.h"

static struct list_head napis, devices;
static u32 sent, busy, received;

static struct list_head *ready(struct list_head *l)
{
	if (!l->next)
		INIT_LIST_HEAD(l);
	return l;
}

struct net_device *alloc_etherdev_mqs(int priv, unsigned int tx, unsigned int rx)
{
	struct net_device *dev;
	u32 i;

	if (gd_fail(GD_FAULT_KMALLOC))
		return NULL;
	dev = gd_object_alloc(sizeof(*dev) + priv, GD_KIND_NETDEV, true);
	if (!dev)
		return NULL;
	dev->dev_addr = gd_object_alloc(32, GD_KIND_OWN, true);
	dev->_tx = gd_object_alloc(sizeof(struct netdev_queue) * tx, GD_KIND_OWN, true);
	for (i = 0; i < tx; i++) {
		dev->_tx[i].dev = dev;
		spin_lock_init(&dev->_tx[i]._xmit_lock);
	}
	dev->num_tx_queues = dev->real_num_tx_queues = tx;
	dev->mtu = 1500;
	dev->min_mtu = 68;
	dev->max_mtu = 1500;
	dev->hard_header_len = ETH_HLEN;
	dev->name[0] = 'e', dev->name[1] = 't', dev->name[2] = 'h', dev->name[3] = '0';
	__builtin_memset(dev->broadcast, 0xff, ETH_ALEN);
	INIT_LIST_HEAD(&dev->napi_list);
	INIT_LIST_HEAD(&dev->dev_list);
#ifdef GD_TREE
	INIT_LIST_HEAD(&dev->mc.list);
	INIT_LIST_HEAD(&dev->uc.list);
#endif
	return dev;
}

void free_netdev(struct net_device *dev)
{
	if (dev->reg_state == NETREG_REGISTERED)
		gd_finding(GD_MISUSE, dev, 0, NULL, "frees a network device that is registered");
	while (!list_empty(&dev->napi_list))
		netif_napi_del(list_first_entry(&dev->napi_list, struct napi_struct, dev_list));
	gd_object_free(dev->dev_addr, GD_KIND_OWN);
	gd_object_free(dev->_tx, GD_KIND_OWN);
	gd_object_free(dev, GD_KIND_NETDEV);
}

int register_netdev(struct net_device *dev)
{
	int rc;

	gd_might_sleep("register_netdev");
	if (gd_fail(GD_FAULT_REGISTER))
		return -ENOMEM;
	if (dev->netdev_ops->ndo_init) {
		rc = dev->netdev_ops->ndo_init(dev);
		if (rc)
			return rc;
	}
	set_bit(__LINK_STATE_PRESENT, &dev->state);
	dev->reg_state = NETREG_REGISTERED;
	list_add_tail(&dev->dev_list, ready(&devices));
	return 0;
}

static int device_close(struct net_device *dev)
{
	int rc = 0;

	if (!netif_running(dev))
		return -ENETDOWN;
	clear_bit(__LINK_STATE_START, &dev->state);
	if (dev->netdev_ops->ndo_stop)
		rc = dev->netdev_ops->ndo_stop(dev);
	dev->flags &= ~IFF_UP;
	return rc;
}

int gd_net_close(struct net_device *dev)
{
	return device_close(dev);
}

void unregister_netdev(struct net_device *dev)
{
	if (dev->reg_state != NETREG_REGISTERED) {
		gd_finding(GD_MISUSE, dev, 0, NULL, "unregisters a network device that is not registered");
		return;
	}
	if (netif_running(dev))
		device_close(dev);
	list_del_init(&dev->dev_list);
	if (dev->netdev_ops->ndo_uninit)
		dev->netdev_ops->ndo_uninit(dev);
	dev->reg_state = NETREG_UNREGISTERED;
}

void netif_carrier_on(struct net_device *d)
{
	clear_bit(__LINK_STATE_NOCARRIER, &d->state);
}

void netif_carrier_off(struct net_device *d)
{
	set_bit(__LINK_STATE_NOCARRIER, &d->state);
}

void netif_device_attach(struct net_device *d)
{
	set_bit(__LINK_STATE_PRESENT, &d->state);
	if (netif_running(d))
		netif_wake_queue(d);
}

void netif_device_detach(struct net_device *d)
{
	clear_bit(__LINK_STATE_PRESENT, &d->state);
	if (netif_running(d))
		netif_stop_queue(d);
}

void dev_addr_mod(struct net_device *d, unsigned int offset, const void *addr, size_t len)
{
	gd_check(addr, len, 0);
	__builtin_memcpy((u8 *)d->dev_addr + offset, addr, len);
}

int eth_validate_addr(struct net_device *dev)
{
	return is_valid_ether_addr(dev->dev_addr) ? 0 : -EADDRNOTAVAIL;
}

int eth_mac_addr(struct net_device *dev, void *addr)
{
	dev_addr_mod(dev, 0, (u8 *)addr + 2, ETH_ALEN);
	return 0;
}

__be16 eth_type_trans(struct sk_buff *s, struct net_device *dev)
{
	u8 *at = s->data;

	s->dev = dev;
	gd_check(at, ETH_HLEN, 0);
	s->mac_header = s->data - s->head;
	skb_pull(s, ETH_HLEN);
	return *(u16 *)(at + 12);
}

u32 ethtool_op_get_link(struct net_device *dev)
{
	return netif_carrier_ok(dev);
}

/* ---- NAPI ---- */
void netif_napi_add_weight(struct net_device *d, struct napi_struct *n, int (*poll)(struct napi_struct *, int), int weight)
{
	__builtin_memset(n, 0, sizeof(*n));
	INIT_LIST_HEAD(&n->poll_list);
	n->poll = poll;
	n->weight = weight;
	n->dev = d;
	/* Off until napi_enable. */
	n->state = BIT(NAPI_STATE_SCHED) | BIT(NAPI_STATE_NPSVC);
	list_add_tail(&n->dev_list, &d->napi_list);
}

void __netif_napi_del(struct napi_struct *n)
{
	if (!(n->state & BIT(NAPI_STATE_SCHED)))
		gd_finding(GD_MISUSE, n, 0, NULL, "deletes a NAPI context that is enabled");
	if (!list_empty(&n->poll_list))
		list_del_init(&n->poll_list);
	if (n->dev_list.next && !list_empty(&n->dev_list))
		list_del_init(&n->dev_list);
}

void napi_enable(struct napi_struct *n)
{
	if (!(n->state & BIT(NAPI_STATE_SCHED))) {
		gd_finding(GD_BUG, n, 0, NULL, "enables a NAPI context that is enabled");
		return;
	}
	n->state &= ~(BIT(NAPI_STATE_SCHED) | BIT(NAPI_STATE_NPSVC) | BIT(NAPI_STATE_DISABLE));
}

void napi_disable(struct napi_struct *n)
{
	gd_might_sleep("napi_disable");
	/* What is scheduled runs to its end first; a context that is off already waits for ever. */
	while ((n->state & BIT(NAPI_STATE_SCHED)) && !list_empty(&n->poll_list) && gd_napi_run())
		;
	if (n->state & BIT(NAPI_STATE_SCHED))
		gd_hang("napi_disable of a context that is disabled");
	n->state |= BIT(NAPI_STATE_SCHED) | BIT(NAPI_STATE_NPSVC);
}

bool napi_schedule_prep(struct napi_struct *n)
{
	if (n->state & BIT(NAPI_STATE_SCHED)) {
		n->state |= BIT(NAPI_STATE_MISSED);
		return false;
	}
	n->state |= BIT(NAPI_STATE_SCHED);
	return true;
}

void __napi_schedule(struct napi_struct *n)
{
	list_add_tail(&n->poll_list, ready(&napis));
}

bool napi_complete_done(struct napi_struct *n, int work)
{
	if (!list_empty(&n->poll_list))
		list_del_init(&n->poll_list);
	n->state &= ~BIT(NAPI_STATE_SCHED);
	if (n->state & BIT(NAPI_STATE_MISSED)) {
		n->state = (n->state & ~BIT(NAPI_STATE_MISSED)) | BIT(NAPI_STATE_SCHED);
		__napi_schedule(n);
		return false;
	}
	return true;
}

bool gd_napi_run(void)
{
	struct napi_struct *n;
	int work;

	if (list_empty(ready(&napis)))
		return false;
	n = list_first_entry(&napis, struct napi_struct, poll_list);
	list_del_init(&n->poll_list);
	gd_in_irq++;
	work = n->poll(n, n->weight);
	gd_in_irq--;
	if (work > n->weight)
		gd_finding(GD_MISUSE, n, 0, NULL, "NAPI poll did %d packets of at most %d", work, n->weight);
	/* A poll that used its whole budget is called again. */
	if (work >= n->weight && list_empty(&n->poll_list))
		list_add_tail(&n->poll_list, &napis);
	else if ((n->state & BIT(NAPI_STATE_SCHED)) && !(n->state & BIT(NAPI_STATE_NPSVC)) && list_empty(&n->poll_list))
		gd_finding(GD_MISUSE, n, 0, NULL, "NAPI poll did less than its budget without napi_complete");
	return true;
}

#ifdef GD_TREE
gro_result_t napi_gro_receive(struct napi_struct *n, struct sk_buff *s)
#else
int napi_gro_receive(struct napi_struct *n, struct sk_buff *s)
#endif
{
	received++;
	gd_skb_deliver(n->dev, s);
	return 0;
}

int netif_receive_skb(struct sk_buff *s)
{
	received++;
	gd_skb_deliver(s->dev, s);
	return 0;
}

int netif_rx(struct sk_buff *s)
{
	return netif_receive_skb(s);
}

void gd_leaks_net(void)
{
	struct list_head *e;

	list_for_each(e, ready(&devices))
		gd_finding(GD_LEAK, NULL, 0, NULL, "leaves a network device registered");
}

/* ---- for the scenario: a device by its number ---- */
static struct net_device *device(u32 n)
{
	struct list_head *e;

	list_for_each(e, ready(&devices))
		if (n-- == 0)
			return list_entry(e, struct net_device, dev_list);
	return NULL;
}

GD_EXPORT int gd_net_open(u32 n)
{
	struct net_device *dev = device(n);
	int rc = 0;

	if (!dev)
		return -ENODEV;
	if (netif_running(dev))
		return -EBUSY;
	if (dev->netdev_ops->ndo_validate_addr)
		rc = dev->netdev_ops->ndo_validate_addr(dev);
	set_bit(__LINK_STATE_START, &dev->state);
	if (rc == 0 && dev->netdev_ops->ndo_open)
		rc = dev->netdev_ops->ndo_open(dev);
	if (rc)
		clear_bit(__LINK_STATE_START, &dev->state);
	else {
		dev->flags |= IFF_UP;
		if (dev->netdev_ops->ndo_set_rx_mode)
			dev->netdev_ops->ndo_set_rx_mode(dev);
	}
	return rc;
}

GD_EXPORT int gd_net_stop(u32 n)
{
	struct net_device *dev = device(n);

	return dev ? device_close(dev) : -ENODEV;
}

/* Sends one packet. Returns 0, -EBUSY when the queue is stopped or the driver said so, -ENETDOWN, -ENOMEM. */
GD_EXPORT int gd_net_xmit(u32 n, u32 linear, u32 frags, u32 each, u32 first)
{
	struct net_device *dev = device(n);
	struct sk_buff *s;
	int rc;

	if (!dev || !netif_running(dev))
		return -ENETDOWN;
	if (netif_tx_queue_stopped(&dev->_tx[0])) {
		busy++;
		return -EBUSY;
	}
	s = gd_skb_build(dev, linear, dev->features & NETIF_F_SG ? frags : 0, each, first);
	if (!s)
		return -ENOMEM;
	gd_spin_depth++;
	rc = dev->netdev_ops->ndo_start_xmit(s, dev);
	gd_spin_depth--;
	if (rc == NETDEV_TX_BUSY) {
		busy++;
		gd_kfree_skb(s);
		return -EBUSY;
	}
	sent++;
	return 0;
}

GD_EXPORT int gd_net_timeout(u32 n)
{
	struct net_device *dev = device(n);

	if (!dev || !dev->netdev_ops->ndo_tx_timeout)
		return -EOPNOTSUPP;
	/* The watchdog fires for a queue that is stopped only. */
	set_bit(__QUEUE_STATE_DRV_XOFF, &dev->_tx[0].state);
	dev->netdev_ops->ndo_tx_timeout(dev, 0);
	return 0;
}

GD_EXPORT int gd_net_mtu(u32 n, int mtu)
{
	struct net_device *dev = device(n);
	int rc;

	if (!dev)
		return -ENODEV;
	if (dev->netdev_ops->ndo_change_mtu) {
		rc = dev->netdev_ops->ndo_change_mtu(dev, mtu);
		if (rc)
			return rc;
	} else
		dev->mtu = mtu;
	return 0;
}

GD_EXPORT u32 gd_net_count(u32 which)
{
	return which == 0 ? sent : which == 1 ? received : busy;
}
