/*
 * What the kernel's allocators need of the rest of the kernel, for one thread of a user program: our own words, as
 * little and as fast as can be, so that the comparison is with the allocator and with nothing around it. Locks are
 * nothing (there is one thread), records come off free lists, a per-CPU variable is a variable.
 */
#ifndef PEER_KERNEL_H
#define PEER_KERNEL_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;
typedef u64 dma_addr_t;
typedef u64 phys_addr_t;
typedef unsigned int gfp_t;

#define __must_check
#define __init
#define __exit
#define __percpu
#define __always_inline inline __attribute__((always_inline))
#define __maybe_unused __attribute__((unused))
#define ____cacheline_aligned __attribute__((aligned(64)))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define barrier() __asm__ volatile("" ::: "memory")
#define READ_ONCE(x) (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile __typeof__(x) *)&(x) = (value))
#define rcu_assign_pointer(p, value) WRITE_ONCE(p, value)
#define rcu_dereference_raw(p) READ_ONCE(p)
#ifndef ULLONG_MAX
#define ULLONG_MAX (~0ull)
#endif

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define swap(a, b)                                                                                                     \
	do {                                                                                                           \
		__typeof__(a) swapped = (a);                                                                           \
		(a) = (b);                                                                                             \
		(b) = swapped;                                                                                         \
	} while (0)

#ifndef static_assert
#define static_assert _Static_assert
#endif
#define BUG() abort()
#define BUG_ON(x)                                                                                                      \
	do {                                                                                                           \
		if (unlikely(x))                                                                                       \
			abort();                                                                                       \
	} while (0)
#define BUILD_BUG_ON_INVALID(x) ((void)sizeof(x))
#define WARN_ON(x) unlikely(!!(x))
#define WARN(x, ...) unlikely(!!(x))
#define WARN_ON_ONCE(x) unlikely(!!(x))
#define pr_err(...) ((void)0)
#define pr_warn(...) ((void)0)
#define EXPORT_SYMBOL(x)
#define EXPORT_SYMBOL_GPL(x)
#define MODULE_AUTHOR(x)
#define MODULE_DESCRIPTION(x)
#define MODULE_LICENSE(x)
#define IS_ENABLED(x) 0 /* debugging aids */
#define IS_REACHABLE(x) 1 /* the allocator itself */
#define ERR_PTR(x) ((void *)(long)(x))

/* bits */
#define BITS_PER_LONG 64
#define BIT(n) (1ul << (n))
#define U64_MAX UINT64_MAX
static inline unsigned long __ffs(unsigned long x) { return __builtin_ctzl(x); }
static inline int fls_long(unsigned long x) { return x ? 64 - __builtin_clzl(x) : 0; }
static inline bool is_power_of_2(unsigned long x) { return x && !(x & (x - 1)); }
static inline int order_base_2(unsigned long x) { return x > 1 ? fls_long(x - 1) : 0; }
static inline unsigned long roundup_pow_of_two(unsigned long x) { return 1ul << order_base_2(x); }
#define PAGE_SIZE 4096ul
#define PAGE_SHIFT 12

/* locks */
typedef struct { char nothing; } spinlock_t;
struct mutex { char nothing; };
#define DEFINE_MUTEX(name) struct mutex name
#define mutex_lock(x) ((void)(x))
#define mutex_unlock(x) ((void)(x))
#define spin_lock_init(x) ((void)(x))
#define spin_lock(x) ((void)(x))
#define spin_unlock(x) ((void)(x))
#define spin_lock_irqsave(x, flags) ((void)(x), (void)((flags) = 0))
#define spin_unlock_irqrestore(x, flags) ((void)(x), (void)(flags))
#define assert_spin_locked(x) ((void)(x))

/* memory: a free list a cache, refilled in blocks */
#define GFP_KERNEL 0u
#define GFP_ATOMIC 0u
#define __GFP_NOWARN 0u
#define SLAB_HWCACHE_ALIGN 0u
struct kmem_cache {
	void *free;
	size_t size;
};
static inline struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align, unsigned int flags,
						   void (*constructor)(void *))
{
	struct kmem_cache *cache = calloc(1, sizeof(*cache));
	cache->size = (size + 15) & ~(size_t)15;
	return cache;
}
static __attribute__((noinline)) void kmem_cache_refill(struct kmem_cache *cache)
{
	const size_t n = 256;
	char *block = aligned_alloc(64, (cache->size * n + 63) & ~(size_t)63);
	for (size_t i = n; i-- > 0;) {
		*(void **)(block + i * cache->size) = cache->free;
		cache->free = block + i * cache->size;
	}
}
static inline void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t flags)
{
	if (unlikely(!cache->free))
		kmem_cache_refill(cache);
	void *object = cache->free;
	cache->free = *(void **)object;
	return object;
}
static inline void *kmem_cache_zalloc(struct kmem_cache *cache, gfp_t flags)
{
	return memset(kmem_cache_alloc(cache, flags), 0, cache->size);
}
static inline void kmem_cache_free(struct kmem_cache *cache, void *object)
{
	*(void **)object = cache->free;
	cache->free = object;
}
#define kmem_cache_destroy(cache) ((void)(cache))
#define kcalloc(n, size, flags) calloc(n, size)
#define kmalloc(size, flags) malloc(size)
#define kzalloc(size, flags) calloc(1, size)
#define kfree(object) free((void *)(object))
#define kmemleak_transient_leak(object) ((void)(object))

/* CPUs: one */
#define for_each_possible_cpu(cpu) for ((cpu) = 0; (cpu) < 1; (cpu)++)
#define for_each_online_cpu(cpu) for_each_possible_cpu(cpu)
#define num_online_cpus() 1u
#define cache_line_size() 64
#define __alloc_percpu(size, align) calloc(1, size)
#define free_percpu(object) free(object)
#define raw_cpu_ptr(object) (object)
#define per_cpu_ptr(object, cpu) (object)
struct hlist_node { struct hlist_node *next, **pprev; };
#define hlist_entry_safe(pointer, type, member) ((pointer) ? container_of(pointer, type, member) : NULL)
#define CPUHP_IOMMU_IOVA_DEAD 0
#define cpuhp_setup_state_multi(state, name, up, down) ((void)(down), 0)
#define cpuhp_remove_multi_state(state) ((void)0)
#define cpuhp_state_add_instance_nocalls(state, node) ((void)(node), 0)
#define cpuhp_state_remove_instance_nocalls(state, node) ((void)(node), 0)

/* lists, for files that bring the kernel's own list.h */
struct list_head { struct list_head *next, *prev; };
struct hlist_head { struct hlist_node *first; };
#define LIST_POISON1 NULL
#define LIST_POISON2 NULL
#define smp_load_acquire(x) READ_ONCE(*(x))
#define smp_store_release(x, value) WRITE_ONCE(*(x), value)

/* single bits and long division */
static inline bool test_bit(int bit, const unsigned long *word) { return *word >> bit & 1; }
static inline void __set_bit(int bit, unsigned long *word) { *word |= 1ul << bit; }
static inline void __clear_bit(int bit, unsigned long *word) { *word &= ~(1ul << bit); }
#define clear_bit_unlock(bit, word) __clear_bit(bit, word)
static inline u64 div64_u64_rem(u64 dividend, u64 divisor, u64 *rest)
{
	*rest = dividend % divisor;
	return dividend / divisor;
}

/* printing is for nobody here */
struct drm_printer;
#define drm_printf(printer, ...) ((void)(printer))

/* deferred work never comes */
struct work_struct { char nothing; };
struct delayed_work { struct work_struct work; };
#define INIT_DELAYED_WORK(work, function) ((void)(work), (void)(function))
#define schedule_delayed_work(work, delay) ((void)(work), (void)(delay))
#define cancel_delayed_work_sync(work) ((void)(work))
#define msecs_to_jiffies(x) (x)

#endif
