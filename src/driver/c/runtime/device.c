// SPDX-License-Identifier: MIT
/* Managed resources, and messages of devices. */
#include "runtime.h"

struct resource_head {
	struct list_head node;
	dr_release_t release;
	u32 size;
	u64 data[];
};

#define HEAD(p) container_of((u64 *)(p), struct resource_head, data[0])

static struct list_head *list_of(struct device *d)
{
	if (!d->devres_head.next)
		INIT_LIST_HEAD(&d->devres_head);
	return &d->devres_head;
}

void *gd_devres_alloc(dr_release_t release, size_t size, gfp_t gfp)
{
	struct resource_head *r;

	if (gd_fail(GD_FAULT_KMALLOC))
		return NULL;
	r = gd_object_alloc(sizeof(*r) + size, GD_KIND_DEVRES, true);
	if (!r)
		return NULL;
	r->release = release;
	r->size = size;
	INIT_LIST_HEAD(&r->node);
	/* The head is the runtime's. */
	gd_poison(r, sizeof(*r) & ~7, GD_REDZONE);
	return r->data;
}

void devres_add(struct device *d, void *res)
{
	list_add_tail(&HEAD(res)->node, list_of(d));
}

void devres_free(void *res)
{
	if (res)
		gd_object_free(HEAD(res), GD_KIND_DEVRES);
}

int devres_release_all(struct device *d)
{
	int n = 0;

	while (!list_empty(list_of(d))) {
		struct resource_head *r = list_last_entry(list_of(d), struct resource_head, node);

		list_del_init(&r->node);
		if (r->release)
			r->release(d, r->data);
		gd_object_free(r, GD_KIND_DEVRES);
		n++;
	}
	return n;
}

static void nothing(struct device *d, void *res)
{
}

void *devm_kmalloc(struct device *d, size_t size, gfp_t gfp)
{
	void *res = gd_devres_alloc(nothing, size, gfp);

	if (res)
		devres_add(d, res);
	return res;
}

void devm_kfree(struct device *d, const void *at)
{
	if (!at)
		return;
	list_del_init(&HEAD(at)->node);
	devres_free((void *)at);
}

struct action_res { void (*action)(void *); void *data; };

static void action_release(struct device *d, void *res)
{
	struct action_res *a = res;

	a->action(a->data);
}

int __devm_add_action(struct device *d, void (*action)(void *), void *data, const char *name)
{
	struct action_res *a = gd_devres_alloc(action_release, sizeof(*a), GFP_KERNEL);

	if (!a)
		return -ENOMEM;
	a->action = action;
	a->data = data;
	devres_add(d, a);
	return 0;
}

struct irq_res { u32 irq; void *dev; };

static void irq_release(struct device *d, void *res)
{
	struct irq_res *r = res;

	free_irq(r->irq, r->dev);
}

int devm_request_threaded_irq(struct device *d, unsigned int irq, irq_handler_t handler, irq_handler_t thread, unsigned long flags,
			      const char *name, void *dev)
{
	struct irq_res *r = gd_devres_alloc(irq_release, sizeof(*r), GFP_KERNEL);
	int rc;

	if (!r)
		return -ENOMEM;
	rc = request_threaded_irq(irq, handler, thread, flags, name, dev);
	if (rc) {
		devres_free(r);
		return rc;
	}
	r->irq = irq;
	r->dev = dev;
	devres_add(d, r);
	return 0;
}

void devm_free_irq(struct device *d, unsigned int irq, void *dev)
{
	struct list_head *e;

	list_for_each(e, list_of(d)) {
		struct resource_head *r = list_entry(e, struct resource_head, node);
		struct irq_res *i = (void *)r->data;

		if (r->release != irq_release || i->irq != irq || i->dev != dev)
			continue;
		list_del_init(e);
		irq_release(d, i);
		gd_object_free(r, GD_KIND_DEVRES);
		return;
	}
}

#ifndef GD_TREE
const char *dev_driver_string(const struct device *d)
{
	return d->driver ? d->driver->name : "";
}

void gd_dev_printk(const char *level, const struct device *d, const char *fmt, ...)
{
	__builtin_va_list args;

	__builtin_va_start(args, fmt);
	gd_host_printk(fmt, (void *)args, d ? dev_name(d) : "");
	__builtin_va_end(args);
}
#endif
