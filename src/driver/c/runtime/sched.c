// SPDX-License-Identifier: MIT
/*
 * Time and what runs in it. Nothing is preempted: when the driver waits or sleeps, or when a call of the scenario returns, what is
 * due runs: interrupts, NAPI, tasklets, timers, work, threads; then the clock moves to whatever is next.
 */
#include "runtime.h"

#ifndef GD_TREE
volatile unsigned long jiffies;
#endif
u32 gd_irqs_off, gd_in_irq, gd_spin_depth;
static u32 working;

void gd_time_passed(void)
{
	jiffies = (unsigned long)(gd_now() / 1000000ULL) + 1000;
}

void gd_might_sleep(const char *what)
{
	if (gd_in_irq)
		gd_finding(GD_SLEEP, NULL, 0, NULL, "%s sleeps in an interrupt", what);
	else if (gd_spin_depth)
		gd_finding(GD_SLEEP, NULL, 0, NULL, "%s sleeps with a spinlock held", what);
	else if (gd_irqs_off)
		gd_finding(GD_SLEEP, NULL, 0, NULL, "%s sleeps with interrupts off", what);
}

void gd_hang(const char *what)
{
	gd_finding(GD_HANG, NULL, 0, NULL, "%s: nothing will ever end it", what);
	gd_host_oops("hang");
}

/* Spinlocks: a word says where the lock was taken. */
static const struct gd_site *spin_taken;

static void lock_taken(const struct gd_site **held)
{
	if (*held) {
		gd_finding(GD_LOCK, held, 0, *held, "takes a spinlock that it holds: a deadlock");
		gd_host_oops("deadlock");
	}
	*held = spin_taken = gd_site_now();
	gd_spin_depth++;
}

static void lock_released(const struct gd_site **held)
{
	if (!*held) {
		gd_finding(GD_LOCK, held, 0, NULL, "releases a spinlock that is not held");
		return;
	}
	*held = NULL;
	gd_spin_depth--;
}

/* An entry of the driver has returned: nothing may be held. What is, is let go, so that it is told once. */
GD_EXPORT void gd_returned(void)
{
	if (gd_spin_depth)
		gd_finding(GD_LOCK, NULL, 0, spin_taken, "returns with a spinlock held");
	else if (gd_irqs_off)
		gd_finding(GD_LOCK, NULL, 0, NULL, "returns with interrupts off");
	gd_spin_depth = gd_irqs_off = 0;
}

#ifdef GD_TREE
#define HELD(lock) ((const struct gd_site **)&(lock)->owner)
void __raw_spin_lock_init(raw_spinlock_t *lock, const char *name, struct lock_class_key *key, short inner) { *HELD(lock) = NULL; }
static void raw_take(raw_spinlock_t *lock)
{
	if (lock->owner == SPINLOCK_OWNER_INIT)
		lock->owner = NULL;
	lock_taken(HELD(lock));
}
static void raw_release(raw_spinlock_t *lock)
{
	if (lock->owner == SPINLOCK_OWNER_INIT)
		lock->owner = NULL;
	lock_released(HELD(lock));
}
void _raw_spin_lock(raw_spinlock_t *lock) { raw_take(lock); }
void _raw_spin_lock_nested(raw_spinlock_t *lock, int subclass) { raw_take(lock); }
void _raw_spin_lock_bh(raw_spinlock_t *lock) { raw_take(lock); }
void _raw_spin_lock_irq(raw_spinlock_t *lock) { gd_irqs_off = 1; raw_take(lock); }
unsigned long _raw_spin_lock_irqsave(raw_spinlock_t *lock)
{
	unsigned long flags = gd_irqs_off;

	gd_irqs_off = 1;
	raw_take(lock);
	return flags;
}
int _raw_spin_trylock(raw_spinlock_t *lock)
{
	if (lock->owner && lock->owner != SPINLOCK_OWNER_INIT)
		return 0;
	raw_take(lock);
	return 1;
}
int _raw_spin_trylock_bh(raw_spinlock_t *lock) { return _raw_spin_trylock(lock); }
void _raw_spin_unlock(raw_spinlock_t *lock) { raw_release(lock); }
void _raw_spin_unlock_bh(raw_spinlock_t *lock) { raw_release(lock); }
void _raw_spin_unlock_irq(raw_spinlock_t *lock) { raw_release(lock); gd_irqs_off = 0; }
void _raw_spin_unlock_irqrestore(raw_spinlock_t *lock, unsigned long flags) { raw_release(lock); gd_irqs_off = flags; }
/* Locks of readers and writers check nothing. */
void __rwlock_init(rwlock_t *lock, const char *name, struct lock_class_key *key) { }
#define RW(kind) \
void _raw_##kind##_lock(rwlock_t *lock) { } \
void _raw_##kind##_lock_bh(rwlock_t *lock) { } \
void _raw_##kind##_lock_irq(rwlock_t *lock) { gd_irqs_off = 1; } \
unsigned long _raw_##kind##_lock_irqsave(rwlock_t *lock) { unsigned long flags = gd_irqs_off; gd_irqs_off = 1; return flags; } \
int _raw_##kind##_trylock(rwlock_t *lock) { return 1; } \
void _raw_##kind##_unlock(rwlock_t *lock) { } \
void _raw_##kind##_unlock_bh(rwlock_t *lock) { } \
void _raw_##kind##_unlock_irq(rwlock_t *lock) { gd_irqs_off = 0; } \
void _raw_##kind##_unlock_irqrestore(rwlock_t *lock, unsigned long flags) { gd_irqs_off = flags; }
RW(read)
RW(write)
#else
void gd_lock(spinlock_t *lock)
{
	lock_taken((const struct gd_site **)&lock->held);
}

void gd_unlock(spinlock_t *lock)
{
	lock_released((const struct gd_site **)&lock->held);
}

void mutex_lock(struct mutex *m)
{
	gd_might_sleep("mutex_lock");
	if (m->held) {
		gd_finding(GD_LOCK, m, 0, (const struct gd_site *)m->held, "takes a mutex that it holds: a deadlock");
		gd_host_oops("deadlock");
	}
	m->held = (u32)gd_site_now();
}

void mutex_unlock(struct mutex *m)
{
	if (!m->held)
		gd_finding(GD_LOCK, m, 0, NULL, "releases a mutex that is not held");
	m->held = 0;
}
#endif

/* ---- timers: a list in order of time, linked through entry.next; entry.pprev says that one is queued. ---- */
static struct timer_list *timers;

static struct timer_list *timer_next(struct timer_list *t)
{
	return (struct timer_list *)t->entry.next;
}

static bool timer_unlink(struct timer_list *t)
{
	struct timer_list **link = &timers;

	while (*link && *link != t)
		link = (struct timer_list **)&(*link)->entry.next;
	if (!*link)
		return false;
	*link = timer_next(t);
	t->entry.next = NULL;
	t->entry.pprev = NULL;
	return true;
}

int mod_timer(struct timer_list *t, unsigned long expires)
{
	struct timer_list **link = &timers;
	int was = timer_unlink(t);

	if (!t->function) {
		gd_finding(GD_MISUSE, t, 0, NULL, "starts a timer that was never set up");
		return was;
	}
	t->expires = expires;
	/* Where it was started: the flags are nobody's here. */
	t->flags = (u32)gd_site_now();
	while (*link && (long)((*link)->expires - expires) <= 0)
		link = (struct timer_list **)&(*link)->entry.next;
	t->entry.next = (struct hlist_node *)*link;
	t->entry.pprev = (struct hlist_node **)link;
	*link = t;
	return was;
}

void add_timer(struct timer_list *t)
{
	mod_timer(t, t->expires);
}

int timer_delete(struct timer_list *t)
{
	return timer_unlink(t);
}

#undef timer_shutdown_sync
int timer_delete_sync(struct timer_list *t)
{
	return timer_unlink(t);
}

int timer_shutdown_sync(struct timer_list *t)
{
	int was = timer_unlink(t);

	t->function = NULL;
	return was;
}

static bool timers_run(void)
{
	bool any = false;

	while (timers && (long)(jiffies - timers->expires) >= 0) {
		struct timer_list *t = timers;

		timer_unlink(t);
		any = true;
		gd_in_irq++;
		t->function(t);
		gd_in_irq--;
	}
	return any;
}

/* ---- work: one queue for all workqueues; bit 0 of data says that one is queued. ---- */
static struct list_head works;
struct workqueue_struct *system_wq;

static struct list_head *work_list(void)
{
	if (!works.next)
		works.next = works.prev = &works;
	return &works;
}

#define WORK_DATA(w) (*(unsigned long *)&(w)->data)

bool queue_work_on(int cpu, struct workqueue_struct *wq, struct work_struct *w)
{
	if (WORK_DATA(w) & 1)
		return false;
	if (!w->func) {
		gd_finding(GD_MISUSE, w, 0, NULL, "queues work that was never set up");
		return false;
	}
	WORK_DATA(w) = (u32)gd_site_now() | 1;
	list_add_tail(&w->entry, work_list());
	return true;
}

static bool work_unqueue(struct work_struct *w)
{
	struct list_head *e;

	list_for_each(e, work_list()) {
		if (e == &w->entry) {
			list_del_init(e);
			WORK_DATA(w) = 0;
			return true;
		}
	}
	return false;
}

static bool work_run_one(void)
{
	struct work_struct *w;

	if (list_empty(work_list()))
		return false;
	w = list_first_entry(work_list(), struct work_struct, entry);
	list_del_init(&w->entry);
	WORK_DATA(w) = 0;
	w->func(w);
	return true;
}

void gd_work_run(void)
{
	while (work_run_one())
		;
}

void delayed_work_timer_fn(struct timer_list *t)
{
	struct delayed_work *w = container_of(t, struct delayed_work, timer);

	WORK_DATA(&w->work) = 0;
	queue_work_on(0, NULL, &w->work);
}

bool queue_delayed_work_on(int cpu, struct workqueue_struct *wq, struct delayed_work *w, unsigned long delay)
{
	if (WORK_DATA(&w->work) & 1)
		return false;
	if (delay == 0)
		return queue_work_on(cpu, wq, &w->work);
	WORK_DATA(&w->work) = (u32)gd_site_now() | 1;
	w->timer.function = delayed_work_timer_fn;
	mod_timer(&w->timer, jiffies + delay);
	return true;
}

bool cancel_work_sync(struct work_struct *w)
{
	return work_unqueue(w);
}

bool cancel_delayed_work(struct delayed_work *w)
{
	bool was = timer_unlink(&w->timer);

	was |= work_unqueue(&w->work);
	WORK_DATA(&w->work) = 0;
	return was;
}

bool cancel_delayed_work_sync(struct delayed_work *w)
{
	return cancel_delayed_work(w);
}

bool mod_delayed_work_on(int cpu, struct workqueue_struct *wq, struct delayed_work *w, unsigned long delay)
{
	bool was = cancel_delayed_work(w);

	queue_delayed_work_on(cpu, wq, w, delay);
	return was;
}

bool flush_work(struct work_struct *w)
{
	bool was = WORK_DATA(w) & 1;

	gd_work_run();
	return was;
}

struct workqueue_struct *gd_workqueue(void)
{
	if (gd_fail(GD_FAULT_THREAD))
		return NULL;
	return gd_object_alloc(16, GD_KIND_CACHE, true);
}

#undef alloc_workqueue
struct workqueue_struct *alloc_workqueue(const char *fmt, unsigned int flags, int max, ...)
{
	return gd_workqueue();
}

void destroy_workqueue(struct workqueue_struct *wq)
{
	gd_work_run();
	gd_object_free(wq, GD_KIND_CACHE);
}

/* ---- tasklets ---- */
static struct tasklet_struct *tasklets;

void tasklet_setup(struct tasklet_struct *t, void (*callback)(struct tasklet_struct *))
{
	t->next = NULL;
	t->state = 0;
	atomic_set(&t->count, 0);
	t->callback = callback;
	t->use_callback = true;
	t->data = 0;
}

void __tasklet_schedule(struct tasklet_struct *t)
{
	struct tasklet_struct **link = &tasklets;

	t->state |= 1;
	while (*link && *link != t)
		link = &(*link)->next;
	if (!*link) {
		t->next = NULL;
		*link = t;
	}
}

void tasklet_kill(struct tasklet_struct *t)
{
	struct tasklet_struct **link = &tasklets;

	while (*link && *link != t)
		link = &(*link)->next;
	if (*link)
		*link = t->next;
	t->state &= ~1UL;
}

static bool tasklets_run(void)
{
	bool any = false;

	while (tasklets) {
		struct tasklet_struct *t = tasklets;

		tasklets = t->next;
		t->state &= ~1UL;
		any = true;
		gd_in_irq++;
		if (t->use_callback)
			t->callback(t);
		else
			t->func(t->data);
		gd_in_irq--;
	}
	return any;
}

/* ---- threads: each runs to its end when something waits, or when it is stopped. ---- */
struct gd_thread { struct gd_thread *next; int (*fn)(void *); void *data; int started, done, rc, stop; };
static struct gd_thread *threads, *running;

void *gd_thread_create(int (*fn)(void *), void *data)
{
	struct gd_thread *t;

	if (gd_fail(GD_FAULT_THREAD))
		return ERR_PTR(-ENOMEM);
	t = gd_object_alloc(sizeof(*t), GD_KIND_OWN, true);
	if (!t)
		return ERR_PTR(-ENOMEM);
	t->fn = fn;
	t->data = data;
	t->next = threads;
	threads = t;
	return t;
}

static void thread_run(struct gd_thread *t)
{
	struct gd_thread *before = running;

	t->started = 1;
	running = t;
	t->rc = t->fn(t->data);
	running = before;
	t->done = 1;
}

static bool threads_run(void)
{
	struct gd_thread *t;

	for (t = threads; t; t = t->next) {
		if (t->started)
			continue;
		thread_run(t);
		return true;
	}
	return false;
}

int kthread_stop(struct task_struct *task)
{
	struct gd_thread *t = (struct gd_thread *)task, **link = &threads;
	int rc;

	t->stop = 1;
	if (!t->started)
		thread_run(t);
	rc = t->rc;
	while (*link && *link != t)
		link = &(*link)->next;
	if (*link)
		*link = t->next;
	gd_object_free(t, GD_KIND_OWN);
	return rc;
}

/* A thread that asks is told to stop when somebody waits for its end; else nothing would ever end it. */
bool kthread_should_stop(void)
{
	return !running || running->stop;
}

#ifndef GD_TREE
struct task_struct *gd_kthread(int (*fn)(void *), void *data, const char *name)
{
	return gd_thread_create(fn, data);
}
#endif

/* ---- the loop ---- */
bool gd_run_pending(void)
{
	bool any = false;

	if (gd_in_irq || gd_irqs_off || gd_spin_depth)
		return false;
	gd_time_passed();
	any |= gd_irqs_run();
	any |= gd_napi_run();
	any |= tasklets_run();
	any |= timers_run();
	if (!working) {
		working = 1;
		any |= work_run_one();
		any |= threads_run();
		working = 0;
	}
	return any;
}

/* Runs what is due now, till nothing is. */
GD_EXPORT void gd_poll(void)
{
	u32 n = 0;

	while (gd_run_pending()) {
		if (++n > 5000) {
			gd_finding(GD_HANG, NULL, 0, NULL, "interrupts, timers or work go on for ever without time passing");
			gd_host_oops("livelock");
		}
	}
}

bool gd_wait_step(u64 deadline)
{
	u64 now = gd_now(), until = deadline;

	if (gd_run_pending())
		return true;
	if (now >= deadline)
		return false;
	if (timers) {
		u64 due = (u64)(timers->expires - 1000) * 1000000ULL;

		if (due > now && due < until)
			until = due;
		else if (due <= now)
			until = now + 1000000;
	}
	gd_host_advance((double)(until - now));
	gd_time_passed();
	return true;
}

/* Lets virtual time pass, for the scenario. */
GD_EXPORT void gd_pass(double ns)
{
	u64 until = gd_now() + (u64)ns;

	gd_poll();
	while (gd_wait_step(until))
		;
	gd_poll();
}

void gd_sleep(u64 ns)
{
	u64 until = gd_now() + ns;

	gd_might_sleep("a delay");
	while (gd_wait_step(until))
		;
}

/* A busy wait: the device goes on, nothing else does. */
void gd_busy(u64 ns)
{
	u64 until = gd_now() + ns;

	while (gd_now() < until)
		gd_host_advance((double)(until - gd_now()));
	gd_time_passed();
}

long schedule_timeout(long timeout)
{
	gd_sleep((u64)(unsigned long)timeout * 1000000ULL);
	return 0;
}

/* ---- completions ---- */
void complete(struct completion *c)
{
	if (c->done != UINT_MAX)
		c->done++;
}

void complete_all(struct completion *c)
{
	c->done = UINT_MAX;
}

static bool completion_take(struct completion *c, u64 ns)
{
	u64 until = gd_now() + ns;

	gd_might_sleep("wait_for_completion");
	while (!c->done && gd_wait_step(until))
		;
	if (!c->done)
		return false;
	if (c->done != UINT_MAX)
		c->done--;
	return true;
}

void wait_for_completion(struct completion *c)
{
	if (!completion_take(c, 3600000000000ULL))
		gd_hang("wait_for_completion");
}

unsigned long wait_for_completion_timeout(struct completion *c, unsigned long timeout)
{
	u64 from = gd_now();
	unsigned long passed;

	if (!completion_take(c, (u64)timeout * 1000000ULL))
		return 0;
	passed = (unsigned long)((gd_now() - from) / 1000000ULL);
	return passed < timeout ? timeout - passed : 1;
}

bool completion_done(struct completion *c)
{
	return c->done != 0;
}

/* Memory that is about to be freed must not hold a timer or work that would still run. */
void gd_sched_free(const void *at, u32 size)
{
	struct timer_list *t, *next;
	struct list_head *e, *n;

	for (t = timers; t; t = next) {
		next = timer_next(t);
		if ((char *)t - (char *)at >= 0 && (u32)((char *)t - (char *)at) < size) {
			gd_finding(GD_MISUSE, t, 0, (const struct gd_site *)t->flags, "frees memory with a timer in it that runs");
			timer_unlink(t);
		}
	}
	list_for_each_safe(e, n, work_list()) {
		struct work_struct *w = list_entry(e, struct work_struct, entry);

		if ((char *)w - (char *)at >= 0 && (u32)((char *)w - (char *)at) < size) {
			gd_finding(GD_MISUSE, w, 0, (const struct gd_site *)(WORK_DATA(w) & ~3UL), "frees memory with work in it that is queued");
			work_unqueue(w);
		}
	}
}

/* A driver that is gone must have none. */
void gd_leaks_sched(void)
{
	struct timer_list *t;
	struct list_head *e;
	struct gd_thread *thread;

	for (t = timers; t; t = timer_next(t))
		gd_finding(GD_LEAK, t, 0, (const struct gd_site *)t->flags, "leaves a timer running");
	list_for_each(e, work_list()) {
		struct work_struct *w = list_entry(e, struct work_struct, entry);

		gd_finding(GD_LEAK, e, 0, (const struct gd_site *)(WORK_DATA(w) & ~3UL), "leaves work queued");
	}
	for (thread = threads; thread; thread = thread->next)
		gd_finding(GD_LEAK, thread, 0, NULL, "leaves a thread");
}
