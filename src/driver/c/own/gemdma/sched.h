/* SPDX-License-Identifier: MIT */
/* Locks, waiting, time, timers, work, threads, interrupts. Nothing runs at the same time: locks only check their own use. */
#ifndef GEMDMA_SCHED_H
#define GEMDMA_SCHED_H

#include <gemdma/base.h>

#define HZ 1000
extern volatile unsigned long jiffies;
typedef struct spinlock { unsigned int held; } spinlock_t, raw_spinlock_t, rwlock_t;
#define __SPIN_LOCK_UNLOCKED(n) { 0 }
#define DEFINE_SPINLOCK(n) spinlock_t n = { 0 }
#define spin_lock_init(l) ((l)->held = 0)
void gd_lock(spinlock_t *lock);
void gd_unlock(spinlock_t *lock);
#define spin_lock(l) gd_lock(l)
#define spin_unlock(l) gd_unlock(l)
#define spin_lock_bh(l) gd_lock(l)
#define spin_unlock_bh(l) gd_unlock(l)
#define spin_trylock(l) ((l)->held ? 0 : (gd_lock(l), 1))
extern unsigned int gd_irqs_off;
#define local_irq_save(f) ((f) = gd_irqs_off, gd_irqs_off = 1)
#define local_irq_restore(f) (gd_irqs_off = (f))
#define local_irq_disable() (gd_irqs_off = 1)
#define local_irq_enable() (gd_irqs_off = 0)
#define irqs_disabled() (gd_irqs_off != 0)
#define spin_lock_irq(l) (local_irq_disable(), gd_lock(l))
#define spin_unlock_irq(l) (gd_unlock(l), local_irq_enable())
#define spin_lock_irqsave(l, f) (local_irq_save(f), gd_lock(l))
#define spin_unlock_irqrestore(l, f) (gd_unlock(l), local_irq_restore(f))
#define spin_is_locked(l) ((l)->held != 0)
#define assert_spin_locked(l) WARN_ON(!(l)->held)
#define lockdep_assert_held(l) ((void)(l))
#define in_interrupt() (gd_in_irq != 0)
extern unsigned int gd_in_irq;
#define local_bh_disable() do { } while (0)
#define local_bh_enable() do { } while (0)
#define preempt_disable() do { } while (0)
#define preempt_enable() do { } while (0)
#define rcu_read_lock() do { } while (0)
#define rcu_read_unlock() do { } while (0)
#define synchronize_rcu() do { } while (0)
#define rcu_dereference(p) (p)
#define rcu_assign_pointer(p, v) ((p) = (v))
#define smp_processor_id() 0
#define num_online_cpus() 1
#define might_sleep() do { } while (0)
#define cond_resched() do { } while (0)

struct mutex { unsigned int held; };
#define DEFINE_MUTEX(n) struct mutex n = { 0 }
#define mutex_init(m) ((m)->held = 0)
#define mutex_destroy(m) ((void)(m))
void mutex_lock(struct mutex *m);
void mutex_unlock(struct mutex *m);
#define mutex_lock_interruptible(m) (mutex_lock(m), 0)
#define mutex_trylock(m) ((m)->held ? 0 : (mutex_lock(m), 1))
#define mutex_is_locked(m) ((m)->held != 0)
struct rw_semaphore { unsigned int held; };
#define init_rwsem(s) ((s)->held = 0)
#define down_read(s) mutex_lock((struct mutex *)(s))
#define up_read(s) mutex_unlock((struct mutex *)(s))
#define down_write down_read
#define up_write up_read

/* Time. */
#define NSEC_PER_USEC 1000L
#define NSEC_PER_MSEC 1000000L
#define NSEC_PER_SEC 1000000000L
#define MAX_SCHEDULE_TIMEOUT 0x7fffffffL
#define time_after(a, b) ((long)((b) - (a)) < 0)
#define time_before(a, b) time_after(b, a)
#define time_after_eq(a, b) ((long)((a) - (b)) >= 0)
#define time_before_eq(a, b) time_after_eq(b, a)
#define time_is_before_jiffies(a) time_after(jiffies, a)
#define msecs_to_jiffies(m) ((unsigned long)(m))
#define jiffies_to_msecs(j) ((unsigned int)(j))
#define usecs_to_jiffies(u) DIV_ROUND_UP((unsigned long)(u), 1000)
#define round_jiffies(j) (j)
#define round_jiffies_relative(j) (j)
static inline ktime_t ktime_get(void) { return gd_now(); }
#define ktime_get_ns() gd_now()
#define ktime_to_ns(t) (t)
#define ktime_to_us(t) ((t) / 1000)
#define ktime_sub(a, b) ((a) - (b))
#define ktime_add_us(t, u) ((t) + (u) * 1000ULL)
#define ktime_compare(a, b) ((a) < (b) ? -1 : (a) > (b))
void gd_sleep(u64 ns);
void gd_busy(u64 ns);
static inline void msleep(unsigned int ms) { gd_sleep(ms * 1000000ULL); }
static inline void ssleep(unsigned int s) { gd_sleep(s * 1000000000ULL); }
static inline void usleep_range(unsigned long lo, unsigned long hi) { gd_sleep(lo * 1000ULL); }
#define fsleep(us) usleep_range(us, us)
static inline unsigned long msleep_interruptible(unsigned int ms) { msleep(ms); return 0; }
static inline void udelay(unsigned long us) { gd_busy(us * 1000ULL); }
static inline void ndelay(unsigned long ns) { gd_busy(ns); }
static inline void mdelay(unsigned long ms) { gd_busy(ms * 1000000ULL); }
long schedule_timeout(long timeout);
#define schedule_timeout_uninterruptible schedule_timeout
#define schedule_timeout_interruptible schedule_timeout
#define readx_poll_timeout(op, addr, val, cond, sleep_us, timeout_us) ({ \
	u64 _end = gd_now() + (u64)(timeout_us) * 1000; \
	for (;;) { \
		(val) = op(addr); \
		if ((cond) || gd_now() > _end) break; \
		gd_busy((sleep_us) ? (sleep_us) * 1000ULL : 1000ULL); \
	} \
	(cond) ? 0 : -ETIMEDOUT; })
#define readl_poll_timeout(a, v, c, s, t) readx_poll_timeout(readl, a, v, c, s, t)
#define readl_poll_timeout_atomic(a, v, c, s, t) readx_poll_timeout(readl, a, v, c, s, t)

/* Waiting. */
typedef struct wait_queue_head { struct list_head head; } wait_queue_head_t;
#define DECLARE_WAIT_QUEUE_HEAD(n) wait_queue_head_t n = { LIST_HEAD_INIT(n.head) }
#define init_waitqueue_head(w) INIT_LIST_HEAD(&(w)->head)
#define wake_up(w) ((void)(w))
#define wake_up_all(w) ((void)(w))
#define wake_up_interruptible(w) ((void)(w))
/* Lets time pass to the next thing that happens; false when nothing will before the deadline. */
bool gd_wait_step(u64 deadline);
#define GD_WAIT(cond, ns) ({ u64 _until = gd_now() + (ns); bool _ok; \
	while (!(_ok = !!(cond)) && gd_wait_step(_until)) \
		; \
	_ok || (cond); })
#define GD_FOREVER 3600000000000ULL
#define wait_event(w, c) do { if (!GD_WAIT(c, GD_FOREVER)) gd_hang("wait_event(" #c ")"); } while (0)
#define wait_event_interruptible(w, c) ({ wait_event(w, c); 0; })
#define wait_event_timeout(w, c, t) ({ long _t = (t); u64 _from = gd_now(); \
	GD_WAIT(c, (u64)_t * 1000000ULL) ? max_t(long, 1, _t - (long)((gd_now() - _from) / 1000000)) : 0L; })
#define wait_event_interruptible_timeout wait_event_timeout
void gd_hang(const char *what);
struct completion { unsigned int done; wait_queue_head_t wait; };
#define DECLARE_COMPLETION_ONSTACK(n) struct completion n = { 0 }
#define DECLARE_COMPLETION(n) struct completion n = { 0 }
static inline void init_completion(struct completion *c) { c->done = 0; }
static inline void reinit_completion(struct completion *c) { c->done = 0; }
void complete(struct completion *c);
void complete_all(struct completion *c);
void wait_for_completion(struct completion *c);
unsigned long wait_for_completion_timeout(struct completion *c, unsigned long timeout);
#define wait_for_completion_interruptible(c) (wait_for_completion(c), 0)
#define wait_for_completion_interruptible_timeout(c, t) ((long)wait_for_completion_timeout(c, t))
bool completion_done(struct completion *c);

/* Timers and work. The first two members of a timer are the tree's. */
struct timer_list {
	struct hlist_node entry;
	unsigned long expires;
	void (*function)(struct timer_list *);
	u32 flags;
};
#define from_timer(v, t, m) container_of(t, __typeof__(*v), m)
#define timer_setup(t, f, fl) gd_timer_setup(t, f)
static inline void gd_timer_setup(struct timer_list *t, void (*f)(struct timer_list *))
{
	memset(t, 0, sizeof(*t));
	t->function = f;
}
int mod_timer(struct timer_list *t, unsigned long expires);
void add_timer(struct timer_list *t);
int timer_delete(struct timer_list *t);
int timer_delete_sync(struct timer_list *t);
#define del_timer timer_delete
#define del_timer_sync timer_delete_sync
int timer_shutdown_sync(struct timer_list *t);
static inline int timer_pending(const struct timer_list *t) { return t->entry.pprev != 0; }
struct work_struct;
typedef void (*work_func_t)(struct work_struct *);
struct work_struct { unsigned long data; struct list_head entry; work_func_t func; };
struct workqueue_struct;
struct delayed_work { struct work_struct work; struct timer_list timer; struct workqueue_struct *wq; int cpu; };
#define INIT_WORK(w, f) gd_work_init(w, f)
static inline void gd_work_init(struct work_struct *w, work_func_t f)
{
	w->data = 0;
	INIT_LIST_HEAD(&w->entry);
	w->func = f;
}
void delayed_work_timer_fn(struct timer_list *t);
#define INIT_DELAYED_WORK(w, f) (gd_work_init(&(w)->work, f), gd_timer_setup(&(w)->timer, delayed_work_timer_fn))
#define to_delayed_work(w) container_of(w, struct delayed_work, work)
extern struct workqueue_struct *system_wq;
#define system_long_wq system_wq
#define system_highpri_wq system_wq
bool queue_work_on(int cpu, struct workqueue_struct *wq, struct work_struct *w);
bool queue_delayed_work_on(int cpu, struct workqueue_struct *wq, struct delayed_work *w, unsigned long delay);
bool mod_delayed_work_on(int cpu, struct workqueue_struct *wq, struct delayed_work *w, unsigned long delay);
#define queue_work(q, w) queue_work_on(0, q, w)
#define schedule_work(w) queue_work_on(0, system_wq, w)
#define queue_delayed_work(q, w, d) queue_delayed_work_on(0, q, w, d)
#define schedule_delayed_work(w, d) queue_delayed_work_on(0, system_wq, w, d)
#define mod_delayed_work(q, w, d) mod_delayed_work_on(0, q, w, d)
bool cancel_work_sync(struct work_struct *w);
bool cancel_delayed_work(struct delayed_work *w);
bool cancel_delayed_work_sync(struct delayed_work *w);
bool flush_work(struct work_struct *w);
void gd_work_run(void);
#define flush_delayed_work(w) flush_work(&(w)->work)
#define flush_scheduled_work() gd_work_run()
#define flush_workqueue(q) gd_work_run()
#define work_pending(w) ((w)->data & 1)
#define delayed_work_pending(w) work_pending(&(w)->work)
struct workqueue_struct *alloc_workqueue(const char *fmt, unsigned int flags, int max, ...);
#define alloc_ordered_workqueue(fmt, flags, a...) alloc_workqueue(fmt, flags, 1, ##a)
#define create_singlethread_workqueue(n) alloc_workqueue(n, 0, 1)
void destroy_workqueue(struct workqueue_struct *wq);
#define WQ_UNBOUND 2
#define WQ_HIGHPRI 16
#define WQ_MEM_RECLAIM 8
struct tasklet_struct {
	struct tasklet_struct *next;
	unsigned long state;
	atomic_t count;
	bool use_callback;
	union { void (*func)(unsigned long); void (*callback)(struct tasklet_struct *); };
	unsigned long data;
};
void tasklet_setup(struct tasklet_struct *t, void (*callback)(struct tasklet_struct *));
void __tasklet_schedule(struct tasklet_struct *t);
void tasklet_kill(struct tasklet_struct *t);
#define tasklet_schedule(t) __tasklet_schedule(t)
#define from_tasklet(v, t, m) container_of(t, __typeof__(*v), m)
#define tasklet_disable(t) ((void)(t))
#define tasklet_enable(t) ((void)(t))

/* Threads run to completion when something waits, or when they are stopped. */
struct task_struct { char comm[16]; };
struct task_struct *gd_kthread(int (*fn)(void *), void *data, const char *name);
#define kthread_run(fn, data, name, a...) gd_kthread(fn, data, name)
#define kthread_create kthread_run
#define wake_up_process(t) ((void)(t), 1)
int kthread_stop(struct task_struct *t);
bool kthread_should_stop(void);
#define set_current_state(s) do { } while (0)
#define __set_current_state(s) do { } while (0)
#define signal_pending(t) 0
#define current ((struct task_struct *)0)

/* Interrupts. */
#define IRQ_NONE 0u
#define IRQ_HANDLED 1u
#define IRQ_WAKE_THREAD 2u
#define IRQ_RETVAL(x) ((x) ? IRQ_HANDLED : IRQ_NONE)
#define IRQF_SHARED 0x80
#define IRQF_ONESHOT 0x2000
#define IRQF_TRIGGER_HIGH 4
typedef irqreturn_t (*irq_handler_t)(int, void *);
int request_threaded_irq(unsigned int irq, irq_handler_t handler, irq_handler_t thread, unsigned long flags, const char *name, void *dev);
static inline int gd_request_irq(unsigned int irq, irq_handler_t handler, unsigned long flags, const char *name, void *dev)
{
	return request_threaded_irq(irq, handler, NULL, flags, name, dev);
}
#define request_irq(i, h, f, n, d) gd_request_irq(i, h, f, n, d)
const void *free_irq(unsigned int irq, void *dev);
void disable_irq(unsigned int irq);
void disable_irq_nosync(unsigned int irq);
void enable_irq(unsigned int irq);
void synchronize_irq(unsigned int irq);

#endif
