// SPDX-License-Identifier: MIT
/* Interrupts: a device's model raises a line; handlers run between the driver's calls. */
#include "runtime.h"

#define LINES 64

struct action {
	struct action *next;
	u32 irq;
	irq_handler_t handler, thread;
	void *dev;
	const struct gd_site *born;
};
static struct action *actions;
static u8 pending[LINES], disabled[LINES];

int request_threaded_irq(unsigned int irq, irq_handler_t handler, irq_handler_t thread, unsigned long flags, const char *name, void *dev)
{
	struct action *a;

	if (irq == 0 || irq >= LINES || (!handler && !thread))
		return -EINVAL;
	if (gd_fail(GD_FAULT_IRQ))
		return -EBUSY;
	a = gd_object_alloc(sizeof(*a), GD_KIND_OWN, true);
	if (!a)
		return -ENOMEM;
	a->irq = irq;
	a->handler = handler;
	a->thread = thread;
	a->dev = dev;
	a->born = gd_site_now();
	a->next = actions;
	actions = a;
	return 0;
}

const void *free_irq(unsigned int irq, void *dev)
{
	struct action **link = &actions, *a;

	gd_might_sleep("free_irq");
	while (*link && ((*link)->irq != irq || (*link)->dev != dev))
		link = &(*link)->next;
	a = *link;
	if (!a) {
		gd_finding(GD_MISUSE, NULL, 0, NULL, "frees irq %u, which it does not have", irq);
		return NULL;
	}
	*link = a->next;
	gd_object_free(a, GD_KIND_OWN);
	return NULL;
}

void disable_irq_nosync(unsigned int irq)
{
	if (irq < LINES)
		disabled[irq]++;
}

void disable_irq(unsigned int irq)
{
	disable_irq_nosync(irq);
}

void enable_irq(unsigned int irq)
{
	if (irq < LINES && disabled[irq])
		disabled[irq]--;
	else
		gd_finding(GD_MISUSE, NULL, 0, NULL, "enables irq %u, which is not disabled", irq);
}

void synchronize_irq(unsigned int irq)
{
}

/* The device's model: raises a line, or takes it back. */
GD_EXPORT void gd_irq_set(u32 irq, u32 level)
{
	if (irq < LINES)
		pending[irq] = level;
}

bool gd_irqs_run(void)
{
	bool any = false;
	u32 irq;

	for (irq = 0; irq < LINES; irq++) {
		struct action *a, *next;
		bool handled = false;

		if (!pending[irq] || disabled[irq])
			continue;
		pending[irq] = 0;
		any = true;
		for (a = actions; a; a = next) {
			irqreturn_t rc;

			next = a->next;
			if (a->irq != irq)
				continue;
			gd_in_irq++;
			rc = a->handler ? a->handler(irq, a->dev) : IRQ_WAKE_THREAD;
			gd_in_irq--;
			if (rc == IRQ_WAKE_THREAD && a->thread)
				a->thread(irq, a->dev);
			handled |= rc != IRQ_NONE;
		}
		(void)handled;
	}
	return any;
}

void gd_leaks_irq(void)
{
	struct action *a;

	for (a = actions; a; a = a->next)
		gd_finding(GD_LEAK, NULL, 0, a->born, "leaves irq %u requested", a->irq);
}
