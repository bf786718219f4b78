// SPDX-License-Identifier: MIT
/* What a driver puts off: timers and work. sched.c, which runs it, is included behind this file. */
#include "runtime.h"

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
void gd_leaks_work(void)
{
	struct timer_list *t;
	struct list_head *e;

	for (t = timers; t; t = timer_next(t))
		gd_finding(GD_LEAK, t, 0, (const struct gd_site *)t->flags, "leaves a timer running");
	list_for_each(e, work_list()) {
		struct work_struct *w = list_entry(e, struct work_struct, entry);

		gd_finding(GD_LEAK, e, 0, (const struct gd_site *)(WORK_DATA(w) & ~3UL), "leaves work queued");
	}
}
