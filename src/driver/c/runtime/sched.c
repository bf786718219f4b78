// SPDX-License-Identifier: MIT
/*
 * Time and what runs in it. Nothing is preempted: when the driver waits or sleeps, or when a call of the scenario returns, what is
 * due runs: interrupts, NAPI, tasklets, timers, work, threads; then the clock moves to whatever is next.
 */
#include "runtime.h"

#ifndef GD_TREE
volatile unsigned long jiffies;
#endif
static u32 working;

void gd_time_passed(void)
{
	jiffies = (unsigned long)(gd_now() / 1000000ULL) + 1000;
}

void gd_hang(const char *what)
{
	gd_finding(GD_HANG, NULL, 0, NULL, "%s: nothing will ever end it", what);
	gd_host_oops("hang");
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

/* A driver that is gone must have none. */
void gd_leaks_sched(void)
{
	struct gd_thread *thread;

	for (thread = threads; thread; thread = thread->next)
		gd_finding(GD_LEAK, thread, 0, NULL, "leaves a thread");
}
