/* SPDX-License-Identifier: MIT */
/* Types, compiler attributes, errors, arithmetic, bits, byte order, strings, messages. */
#ifndef GEMDMA_BASE_H
#define GEMDMA_BASE_H

#include <gemdma/core.h>

typedef unsigned char u8, __u8, uint8_t, u_char;
typedef unsigned short u16, __u16, uint16_t, umode_t;
typedef unsigned int u32, __u32, uint32_t, gfp_t, fmode_t, uint;
typedef unsigned long long u64, __u64, uint64_t;
typedef signed char s8, __s8, int8_t;
typedef short s16, __s16, int16_t;
typedef int s32, __s32, int32_t, pid_t;
typedef long long s64, __s64, int64_t, loff_t, ktime_t;
typedef unsigned long size_t, uintptr_t, ulong;
typedef long ssize_t, intptr_t, ptrdiff_t;
typedef _Bool bool;
typedef u16 __le16, __be16, __sum16;
typedef u32 __le32, __be32, __wsum;
typedef u64 __le64, __be64;
#ifdef GD_DMA32
typedef u32 dma_addr_t;
#else
typedef u64 dma_addr_t;
#define CONFIG_ARCH_DMA_ADDR_T_64BIT 1
#endif
typedef u64 phys_addr_t, resource_size_t;
typedef u64 sector_t;
typedef unsigned int irqreturn_t;

#define true 1
#define false 0
#define NULL ((void *)0)
#define CONFIG_64BIT_unset
#define BITS_PER_LONG 32
#define BITS_PER_BYTE 8
#define CONFIG_PCI 1
#define CONFIG_PM 1
#define CONFIG_PM_SLEEP 1
#define CONFIG_HAS_DMA 1
#define CONFIG_NET 1

#define __iomem
#define __user
#define __force
#define __bitwise
#define __must_check
#define __rcu
#define __percpu
#define __init
#define __exit
#define __initdata
#define __exitdata
#define __devinit
#define __read_mostly
#define __acquires(x)
#define __releases(x)
#define __must_hold(x)
#define __always_inline inline __attribute__((always_inline))
#define noinline __attribute__((__noinline__))
#define __packed __attribute__((__packed__))
#define __aligned(x) __attribute__((__aligned__(x)))
#define __maybe_unused __attribute__((unused))
#define __always_unused __attribute__((unused))
#define __printf(a, b) __attribute__((format(printf, a, b)))
#define __cacheline_aligned
#define ____cacheline_aligned
#define ____cacheline_aligned_in_smp
#define __counted_by(x)
#define __free(x)
#define fallthrough __attribute__((__fallthrough__))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define barrier() __asm__ __volatile__("" ::: "memory")
#define mb() barrier()
#define rmb() barrier()
#define wmb() barrier()
#define smp_mb() barrier()
#define smp_rmb() barrier()
#define smp_wmb() barrier()
#define dma_rmb() barrier()
#define dma_wmb() barrier()
#define smp_mb__before_atomic() barrier()
#define smp_mb__after_atomic() barrier()
#define cpu_relax() barrier()
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))
#define smp_load_acquire(p) READ_ONCE(*(p))
#define smp_store_release(p, v) WRITE_ONCE(*(p), v)
#define prefetch(x) ((void)(x))
#define prefetchw(x) ((void)(x))
#define IS_ENABLED(x) 0
#define __stringify_1(x...) #x
#define __stringify(x...) __stringify_1(x)
#define typeof __typeof__
#define offsetof(t, m) __builtin_offsetof(t, m)
#define container_of(p, t, m) ((t *)((char *)(p) - offsetof(t, m)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define sizeof_field(t, m) sizeof(((t *)0)->m)
#define BUILD_BUG_ON(c) _Static_assert(!(c), #c)
#define struct_size(p, m, n) (sizeof(*(p)) + sizeof(*(p)->m) * (n))
#define array_size(a, b) ((a) * (b))
#define flex_array_size(p, m, n) (sizeof(*(p)->m) * (n))
#define swap(a, b) do { __typeof__(a) _t = (a); (a) = (b); (b) = _t; } while (0)

#define min(a, b) ({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); _a < _b ? _a : _b; })
#define max(a, b) ({ __typeof__(a) _a = (a); __typeof__(b) _b = (b); _a > _b ? _a : _b; })
#define min_t(t, a, b) ({ t _a = (a); t _b = (b); _a < _b ? _a : _b; })
#define max_t(t, a, b) ({ t _a = (a); t _b = (b); _a > _b ? _a : _b; })
#define min3(a, b, c) min(min(a, b), c)
#define clamp(v, lo, hi) min(max(v, lo), hi)
#define clamp_t(t, v, lo, hi) min_t(t, max_t(t, v, lo), hi)
#define clamp_val(v, lo, hi) clamp_t(__typeof__(v), v, lo, hi)
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define DIV_ROUND_UP_ULL(n, d) DIV_ROUND_UP((u64)(n), d)
#define ALIGN(x, a) (((x) + ((__typeof__(x))(a) - 1)) & ~((__typeof__(x))(a) - 1))
#define ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a) - 1))
#define PTR_ALIGN(p, a) ((__typeof__(p))ALIGN((unsigned long)(p), (a)))
#define IS_ALIGNED(x, a) (((x) & ((__typeof__(x))(a) - 1)) == 0)
#define roundup(x, y) ((((x) + ((y) - 1)) / (y)) * (y))
#define rounddown(x, y) ((x) - ((x) % (y)))
#define round_up(x, y) ALIGN(x, y)
#define round_down(x, y) ALIGN_DOWN(x, y)
#define upper_32_bits(n) ((u32)(((u64)(n)) >> 32))
#define lower_32_bits(n) ((u32)(n))
#define abs(x) ({ __typeof__(x) _x = (x); _x < 0 ? -_x : _x; })
#define U8_MAX 0xff
#define U16_MAX 0xffff
#define U32_MAX 0xffffffffu
#define U64_MAX (~0ULL)
#define INT_MAX 0x7fffffff
#define UINT_MAX 0xffffffffu
#define ULONG_MAX (~0UL)
#define SIZE_MAX (~(size_t)0)
#define BIT(n) (1UL << (n))
#define BIT_ULL(n) (1ULL << (n))
#define GENMASK(h, l) ((~0UL << (l)) & (~0UL >> (31 - (h))))
#define GENMASK_ULL(h, l) ((~0ULL << (l)) & (~0ULL >> (63 - (h))))
#define FIELD_GET(m, v) (((v) & (m)) >> __builtin_ctzll(m))
#define FIELD_PREP(m, v) (((__typeof__(m))(v) << __builtin_ctzll(m)) & (m))
#define do_div(n, b) ({ u32 _b = (b); u32 _r = (u32)((n) % _b); (n) /= _b; _r; })
#define div_u64(a, b) ((u64)(a) / (u32)(b))
#define div64_u64(a, b) ((u64)(a) / (u64)(b))

enum {
	EPERM = 1, ENOENT = 2, EINTR = 4, EIO = 5, ENXIO = 6, E2BIG = 7, EBADF = 9, EAGAIN = 11, ENOMEM = 12, EACCES = 13,
	EFAULT = 14, EBUSY = 16, EEXIST = 17, ENODEV = 19, EINVAL = 22, ENOSPC = 28, ERANGE = 34, ENODATA = 61, ETIME = 62,
	EPROTO = 71, EOVERFLOW = 75, EMSGSIZE = 90, EOPNOTSUPP = 95, EADDRNOTAVAIL = 99, ENETDOWN = 100, ENOBUFS = 105, ETIMEDOUT = 110, EINPROGRESS = 115,
	EREMOTEIO = 121, ERESTARTSYS = 512, ENOTSUPP = 524, EPROBE_DEFER = 517,
};
#define MAX_ERRNO 4095
#define IS_ERR_VALUE(x) unlikely((unsigned long)(void *)(x) >= (unsigned long)-MAX_ERRNO)
static inline void *ERR_PTR(long e) { return (void *)e; }
static inline long PTR_ERR(const void *p) { return (long)p; }
static inline bool IS_ERR(const void *p) { return IS_ERR_VALUE(p); }
static inline bool IS_ERR_OR_NULL(const void *p) { return !p || IS_ERR_VALUE(p); }
static inline void *ERR_CAST(const void *p) { return (void *)p; }
static inline int PTR_ERR_OR_ZERO(const void *p) { return IS_ERR(p) ? PTR_ERR(p) : 0; }

/* Messages, warnings. */
#define KERN_EMERG "<0>"
#define KERN_ERR "<3>"
#define KERN_WARNING "<4>"
#define KERN_NOTICE "<5>"
#define KERN_INFO "<6>"
#define KERN_DEBUG "<7>"
#define KERN_CONT ""
#ifndef pr_fmt
#define pr_fmt(fmt) fmt
#endif
int _printk(const char *fmt, ...) __printf(1, 2);
#define printk _printk
#define pr_err(fmt, a...) _printk("<3>" pr_fmt(fmt), ##a)
#define pr_warn(fmt, a...) _printk("<4>" pr_fmt(fmt), ##a)
#define pr_notice(fmt, a...) _printk("<5>" pr_fmt(fmt), ##a)
#define pr_info(fmt, a...) _printk("<6>" pr_fmt(fmt), ##a)
#define pr_debug(fmt, a...) do { if (0) _printk(pr_fmt(fmt), ##a); } while (0)
#define pr_err_once pr_err
#define pr_warn_once pr_warn
#define printk_ratelimit() 1
#define net_ratelimit() 1
int snprintf(char *to, size_t size, const char *fmt, ...) __printf(3, 4);
int scnprintf(char *to, size_t size, const char *fmt, ...) __printf(3, 4);
int sprintf(char *to, const char *fmt, ...) __printf(2, 3);

#define GD_HERE(kind, text) gd_host_finding(kind, text, 0, 0, 0)
#define BUG() do { GD_HERE(GD_BUG, "BUG"); gd_host_oops("BUG"); } while (0)
#define BUG_ON(c) do { if (unlikely(c)) { GD_HERE(GD_BUG, "BUG_ON(" #c ")"); gd_host_oops("BUG_ON"); } } while (0)
#define WARN_ON(c) ({ int _c = !!(c); if (unlikely(_c)) GD_HERE(GD_WARN, "WARN_ON(" #c ")"); unlikely(_c); })
#define WARN(c, fmt, a...) ({ int _c = !!(c); if (unlikely(_c)) { GD_HERE(GD_WARN, fmt); _printk("<4>" fmt, ##a); } unlikely(_c); })
#define WARN_ONCE(c, fmt, a...) WARN(c, fmt, ##a)
#define WARN_ON_ONCE(c) WARN_ON(c)

/* Memory and strings. */
void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strcpy(char *to, const char *from);
char *strncpy(char *to, const char *from, size_t n);
ssize_t strscpy(char *to, const char *from, size_t n);
char *strchr(const char *s, int c);
char *strstr(const char *s, const char *what);
#define strlcpy strscpy
static inline void memzero_explicit(void *p, size_t n) { memset(p, 0, n); }

/* Byte order: the CPU is little-endian. */
static inline u16 swab16(u16 x) { return __builtin_bswap16(x); }
static inline u32 swab32(u32 x) { return __builtin_bswap32(x); }
static inline u64 swab64(u64 x) { return __builtin_bswap64(x); }
#define cpu_to_le16(x) ((__le16)(x))
#define cpu_to_le32(x) ((__le32)(x))
#define cpu_to_le64(x) ((__le64)(x))
#define le16_to_cpu(x) ((u16)(x))
#define le32_to_cpu(x) ((u32)(x))
#define le64_to_cpu(x) ((u64)(x))
#define le16_to_cpup(p) (*(const u16 *)(p))
#define le32_to_cpup(p) (*(const u32 *)(p))
#define cpu_to_be16(x) swab16(x)
#define cpu_to_be32(x) swab32(x)
#define cpu_to_be64(x) swab64(x)
#define be16_to_cpu(x) swab16(x)
#define be32_to_cpu(x) swab32(x)
#define be64_to_cpu(x) swab64(x)
#define htons(x) swab16(x)
#define ntohs(x) swab16(x)
#define htonl(x) swab32(x)
#define ntohl(x) swab32(x)
#define get_unaligned(p) ({ struct { __typeof__(*(p)) v; } __packed *_p = (void *)(p); _p->v; })
#define put_unaligned(x, p) do { struct { __typeof__(*(p)) v; } __packed *_p = (void *)(p); _p->v = (x); } while (0)
#define get_unaligned_le16(p) get_unaligned((u16 *)(p))
#define get_unaligned_le32(p) get_unaligned((u32 *)(p))
#define put_unaligned_le16(x, p) put_unaligned((u16)(x), (u16 *)(p))
#define put_unaligned_le32(x, p) put_unaligned((u32)(x), (u32 *)(p))

/* Bits. */
#define BITS_TO_LONGS(n) DIV_ROUND_UP(n, 32)
#define DECLARE_BITMAP(name, n) unsigned long name[BITS_TO_LONGS(n)]
static inline void __set_bit(unsigned long n, volatile unsigned long *p) { p[n >> 5] |= BIT(n & 31); }
static inline void __clear_bit(unsigned long n, volatile unsigned long *p) { p[n >> 5] &= ~BIT(n & 31); }
static inline bool test_bit(unsigned long n, const volatile unsigned long *p) { return (p[n >> 5] >> (n & 31)) & 1; }
#define set_bit __set_bit
#define clear_bit __clear_bit
static inline bool test_and_set_bit(unsigned long n, volatile unsigned long *p)
{
	bool old = test_bit(n, p);

	set_bit(n, p);
	return old;
}
static inline bool test_and_clear_bit(unsigned long n, volatile unsigned long *p)
{
	bool old = test_bit(n, p);

	clear_bit(n, p);
	return old;
}
static inline unsigned long find_next_bit(const unsigned long *p, unsigned long n, unsigned long from)
{
	while (from < n && !test_bit(from, p))
		from++;
	return from < n ? from : n;
}
static inline unsigned long find_next_zero_bit(const unsigned long *p, unsigned long n, unsigned long from)
{
	while (from < n && test_bit(from, p))
		from++;
	return from < n ? from : n;
}
#define find_first_bit(p, n) find_next_bit(p, n, 0)
#define find_first_zero_bit(p, n) find_next_zero_bit(p, n, 0)
#define for_each_set_bit(i, p, n) for ((i) = find_first_bit(p, n); (i) < (n); (i) = find_next_bit(p, n, (i) + 1))
static inline void bitmap_zero(unsigned long *p, unsigned int n) { memset(p, 0, BITS_TO_LONGS(n) * 4); }
static inline int fls(unsigned int x) { return x ? 32 - __builtin_clz(x) : 0; }
static inline int fls64(u64 x) { return x ? 64 - __builtin_clzll(x) : 0; }
static inline int ffs(int x) { return __builtin_ffs(x); }
static inline unsigned long __ffs(unsigned long x) { return __builtin_ctzl(x); }
static inline unsigned int hweight32(u32 x) { return __builtin_popcount(x); }
#define hweight8(x) hweight32((u8)(x))
#define hweight16(x) hweight32((u16)(x))
#define ilog2(n) (fls64(n) - 1)
#define is_power_of_2(n) ((n) != 0 && (((n) & ((n) - 1)) == 0))
#define roundup_pow_of_two(n) (1UL << fls((n) - 1))
#define rounddown_pow_of_two(n) (1UL << (fls(n) - 1))
#define order_base_2(n) ((n) > 1 ? ilog2((n) - 1) + 1 : 0)

/* Atomics: nothing runs at the same time. */
typedef struct { int counter; } atomic_t;
typedef struct { s64 counter; } atomic64_t;
#define ATOMIC_INIT(i) { (i) }
#define atomic_read(v) READ_ONCE((v)->counter)
#define atomic_set(v, i) ((v)->counter = (i))
#define atomic_add(i, v) ((void)((v)->counter += (i)))
#define atomic_sub(i, v) ((void)((v)->counter -= (i)))
#define atomic_inc(v) ((void)(v)->counter++)
#define atomic_dec(v) ((void)(v)->counter--)
#define atomic_inc_return(v) (++(v)->counter)
#define atomic_dec_return(v) (--(v)->counter)
#define atomic_add_return(i, v) ((v)->counter += (i))
#define atomic_sub_return(i, v) ((v)->counter -= (i))
#define atomic_dec_and_test(v) (--(v)->counter == 0)
#define atomic_inc_and_test(v) (++(v)->counter == 0)
#define atomic_sub_and_test(i, v) (((v)->counter -= (i)) == 0)
#define atomic_xchg(v, n) xchg(&(v)->counter, n)
#define atomic64_read atomic_read
#define atomic64_set atomic_set
#define atomic64_inc atomic_inc
#define atomic64_add atomic_add
#define xchg(p, n) ({ __typeof__(*(p)) _old = *(p); *(p) = (n); _old; })
#define cmpxchg(p, o, n) ({ __typeof__(*(p)) _old = *(p); if (_old == (o)) *(p) = (n); _old; })
typedef struct { atomic_t refs; } refcount_t;
#define refcount_set(r, n) atomic_set(&(r)->refs, n)
#define refcount_read(r) atomic_read(&(r)->refs)
#define refcount_inc(r) atomic_inc(&(r)->refs)
#define refcount_dec_and_test(r) atomic_dec_and_test(&(r)->refs)
struct kref { refcount_t refcount; };
static inline void kref_init(struct kref *k) { refcount_set(&k->refcount, 1); }
static inline void kref_get(struct kref *k) { refcount_inc(&k->refcount); }
static inline int kref_put(struct kref *k, void (*release)(struct kref *))
{
	if (!refcount_dec_and_test(&k->refcount))
		return 0;
	release(k);
	return 1;
}

/* Lists. */
struct list_head { struct list_head *next, *prev; };
struct hlist_node { struct hlist_node *next, **pprev; };
struct hlist_head { struct hlist_node *first; };
#define LIST_HEAD_INIT(n) { &(n), &(n) }
#define LIST_HEAD(n) struct list_head n = LIST_HEAD_INIT(n)
static inline void INIT_LIST_HEAD(struct list_head *l) { l->next = l->prev = l; }
static inline void __list_link(struct list_head *n, struct list_head *prev, struct list_head *next)
{
	next->prev = n;
	n->next = next;
	n->prev = prev;
	prev->next = n;
}
static inline void list_add(struct list_head *n, struct list_head *head) { __list_link(n, head, head->next); }
static inline void list_add_tail(struct list_head *n, struct list_head *head) { __list_link(n, head->prev, head); }
static inline void __list_del_entry(struct list_head *e)
{
	e->next->prev = e->prev;
	e->prev->next = e->next;
}
static inline void list_del(struct list_head *e)
{
	__list_del_entry(e);
	e->next = (void *)0x100;
	e->prev = (void *)0x122;
}
static inline void list_del_init(struct list_head *e)
{
	__list_del_entry(e);
	INIT_LIST_HEAD(e);
}
static inline void list_move(struct list_head *e, struct list_head *head)
{
	__list_del_entry(e);
	list_add(e, head);
}
static inline void list_move_tail(struct list_head *e, struct list_head *head)
{
	__list_del_entry(e);
	list_add_tail(e, head);
}
static inline bool list_empty(const struct list_head *h) { return h->next == h; }
static inline bool list_is_last(const struct list_head *e, const struct list_head *h) { return e->next == h; }
static inline void list_splice_init(struct list_head *from, struct list_head *to)
{
	if (list_empty(from))
		return;
	from->next->prev = to;
	from->prev->next = to->next;
	to->next->prev = from->prev;
	to->next = from->next;
	INIT_LIST_HEAD(from);
}
static inline void list_splice_tail_init(struct list_head *from, struct list_head *to)
{
	list_splice_init(from, to->prev);
}
#define list_entry(p, t, m) container_of(p, t, m)
#define list_first_entry(h, t, m) list_entry((h)->next, t, m)
#define list_last_entry(h, t, m) list_entry((h)->prev, t, m)
#define list_first_entry_or_null(h, t, m) (list_empty(h) ? NULL : list_first_entry(h, t, m))
#define list_next_entry(p, m) list_entry((p)->m.next, __typeof__(*(p)), m)
#define list_for_each(p, h) for (p = (h)->next; p != (h); p = p->next)
#define list_for_each_safe(p, n, h) for (p = (h)->next, n = p->next; p != (h); p = n, n = p->next)
#define list_for_each_entry(p, h, m) \
	for (p = list_first_entry(h, __typeof__(*p), m); &p->m != (h); p = list_next_entry(p, m))
#define list_for_each_entry_reverse(p, h, m) \
	for (p = list_last_entry(h, __typeof__(*p), m); &p->m != (h); p = list_entry(p->m.prev, __typeof__(*p), m))
#define list_for_each_entry_safe(p, n, h, m) \
	for (p = list_first_entry(h, __typeof__(*p), m), n = list_next_entry(p, m); &p->m != (h); p = n, n = list_next_entry(n, m))

#endif
