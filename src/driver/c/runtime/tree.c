// SPDX-License-Identifier: MIT
/* Names that the headers of a kernel tree use for what the runtime has under others. Nothing of it is compiled in own mode. */
#include "runtime.h"

#ifdef GD_TREE

#include <linux/mii.h>
#include <linux/crc32.h>

unsigned long volatile jiffies;
u64 jiffies_64;
struct thread_info gd_thread_info;
struct workqueue_struct *system_highpri_wq, *system_long_wq, *system_unbound_wq, *system_freezable_wq, *system_power_efficient_wq;
struct kmem_cache *kmalloc_caches[NR_KMALLOC_TYPES][KMALLOC_SHIFT_HIGH + 1];
unsigned long memory_start, memory_end;

struct module __this_module;
const struct kernel_param_ops param_ops_int, param_ops_uint, param_ops_bool, param_ops_charp, param_ops_ulong, param_ops_byte, param_ops_short, param_ops_ushort;
const struct kernel_param_ops param_array_ops;
#define REVERSED(x) ((u8)((((x) & 1) << 7) | (((x) & 2) << 5) | (((x) & 4) << 3) | (((x) & 8) << 1) | (((x) & 16) >> 1) | (((x) & 32) >> 3) | \
			  (((x) & 64) >> 5) | (((x) & 128) >> 7)))
#define R4(x) REVERSED(x), REVERSED((x) + 1), REVERSED((x) + 2), REVERSED((x) + 3)
#define R16(x) R4(x), R4((x) + 4), R4((x) + 8), R4((x) + 12)
#define R64(x) R16(x), R16((x) + 16), R16((x) + 32), R16((x) + 48)
u8 const byte_rev_table[256] = { R64(0), R64(64), R64(128), R64(192) };

/* ---- memory ---- */
void *__kmalloc_noprof(size_t size, gfp_t gfp) { return gd_kmalloc(size, gfp); }
void *__kmalloc_node_noprof(size_t size, gfp_t gfp, int node) { return gd_kmalloc(size, gfp); }
void *__kmalloc_cache_noprof(struct kmem_cache *s, gfp_t gfp, size_t size) { return gd_kmalloc(size, gfp); }
void *__kmalloc_cache_node_noprof(struct kmem_cache *s, gfp_t gfp, int node, size_t size) { return gd_kmalloc(size, gfp); }
void *__kmalloc_large_noprof(size_t size, gfp_t gfp) { return gd_kmalloc(size, gfp); }
void *__kmalloc_large_node_noprof(size_t size, gfp_t gfp, int node) { return gd_kmalloc(size, gfp); }
void *krealloc_noprof(const void *p, size_t size, gfp_t gfp) { return gd_krealloc(p, size, gfp); }
void *kmemdup_noprof(const void *p, size_t n, gfp_t gfp) { return gd_kmemdup(p, n, gfp); }
char *kstrdup(const char *s, gfp_t gfp) { return gd_kstrdup(s, gfp); }
void *__kvmalloc_node_noprof(size_t size, gfp_t gfp, int node) { return gd_kvmalloc(size, gfp); }
void *vmalloc_noprof(unsigned long size) { return gd_vmalloc_bytes(size); }
void *vzalloc_noprof(unsigned long size) { return gd_vmalloc_bytes(size); }
struct page *__alloc_pages_noprof(gfp_t gfp, unsigned int order, int node, nodemask_t *mask) { return gd_alloc_pages(gfp, order); }
unsigned long get_free_pages_noprof(gfp_t gfp, unsigned int order) { return gd_get_free_pages(gfp, order); }
unsigned long get_zeroed_page_noprof(gfp_t gfp) { return gd_get_free_pages(gfp | __GFP_ZERO, 0); }
void __folio_put(struct folio *folio) { folio->page._refcount.counter++; gd_put_page(&folio->page); }
void *vmap(struct page **pages, unsigned int n, unsigned long flags, pgprot_t prot)
{
	extern void *gd_vmap_pages(struct page **pages, unsigned int n);

	return gd_vmap_pages(pages, n);
}
struct kmem_cache *__kmem_cache_create_args(const char *name, unsigned int size, struct kmem_cache_args *args, slab_flags_t flags)
{
	return gd_cache_create(name, ALIGN(size, args && args->align ? args->align : 8), args ? args->ctor : NULL);
}
void kmem_cache_destroy(struct kmem_cache *s) { gd_cache_destroy(s); }
void *kmem_cache_alloc_noprof(struct kmem_cache *s, gfp_t gfp) { return gd_cache_take(s, gfp); }
void kmem_cache_free(struct kmem_cache *s, void *p) { gd_cache_give(s, p); }
unsigned long long gd_virt_to_phys(const volatile void *at) { return virt_to_phys(at); }
void *gd_phys_to_virt(unsigned long long phys) { return phys_to_virt(phys); }

/* ---- messages and warnings ---- */
void gd_dev_message(const struct device *d, const char *fmt, void *args)
{
	gd_host_printk(fmt, args, d && d->init_name ? d->init_name : "");
}
#define DEV_MESSAGE(name) \
void name(const struct device *d, const char *fmt, ...) \
{ \
	va_list args; \
	va_start(args, fmt); \
	gd_dev_message(d, fmt, (void *)args); \
	va_end(args); \
}
DEV_MESSAGE(_dev_emerg)
DEV_MESSAGE(_dev_alert)
DEV_MESSAGE(_dev_crit)
DEV_MESSAGE(_dev_err)
DEV_MESSAGE(_dev_warn)
DEV_MESSAGE(_dev_notice)
DEV_MESSAGE(_dev_info)
void _dev_printk(const char *level, const struct device *d, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	gd_dev_message(d, fmt, (void *)args);
	va_end(args);
}
static const char *gd_netdev_name(const struct net_device *d) { return d->name; }
#define NETDEV_MESSAGE(name) \
void name(const struct net_device *d, const char *fmt, ...) \
{ \
	va_list args; \
	va_start(args, fmt); \
	gd_host_printk(fmt, (void *)args, gd_netdev_name(d)); \
	va_end(args); \
}
NETDEV_MESSAGE(netdev_emerg)
NETDEV_MESSAGE(netdev_alert)
NETDEV_MESSAGE(netdev_crit)
NETDEV_MESSAGE(netdev_err)
NETDEV_MESSAGE(netdev_warn)
NETDEV_MESSAGE(netdev_notice)
NETDEV_MESSAGE(netdev_info)
void netdev_printk(const char *level, const struct net_device *d, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	gd_host_printk(fmt, (void *)args, d->name);
	va_end(args);
}
void warn_slowpath_fmt(const char *file, int line, unsigned int taint, const char *fmt, ...)
{
	char text[256];
	va_list args;

	if (fmt) {
		va_start(args, fmt);
		gd_host_format(text, sizeof(text), fmt, (void *)args);
		va_end(args);
	}
	gd_host_finding(GD_WARN, fmt ? text : "a warning (WARN_ON)", 0, 0, 0);
}
void __warn_printk(const char *fmt, ...)
{
	char text[256];
	va_list args;

	va_start(args, fmt);
	gd_host_format(text, sizeof(text), fmt, (void *)args);
	va_end(args);
	gd_host_finding(GD_WARN, text, 0, 0, 0);
}
int __printk_ratelimit(const char *func) { return 1; }
int ___ratelimit(struct ratelimit_state *rs, const char *func) { return 1; }
int net_ratelimit(void) { return 1; }
ssize_t sized_strscpy(char *to, const char *from, size_t n)
{
	extern ssize_t gd_strscpy(char *, const char *, size_t);

	return gd_strscpy(to, from, n);
}
const char *dev_driver_string(const struct device *d) { return d->driver ? d->driver->name : ""; }

/* ---- time, timers, locks ---- */
void init_timer_key(struct timer_list *t, void (*f)(struct timer_list *), unsigned int flags, const char *name, struct lock_class_key *key)
{
	__builtin_memset(t, 0, sizeof(*t));
	t->function = f;
	t->flags = flags;
}
void __udelay(unsigned long us)
{
	extern void gd_busy(u64);

	gd_busy(us * 1000ULL);
}
void __ndelay(unsigned long ns)
{
	extern void gd_busy(u64);

	gd_busy(ns);
}
void __const_udelay(unsigned long x)
{
	extern void gd_busy(u64);

	/* The argument is microseconds * 2^32 / 10^6 (asm-generic/delay.h). */
	gd_busy(((u64)x * 1000000000ULL) >> 32);
}
void msleep(unsigned int ms)
{
	extern void gd_sleep(u64);

	gd_sleep(ms * 1000000ULL);
}
unsigned long msleep_interruptible(unsigned int ms) { msleep(ms); return 0; }
void usleep_range_state(unsigned long lo, unsigned long hi, unsigned int state)
{
	extern void gd_sleep(u64);

	gd_sleep(lo * 1000ULL);
}
ktime_t ktime_get(void) { return gd_now(); }
unsigned long __msecs_to_jiffies(const unsigned int m) { return m; }
unsigned long __usecs_to_jiffies(const unsigned int u) { return (u + 999) / 1000; }
unsigned int jiffies_to_msecs(const unsigned long j) { return j; }
unsigned int jiffies_to_usecs(const unsigned long j) { return j * 1000; }
unsigned long round_jiffies(unsigned long j) { return j; }
unsigned long round_jiffies_relative(unsigned long j) { return j; }
signed long schedule_timeout_uninterruptible(signed long t) { return schedule_timeout(t); }
signed long schedule_timeout_interruptible(signed long t) { return schedule_timeout(t); }
void __local_bh_enable_ip(unsigned long ip, unsigned int count) { }
void __mutex_init(struct mutex *m, const char *name, struct lock_class_key *key) { __builtin_memset(m, 0, sizeof(*m)); }
static void take(struct mutex *m)
{
	gd_might_sleep("mutex_lock");
	if (atomic_long_read(&m->owner)) {
		gd_finding(GD_LOCK, m, 0, (const struct gd_site *)atomic_long_read(&m->owner), "takes a mutex that it holds: a deadlock");
		gd_host_oops("deadlock");
	}
	atomic_long_set(&m->owner, (long)gd_site_now());
}
#undef mutex_lock
#undef mutex_lock_interruptible
#undef mutex_trylock
void mutex_lock(struct mutex *m) { take(m); }
int mutex_lock_interruptible(struct mutex *m) { take(m); return 0; }
int mutex_trylock(struct mutex *m)
{
	if (atomic_long_read(&m->owner))
		return 0;
	take(m);
	return 1;
}
void mutex_unlock(struct mutex *m)
{
	if (!atomic_long_read(&m->owner))
		gd_finding(GD_LOCK, m, 0, NULL, "releases a mutex that is not held");
	atomic_long_set(&m->owner, 0);
}
void __init_waitqueue_head(struct wait_queue_head *w, const char *name, struct lock_class_key *key) { INIT_LIST_HEAD(&w->head); }
void __init_swait_queue_head(struct swait_queue_head *q, const char *name, struct lock_class_key *key) { INIT_LIST_HEAD(&q->task_list); }
int __wake_up(struct wait_queue_head *w, unsigned int mode, int n, void *key) { return 0; }
void init_wait_entry(struct wait_queue_entry *e, int flags) { INIT_LIST_HEAD(&e->entry); }
long prepare_to_wait_event(struct wait_queue_head *w, struct wait_queue_entry *e, int state) { return 0; }
void finish_wait(struct wait_queue_head *w, struct wait_queue_entry *e) { }
/* What a wait sleeps with: time goes to the next thing that happens. */
void schedule(void)
{
	if (!gd_wait_step(gd_now() + 3600000000000ULL))
		gd_hang("schedule()");
}
struct task_struct *kthread_create_on_node(int (*fn)(void *), void *data, int node, const char *fmt, ...)
{
	extern void *gd_thread_create(int (*)(void *), void *);

	return gd_thread_create(fn, data);
}
int wake_up_process(struct task_struct *t) { return 1; }
void tasklet_init(struct tasklet_struct *t, void (*func)(unsigned long), unsigned long data)
{
	__builtin_memset(t, 0, sizeof(*t));
	t->func = func;
	t->data = data;
}

/* ---- devices ---- */
static struct resource *regions;
void *__devres_alloc_node(dr_release_t release, size_t size, gfp_t gfp, int nid, const char *name) { return gd_devres_alloc(release, size, gfp); }
void device_wakeup_disable(struct device *d) { }
/* Regions of I/O: each is an object, so that one that is left is told. */
struct resource *__request_region(struct resource *parent, resource_size_t start, resource_size_t n, const char *name, int flags)
{
	struct resource *r = gd_kmalloc(sizeof(*r), GFP_KERNEL | __GFP_ZERO);

	if (!r)
		return NULL;
	r->start = start;
	r->end = start + n - 1;
	r->sibling = regions;
	regions = r;
	return r;
}
void __release_region(struct resource *parent, resource_size_t start, resource_size_t n)
{
	struct resource **link = &regions, *r;

	while ((r = *link) && r->start != start)
		link = &r->sibling;
	if (!r) {
		gd_finding(GD_MISUSE, NULL, 0, NULL, "releases a region that it does not have");
		return;
	}
	*link = r->sibling;
	(kfree)(r);
}
int device_create_file(struct device *d, const struct device_attribute *a) { return 0; }
void device_remove_file(struct device *d, const struct device_attribute *a) { }
void yield(void) { msleep(1); }
int dev_set_name(struct device *d, const char *fmt, ...) { return 0; }
struct device *get_device(struct device *d) { return d; }
void put_device(struct device *d) { }
int device_set_wakeup_enable(struct device *d, bool on) { return 0; }
void device_set_wakeup_capable(struct device *d, bool on) { }
bool pci_pme_capable(struct pci_dev *p, pci_power_t s) { return false; }
int pci_enable_wake(struct pci_dev *p, pci_power_t s, bool on) { return 0; }
int pci_wake_from_d3(struct pci_dev *p, bool on) { return 0; }
int pci_prepare_to_sleep(struct pci_dev *p) { return 0; }
int __pm_runtime_resume(struct device *d, int flags) { return 0; }
int pci_alloc_irq_vectors_affinity(struct pci_dev *p, unsigned int lo, unsigned int hi, unsigned int flags, struct irq_affinity *a)
{
	extern int gd_alloc_vectors(struct pci_dev *);

	return gd_alloc_vectors(p);
}
void __dma_sync_single_for_cpu(struct device *d, dma_addr_t at, size_t n, enum dma_data_direction dir) { gd_dma_sync_range(d, at, n, dir, false); }
void __dma_sync_single_for_device(struct device *d, dma_addr_t at, size_t n, enum dma_data_direction dir) { gd_dma_sync_range(d, at, n, dir, true); }
void __dma_sync_sg_for_cpu(struct device *d, struct scatterlist *l, int n, enum dma_data_direction dir) { gd_dma_sync_list(d, l, n, dir, false); }
void __dma_sync_sg_for_device(struct device *d, struct scatterlist *l, int n, enum dma_data_direction dir) { gd_dma_sync_list(d, l, n, dir, true); }
struct dma_pool *dma_pool_create(const char *name, struct device *d, size_t size, size_t align, size_t boundary)
{
	extern struct dma_pool *gd_pool_create(const char *, struct device *, size_t, size_t, size_t);

	return gd_pool_create(name, d, size, align, boundary);
}

/* ---- networking ---- */
unsigned long dev_trans_start(struct net_device *d) { return netdev_get_tx_queue(d, 0)->trans_start; }
int dev_alloc_name(struct net_device *d, const char *name) { return 0; }
int register_netdevice(struct net_device *d) { return register_netdev(d); }
void synchronize_net(void) { }
void synchronize_rcu(void) { }
void call_rcu(struct rcu_head *head, rcu_callback_t func) { func(head); }
void refcount_warn_saturate(refcount_t *r, enum refcount_saturation_type t)
{
	gd_host_finding(GD_WARN, t == REFCOUNT_SUB_UAF ? "a reference count goes below 0" : "a reference count is used after it was 0", r, 0, 0);
}
struct sk_buff *__alloc_skb(unsigned int size, gfp_t gfp, int flags, int node) { return gd_alloc_skb(NULL, size, gfp, 0); }
struct sk_buff *__netdev_alloc_skb(struct net_device *d, unsigned int n, gfp_t gfp) { return gd_alloc_skb(d, n, gfp, NET_SKB_PAD); }
struct sk_buff *napi_alloc_skb(struct napi_struct *x, unsigned int n) { return gd_alloc_skb(x->dev, n, GFP_ATOMIC, NET_SKB_PAD + NET_IP_ALIGN); }
void sk_skb_reason_drop(struct sock *sk, struct sk_buff *s, enum skb_drop_reason reason) { gd_kfree_skb(s); }
void __kfree_skb(struct sk_buff *s) { gd_kfree_skb(s); }
void dev_kfree_skb_irq_reason(struct sk_buff *s, enum skb_drop_reason reason) { gd_kfree_skb(s); }
void dev_kfree_skb_any_reason(struct sk_buff *s, enum skb_drop_reason reason) { gd_kfree_skb(s); }
void napi_consume_skb(struct sk_buff *s, int budget) { gd_kfree_skb(s); }
struct sk_buff *skb_copy(const struct sk_buff *s, gfp_t gfp)
{
	extern struct sk_buff *gd_skb_copy(const struct sk_buff *, gfp_t);

	return gd_skb_copy(s, gfp);
}
void *__pskb_pull_tail(struct sk_buff *s, int n)
{
	extern int gd_skb_linearize(struct sk_buff *);

	return gd_skb_linearize(s) ? NULL : s->data;
}
int __skb_pad(struct sk_buff *s, int pad, bool free_on_error)
{
	extern int gd_skb_padto(struct sk_buff *, unsigned int, bool);

	return gd_skb_padto(s, s->len + pad, false);
}
void skb_add_rx_frag_netmem(struct sk_buff *s, int i, netmem_ref mem, int off, int size, unsigned int truesize)
{
	extern void gd_add_rx_frag(struct sk_buff *, int, struct page *, int, int, unsigned int);

	gd_add_rx_frag(s, i, netmem_to_page(mem), off, size, truesize);
}
void skb_queue_purge_reason(struct sk_buff_head *q, enum skb_drop_reason reason)
{
	struct sk_buff *s;

	while ((s = skb_dequeue(q)))
		gd_kfree_skb(s);
}
int skb_checksum_help(struct sk_buff *s) { s->ip_summed = CHECKSUM_NONE; return 0; }
void skb_tstamp_tx(struct sk_buff *s, struct skb_shared_hwtstamps *t) { }
void netif_tx_wake_queue(struct netdev_queue *q) { clear_bit(__QUEUE_STATE_DRV_XOFF, &q->state); }
void netif_schedule_queue(struct netdev_queue *q) { }
void netif_tx_lock(struct net_device *d) { }
void netif_tx_unlock(struct net_device *d) { }
void netdev_update_features(struct net_device *d) { }
void rtnl_lock(void) { }
void rtnl_unlock(void) { }
int rtnl_trylock(void) { return 1; }
void __napi_schedule_irqoff(struct napi_struct *n) { __napi_schedule(n); }
u32 crc32_le(u32 crc, const unsigned char *p, size_t n)
{
	for (; n; n--, p++) {
		int i;

		crc ^= *p;
		for (i = 0; i < 8; i++)
			crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return crc;
}
u32 crc32_be(u32 crc, const unsigned char *p, size_t n)
{
	for (; n; n--, p++) {
		int i;

		crc ^= (u32)*p << 24;
		for (i = 0; i < 8; i++)
			crc = (crc << 1) ^ (crc & 0x80000000 ? 0x04c11db7 : 0);
	}
	return crc;
}

/* The media interface: a link that is up, at full duplex. */
unsigned int mii_check_media(struct mii_if_info *mii, unsigned int print, unsigned int init)
{
	netif_carrier_on(mii->dev);
	return 0;
}
void mii_check_link(struct mii_if_info *mii) { netif_carrier_on(mii->dev); }
int mii_link_ok(struct mii_if_info *mii) { return 1; }
int mii_nway_restart(struct mii_if_info *mii) { return 0; }
int generic_mii_ioctl(struct mii_if_info *mii, struct mii_ioctl_data *data, int cmd, unsigned int *duplex) { return -EOPNOTSUPP; }
void mii_ethtool_get_link_ksettings(struct mii_if_info *mii, struct ethtool_link_ksettings *k) { }
int mii_ethtool_set_link_ksettings(struct mii_if_info *mii, const struct ethtool_link_ksettings *k) { return 0; }

/* ---- what single drivers ask for ---- */
void get_random_bytes(void *to, size_t n)
{
	static u32 state = 0x9e3779b9;
	u8 *at = to;

	gd_check(to, n, 1);
	for (; n; n--) {
		state ^= state << 13;
		state ^= state >> 17;
		state ^= state << 5;
		*at++ = state;
	}
}
unsigned long _find_next_bit(const unsigned long *p, unsigned long n, unsigned long from)
{
	for (; from < n; from++)
		if (p[from / BITS_PER_LONG] & (1UL << (from % BITS_PER_LONG)))
			return from;
	return n;
}
unsigned long _find_first_bit(const unsigned long *p, unsigned long n) { return _find_next_bit(p, n, 0); }
unsigned long _find_next_zero_bit(const unsigned long *p, unsigned long n, unsigned long from)
{
	for (; from < n; from++)
		if (!(p[from / BITS_PER_LONG] & (1UL << (from % BITS_PER_LONG))))
			return from;
	return n;
}
unsigned long _find_first_zero_bit(const unsigned long *p, unsigned long n) { return _find_next_zero_bit(p, n, 0); }
void netdev_stats_to_stats64(struct rtnl_link_stats64 *to, const struct net_device_stats *from)
{
	const unsigned long *at = (const unsigned long *)from;
	u64 *out = (u64 *)to;
	u32 i;

	for (i = 0; i < sizeof(*from) / sizeof(*at); i++)
		out[i] = at[i];
}
void skb_copy_and_csum_dev(const struct sk_buff *s, u8 *to) { skb_copy_bits(s, 0, to, s->len); }
void pci_pme_active(struct pci_dev *p, bool on) { }
int pci_try_set_mwi(struct pci_dev *p) { return pci_set_mwi(p); }
pci_power_t pci_choose_state(struct pci_dev *p, pm_message_t state) { return PCI_D0; }
u8 pci_find_capability(struct pci_dev *p, int cap)
{
	u16 status = 0;
	u8 at = 0, id = 0;
	int n;

	pci_read_config_word(p, PCI_STATUS, &status);
	if (status & PCI_STATUS_CAP_LIST)
		pci_read_config_byte(p, PCI_CAPABILITY_LIST, &at);
	for (n = 0; at >= 0x40 && n < 48; n++) {
		pci_read_config_byte(p, at, &id);
		if (id == cap)
			return at;
		pci_read_config_byte(p, at + 1, &at);
	}
	return 0;
}
struct pci_dev *pci_get_device(unsigned int vendor, unsigned int device, struct pci_dev *from) { return NULL; }
void pci_dev_put(struct pci_dev *p) { }
int device_wakeup_enable(struct device *d) { return 0; }
void __iomem *devm_ioremap(struct device *d, resource_size_t at, resource_size_t n)
{
	extern void *gd_devm_ioremap(struct device *, phys_addr_t);

	return gd_devm_ioremap(d, at);
}
void dev_close(struct net_device *d)
{
	extern int gd_net_close(struct net_device *);

	gd_net_close(d);
}
void mii_ethtool_gset(struct mii_if_info *mii, struct ethtool_cmd *cmd) { }
int mii_ethtool_sset(struct mii_if_info *mii, struct ethtool_cmd *cmd) { return 0; }
void ethtool_convert_legacy_u32_to_link_mode(unsigned long *to, u32 from) { to[0] = from; }
bool ethtool_convert_link_mode_to_legacy_u32(u32 *to, const unsigned long *from)
{
	*to = from[0];
	return true;
}
void __tasklet_hi_schedule(struct tasklet_struct *t) { __tasklet_schedule(t); }
char *strcat(char *to, const char *from)
{
	strcpy(to + strlen(to), from);
	return to;
}

/* ---- 64-bit atomics (lib/atomic64.c) ---- */
s64 generic_atomic64_read(const atomic64_t *v) { return v->counter; }
void generic_atomic64_set(atomic64_t *v, s64 i) { v->counter = i; }
#define ATOMIC64(op, expression) \
void generic_atomic64_##op(s64 a, atomic64_t *v) { v->counter = (expression); } \
s64 generic_atomic64_##op##_return(s64 a, atomic64_t *v) { return v->counter = (expression); } \
s64 generic_atomic64_fetch_##op(s64 a, atomic64_t *v) { s64 old = v->counter; v->counter = (expression); return old; }
ATOMIC64(add, v->counter + a)
ATOMIC64(sub, v->counter - a)

#endif
