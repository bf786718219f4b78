/* SPDX-License-Identifier: MIT */
/* Socket buffers, network devices, NAPI: what a driver sees of them. The members that the runtime uses have the tree's names. */
#ifndef GEMDMA_NET_H
#define GEMDMA_NET_H

#include <gemdma/dma.h>

#define ETH_ALEN 6
#define ETH_HLEN 14
#define ETH_ZLEN 60
#define ETH_DATA_LEN 1500
#define ETH_FRAME_LEN 1514
#define ETH_FCS_LEN 4
#define VLAN_HLEN 4
#define VLAN_ETH_FRAME_LEN 1518
#define ETH_P_IP 0x0800
#define NET_SKB_PAD 64
#define NET_IP_ALIGN 2
#define MAX_SKB_FRAGS 17
#define IFNAMSIZ 16
#define NETDEV_ALIGN 32
#define SKB_DATA_ALIGN(n) ALIGN(n, SMP_CACHE_BYTES)
#define SKB_WITH_OVERHEAD(n) ((n) - SKB_DATA_ALIGN(sizeof(struct skb_shared_info)))
#define CHECKSUM_NONE 0
#define CHECKSUM_UNNECESSARY 1
#define CHECKSUM_COMPLETE 2
#define CHECKSUM_PARTIAL 3
#define NETIF_F_SG BIT_ULL(0)
#define NETIF_F_IP_CSUM BIT_ULL(1)
#define NETIF_F_HW_CSUM BIT_ULL(3)
#define NETIF_F_HIGHDMA BIT_ULL(5)
#define NETIF_F_FRAGLIST BIT_ULL(6)
#define NETIF_F_TSO BIT_ULL(16)
#define NETIF_F_RXCSUM BIT_ULL(40)
typedef u64 netdev_features_t;
typedef unsigned char *sk_buff_data_t;

typedef struct skb_frag { struct page *page; unsigned int len; unsigned int offset; } skb_frag_t;
struct skb_shared_info {
	u8 flags, meta_len, nr_frags, tx_flags;
	unsigned short gso_size, gso_segs;
	struct sk_buff *frag_list;
	unsigned int gso_type;
	atomic_t dataref;
	skb_frag_t frags[MAX_SKB_FRAGS];
};
struct net_device;
struct sk_buff {
	struct sk_buff *next, *prev;
	struct net_device *dev;
	char cb[48] __aligned(8);
	unsigned int len, data_len;
	u16 mac_len, hdr_len, queue_mapping;
	u8 ip_summed:2, pfmemalloc:1, head_frag:1;
	__be16 protocol;
	__wsum csum;
	u16 csum_start, csum_offset;
	u32 priority;
	u16 transport_header, network_header, mac_header;
	sk_buff_data_t tail, end;
	unsigned char *head, *data;
	unsigned int truesize;
	refcount_t users;
	void (*destructor)(struct sk_buff *);
};
struct sk_buff_head { struct sk_buff *next, *prev; u32 qlen; spinlock_t lock; };
#define skb_shinfo(s) ((struct skb_shared_info *)((s)->end))
#define skb_frag_size(f) ((f)->len)
#define skb_frag_off(f) ((f)->offset)
#define skb_frag_page(f) ((f)->page)
#define skb_frag_address(f) ((char *)page_address((f)->page) + (f)->offset)
#define skb_frag_dma_map(d, f, o, s, r) dma_map_page_attrs(d, (f)->page, (f)->offset + (o), s, r, 0)
static inline unsigned int skb_headlen(const struct sk_buff *s) { return s->len - s->data_len; }
static inline bool skb_is_nonlinear(const struct sk_buff *s) { return s->data_len != 0; }
static inline bool skb_is_gso(const struct sk_buff *s) { return skb_shinfo(s)->gso_size != 0; }
static inline unsigned int skb_headroom(const struct sk_buff *s) { return s->data - s->head; }
static inline int skb_tailroom(const struct sk_buff *s) { return s->data_len ? 0 : s->end - s->tail; }
static inline unsigned char *skb_tail_pointer(const struct sk_buff *s) { return s->tail; }
static inline void skb_reserve(struct sk_buff *s, int n) { s->data += n; s->tail += n; }
void *skb_put(struct sk_buff *s, unsigned int n);
void *skb_push(struct sk_buff *s, unsigned int n);
void *skb_pull(struct sk_buff *s, unsigned int n);
void skb_trim(struct sk_buff *s, unsigned int n);
static inline void *skb_put_data(struct sk_buff *s, const void *p, unsigned int n)
{
	return memcpy(skb_put(s, n), p, n);
}
static inline void skb_copy_from_linear_data(const struct sk_buff *s, void *to, unsigned int n) { memcpy(to, s->data, n); }
static inline void skb_copy_to_linear_data(struct sk_buff *s, const void *from, unsigned int n) { memcpy(s->data, from, n); }
int skb_copy_bits(const struct sk_buff *s, int offset, void *to, int n);
void skb_add_rx_frag_netmem(struct sk_buff *s, int i, struct page *page, int off, int size, unsigned int truesize);
#define skb_add_rx_frag skb_add_rx_frag_netmem
static inline void skb_frag_fill_page_desc(skb_frag_t *f, struct page *page, int off, int size)
{
	f->page = page;
	f->offset = off;
	f->len = size;
}
static inline void skb_fill_page_desc(struct sk_buff *s, int i, struct page *page, int off, int size)
{
	skb_frag_fill_page_desc(&skb_shinfo(s)->frags[i], page, off, size);
	skb_shinfo(s)->nr_frags = i + 1;
}
int gd_skb_padto(struct sk_buff *s, unsigned int len, bool put);
#define skb_padto(s, n) gd_skb_padto(s, n, false)
#define skb_put_padto(s, n) gd_skb_padto(s, n, true)
#define eth_skb_pad(s) gd_skb_padto(s, ETH_ZLEN, true)
int __skb_linearize(struct sk_buff *s);
#define skb_linearize(s) (skb_is_nonlinear(s) ? __skb_linearize(s) : 0)
#define skb_checksum_help(s) 0
#define skb_checksum_none_assert(s) ((void)(s))
#define skb_record_rx_queue(s, q) ((void)(s))
#define skb_get_queue_mapping(s) ((s)->queue_mapping)
#define skb_tx_timestamp(s) ((void)(s))
#define skb_orphan(s) ((void)(s))
#define skb_vlan_tag_present(s) 0
#define skb_vlan_tag_get(s) 0
#define __vlan_hwaccel_put_tag(s, p, t) ((void)(s))

struct sk_buff *gd_alloc_skb(struct net_device *dev, unsigned int size, gfp_t gfp, unsigned int reserve);
struct sk_buff *build_skb(void *data, unsigned int size);
struct sk_buff *skb_copy(const struct sk_buff *s, gfp_t gfp);
struct sk_buff *skb_get(struct sk_buff *s);
#define alloc_skb(n, g) gd_alloc_skb(NULL, n, g, 0)
#define dev_alloc_skb(n) gd_alloc_skb(NULL, n, GFP_ATOMIC, NET_SKB_PAD)
#define netdev_alloc_skb(d, n) gd_alloc_skb(d, n, GFP_ATOMIC, NET_SKB_PAD)
#define __netdev_alloc_skb(d, n, g) gd_alloc_skb(d, n, g, NET_SKB_PAD)
#define netdev_alloc_skb_ip_align(d, n) gd_alloc_skb(d, (n) + NET_IP_ALIGN, GFP_ATOMIC, NET_SKB_PAD + NET_IP_ALIGN)
#define napi_alloc_skb(napi, n) gd_alloc_skb((napi)->dev, (n) + NET_IP_ALIGN, GFP_ATOMIC, NET_SKB_PAD + NET_IP_ALIGN)
void kfree_skb_reason(struct sk_buff *s, int reason);
void consume_skb(struct sk_buff *s);
#define kfree_skb(s) kfree_skb_reason(s, 0)
#define dev_kfree_skb kfree_skb
#define dev_kfree_skb_any kfree_skb
#define dev_kfree_skb_irq kfree_skb
#define dev_consume_skb_any consume_skb
#define dev_consume_skb_irq consume_skb
#define napi_consume_skb(s, b) ((void)(b), consume_skb(s))
static inline void skb_queue_head_init(struct sk_buff_head *q) { q->next = q->prev = (void *)q; q->qlen = 0; }
static inline bool skb_queue_empty(const struct sk_buff_head *q) { return q->next == (const void *)q; }
void skb_queue_tail(struct sk_buff_head *q, struct sk_buff *s);
#define __skb_queue_tail skb_queue_tail
struct sk_buff *skb_dequeue(struct sk_buff_head *q);
#define __skb_dequeue skb_dequeue
void skb_queue_purge_reason(struct sk_buff_head *q, int reason);
#define skb_queue_purge(q) skb_queue_purge_reason(q, 0)

typedef enum netdev_tx { NETDEV_TX_OK = 0, NETDEV_TX_BUSY = 0x10 } netdev_tx_t;
struct rtnl_link_stats64 {
	u64 rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped, multicast, collisions,
		rx_length_errors, rx_over_errors, rx_crc_errors, rx_frame_errors, rx_fifo_errors, rx_missed_errors, tx_aborted_errors,
		tx_carrier_errors, tx_fifo_errors, tx_heartbeat_errors, tx_window_errors, rx_compressed, tx_compressed, rx_nohandler;
};
struct net_device_stats {
	unsigned long rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped, multicast, collisions,
		rx_length_errors, rx_over_errors, rx_crc_errors, rx_frame_errors, rx_fifo_errors, rx_missed_errors, tx_aborted_errors,
		tx_carrier_errors, tx_fifo_errors, tx_heartbeat_errors, tx_window_errors, rx_compressed, tx_compressed;
};
struct ifreq;
struct net_device_ops {
	int (*ndo_init)(struct net_device *);
	void (*ndo_uninit)(struct net_device *);
	int (*ndo_open)(struct net_device *);
	int (*ndo_stop)(struct net_device *);
	netdev_tx_t (*ndo_start_xmit)(struct sk_buff *, struct net_device *);
	void (*ndo_set_rx_mode)(struct net_device *);
	int (*ndo_set_mac_address)(struct net_device *, void *);
	int (*ndo_validate_addr)(struct net_device *);
	int (*ndo_eth_ioctl)(struct net_device *, struct ifreq *, int);
	int (*ndo_change_mtu)(struct net_device *, int);
	void (*ndo_tx_timeout)(struct net_device *, unsigned int);
	void (*ndo_get_stats64)(struct net_device *, struct rtnl_link_stats64 *);
	struct net_device_stats *(*ndo_get_stats)(struct net_device *);
	int (*ndo_set_features)(struct net_device *, netdev_features_t);
	void (*ndo_poll_controller)(struct net_device *);
};
struct ethtool_drvinfo { char driver[32], version[32], fw_version[32], bus_info[32]; };
struct ethtool_ops {
	void (*get_drvinfo)(struct net_device *, struct ethtool_drvinfo *);
	u32 (*get_link)(struct net_device *);
	u32 (*get_msglevel)(struct net_device *);
	void (*set_msglevel)(struct net_device *, u32);
};
u32 ethtool_op_get_link(struct net_device *dev);
struct netdev_queue { struct net_device *dev; unsigned long state; unsigned long trans_start; spinlock_t _xmit_lock; };
enum netdev_queue_state_t { __QUEUE_STATE_DRV_XOFF, __QUEUE_STATE_STACK_XOFF, __QUEUE_STATE_FROZEN };
enum { __LINK_STATE_START, __LINK_STATE_PRESENT, __LINK_STATE_NOCARRIER };
enum netdev_reg_state { NETREG_UNINITIALIZED = 0, NETREG_REGISTERED, NETREG_UNREGISTERING, NETREG_UNREGISTERED };
#define IFF_UP 1
struct napi_struct {
	struct list_head poll_list;
	unsigned long state;
	int weight;
	int (*poll)(struct napi_struct *, int);
	struct net_device *dev;
	struct list_head dev_list;
};
enum { NAPI_STATE_SCHED, NAPI_STATE_MISSED, NAPI_STATE_DISABLE, NAPI_STATE_NPSVC };
#define NAPI_POLL_WEIGHT 64
struct net_device {
	char name[IFNAMSIZ];
	unsigned long state;
	unsigned int flags;
	unsigned int mtu, min_mtu, max_mtu;
	unsigned short hard_header_len;
	netdev_features_t features, hw_features, vlan_features;
	const struct net_device_ops *netdev_ops;
	const struct ethtool_ops *ethtool_ops;
	struct device dev;
	const unsigned char *dev_addr;
	unsigned char perm_addr[8];
	unsigned char broadcast[8];
	int watchdog_timeo;
	struct netdev_queue *_tx;
	unsigned int num_tx_queues, real_num_tx_queues;
	struct net_device_stats stats;
	struct list_head napi_list;
	struct list_head dev_list;
	int irq;
	unsigned long mem_start, base_addr;
	unsigned int reg_state;
	int mc_count;
	u8 priv[] __aligned(NETDEV_ALIGN);
};
#define netdev_priv(d) ((void *)(d)->priv)
#define SET_NETDEV_DEV(n, d) ((n)->dev.parent = (d))
struct net_device *alloc_etherdev_mqs(int priv, unsigned int tx, unsigned int rx);
#define alloc_etherdev(n) alloc_etherdev_mqs(n, 1, 1)
#define alloc_etherdev_mq(n, q) alloc_etherdev_mqs(n, q, q)
void free_netdev(struct net_device *dev);
int register_netdev(struct net_device *dev);
void unregister_netdev(struct net_device *dev);
static inline bool netif_running(const struct net_device *d) { return test_bit(__LINK_STATE_START, &d->state); }
static inline struct netdev_queue *netdev_get_tx_queue(const struct net_device *d, unsigned int i) { return &d->_tx[i]; }
static inline void netif_tx_start_queue(struct netdev_queue *q) { clear_bit(__QUEUE_STATE_DRV_XOFF, &q->state); }
static inline void netif_tx_stop_queue(struct netdev_queue *q) { set_bit(__QUEUE_STATE_DRV_XOFF, &q->state); }
static inline bool netif_tx_queue_stopped(const struct netdev_queue *q) { return test_bit(__QUEUE_STATE_DRV_XOFF, &q->state); }
#define netif_tx_wake_queue netif_tx_start_queue
#define netif_start_queue(d) netif_tx_start_queue(&(d)->_tx[0])
#define netif_stop_queue(d) netif_tx_stop_queue(&(d)->_tx[0])
#define netif_wake_queue(d) netif_tx_start_queue(&(d)->_tx[0])
#define netif_queue_stopped(d) netif_tx_queue_stopped(&(d)->_tx[0])
#define netif_tx_disable(d) netif_stop_queue(d)
#define netif_tx_start_all_queues netif_start_queue
#define netif_tx_stop_all_queues netif_stop_queue
#define netif_trans_update(d) ((void)(d))
#define netdev_sent_queue(d, n) ((void)(d))
#define netdev_completed_queue(d, p, b) ((void)(d))
#define netdev_reset_queue(d) ((void)(d))
#define netdev_tx_sent_queue(q, n) ((void)(q))
#define netdev_tx_completed_queue(q, p, b) ((void)(q))
#define netdev_xmit_more() 0
void netif_carrier_on(struct net_device *d);
void netif_carrier_off(struct net_device *d);
static inline bool netif_carrier_ok(const struct net_device *d) { return !test_bit(__LINK_STATE_NOCARRIER, &d->state); }
void netif_device_attach(struct net_device *d);
void netif_device_detach(struct net_device *d);
static inline bool netif_device_present(const struct net_device *d) { return test_bit(__LINK_STATE_PRESENT, &d->state); }
void netif_napi_add_weight(struct net_device *d, struct napi_struct *n, int (*poll)(struct napi_struct *, int), int weight);
#define netif_napi_add(d, n, p) netif_napi_add_weight(d, n, p, NAPI_POLL_WEIGHT)
void __netif_napi_del(struct napi_struct *n);
#define netif_napi_del(n) __netif_napi_del(n)
void napi_enable(struct napi_struct *n);
void napi_disable(struct napi_struct *n);
bool napi_schedule_prep(struct napi_struct *n);
void __napi_schedule(struct napi_struct *n);
static inline bool napi_schedule(struct napi_struct *n)
{
	if (!napi_schedule_prep(n))
		return false;
	__napi_schedule(n);
	return true;
}
#define napi_schedule_irqoff napi_schedule
#define __napi_schedule_irqoff __napi_schedule
bool napi_complete_done(struct napi_struct *n, int work);
#define napi_complete(n) napi_complete_done(n, 0)
int napi_gro_receive(struct napi_struct *n, struct sk_buff *s);
int netif_receive_skb(struct sk_buff *s);
int netif_rx(struct sk_buff *s);
__be16 eth_type_trans(struct sk_buff *s, struct net_device *dev);
int eth_validate_addr(struct net_device *dev);
int eth_mac_addr(struct net_device *dev, void *addr);
static inline bool is_valid_ether_addr(const u8 *a) { return !(a[0] & 1) && (a[0] | a[1] | a[2] | a[3] | a[4] | a[5]); }
void dev_addr_mod(struct net_device *d, unsigned int offset, const void *addr, size_t len);
static inline void eth_hw_addr_set(struct net_device *d, const u8 *a) { dev_addr_mod(d, 0, a, ETH_ALEN); }
static inline void eth_hw_addr_random(struct net_device *d)
{
	static const u8 a[ETH_ALEN] = { 2, 0, 0, 0x67, 0x64, 1 };

	eth_hw_addr_set(d, a);
}
void gd_netdev_printk(const char *level, const struct net_device *d, const char *fmt, ...) __printf(3, 4);
#define netdev_err(d, fmt, a...) gd_netdev_printk("<3>", d, fmt, ##a)
#define netdev_warn(d, fmt, a...) gd_netdev_printk("<4>", d, fmt, ##a)
#define netdev_notice(d, fmt, a...) gd_netdev_printk("<5>", d, fmt, ##a)
#define netdev_info(d, fmt, a...) gd_netdev_printk("<6>", d, fmt, ##a)
#define netdev_dbg(d, fmt, a...) do { if (0) gd_netdev_printk("<7>", d, fmt, ##a); } while (0)
#define netif_err(p, t, d, fmt, a...) netdev_err(d, fmt, ##a)
#define rtnl_lock() do { } while (0)
#define rtnl_unlock() do { } while (0)

#endif
