// SPDX-License-Identifier: MIT
/* Contexts and locks: what must not sleep, and which spinlock was taken where. */
#include "runtime.h"

u32 gd_irqs_off, gd_in_irq, gd_spin_depth;

void gd_might_sleep(const char *what)
{
	if (gd_in_irq)
		gd_finding(GD_SLEEP, NULL, 0, NULL, "%s sleeps in an interrupt", what);
	else if (gd_spin_depth)
		gd_finding(GD_SLEEP, NULL, 0, NULL, "%s sleeps with a spinlock held", what);
	else if (gd_irqs_off)
		gd_finding(GD_SLEEP, NULL, 0, NULL, "%s sleeps with interrupts off", what);
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
