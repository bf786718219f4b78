// SPDX-License-Identifier: MIT
/*
 * PCI and platform devices. The host makes one device with its resources; a driver that registers gets it. Registers are
 * addresses that no memory has: 0xf0000000 + resource << 20 for those that ioremap gives.
 */
#include "runtime.h"

#define MMIO_BASE 0xf0000000u
#define MMIO_SHIFT 20

int gd_alloc_vectors(struct pci_dev *p);

struct gd_device {
	u32 kind; /* 1 PCI, 2 platform */
	struct pci_dev pci;
	struct platform_device platform;
	struct resource resources[8];
	u32 bars;
	struct pci_driver *pci_driver;
	struct platform_driver *platform_driver;
	u32 bound;
	struct device_dma_parameters parms;
	u64 mask;
	/* What was taken and not given back. */
	int enabled, regions, vectors, managed;
	const struct gd_site *enabled_at, *regions_at, *vectors_at;
	u32 mapped[16];
	const struct gd_site *mapped_at[16];
	void *tables[6];
	char name[32];
	struct device bus_bridge;
};

static struct gd_device *self;
static struct pci_driver *pci_drivers;

/* Whether the driver has mapped a region of registers. */
GD_EXPORT u32 gd_region_mapped(u32 n) { return self->mapped[n]; }

GD_EXPORT struct device *gd_device(void)
{
	return self->kind == 1 ? &self->pci.dev : &self->platform.dev;
}

/* Makes the device: ids of PCI, its requester id's devfn, its irq, and the core's handle of it. */
GD_EXPORT void gd_device_create(u32 kind, u32 handle, u32 ids, u32 subsystem, u32 class_revision, u32 devfn, u32 irq, const char *name)
{
	struct device *d;
	u32 i;

	self = gd_object_alloc(sizeof(*self), GD_KIND_OWN, true);
	self->kind = kind;
	d = gd_device();
	for (i = 0; i < sizeof(self->name) - 1 && name[i]; i++)
		self->name[i] = name[i];
	d->init_name = self->name;
	d->archdata.gd_handle = handle;
	d->coherent_dma_mask = 0xffffffffULL;
	d->dma_parms = &self->parms;
	self->mask = 0xffffffffULL;
	self->bus_bridge.init_name = "pci0000:00";
	d->parent = &self->bus_bridge;
	INIT_LIST_HEAD(&d->devres_head);
	if (kind == 1) {
		struct pci_dev *p = &self->pci;

		p->vendor = ids >> 16;
		p->device = ids & 0xffff;
		p->subsystem_vendor = subsystem >> 16;
		p->subsystem_device = subsystem & 0xffff;
		p->revision = class_revision & 0xff;
		p->devfn = devfn;
		p->irq = irq;
#ifdef GD_TREE
		p->pm_cap = pci_find_capability(p, PCI_CAP_ID_PM);
#endif
		p->dma_mask = self->mask;
		d->dma_mask = &p->dma_mask;
	} else {
		self->platform.name = self->name;
		self->platform.id = -1;
		d->dma_mask = &self->mask;
	}
}

/* One resource: PCI bar n, or the next of a platform device. */
GD_EXPORT void gd_device_resource(u32 n, u32 size, u32 flags)
{
	struct resource *r = self->kind == 1 ? &self->pci.resource[n] : &self->resources[self->platform.num_resources];

	r->start = flags == IORESOURCE_IRQ ? n : MMIO_BASE + (n << MMIO_SHIFT);
	r->end = flags == IORESOURCE_IRQ ? n : r->start + size - 1;
	r->flags = flags;
	if (self->kind == 2) {
		self->platform.num_resources++;
		self->platform.resource = self->resources;
	}
	self->bars++;
}

static const struct pci_device_id *match(const struct pci_driver *drv)
{
	const struct pci_device_id *id = drv->id_table;
	struct pci_dev *p = &self->pci;

	for (; id && (id->vendor || id->subvendor || id->class_mask); id++) {
		if ((id->vendor == PCI_ANY_ID || id->vendor == p->vendor) && (id->device == PCI_ANY_ID || id->device == p->device) &&
		    (id->subvendor == PCI_ANY_ID || id->subvendor == p->subsystem_vendor) &&
		    (id->subdevice == PCI_ANY_ID || id->subdevice == p->subsystem_device))
			return id;
	}
	return NULL;
}

/* Probes the device with the driver that registered. Returns what probe did, -ENODEV without a driver for it. */
GD_EXPORT int gd_probe(void)
{
	struct device *d = gd_device();
	int rc;

	if (self->kind == 1) {
		struct pci_driver *drv = pci_drivers;
		const struct pci_device_id *id = drv ? match(drv) : NULL;

		if (!id)
			return -ENODEV;
		self->pci.driver = drv;
		d->driver = &drv->driver;
		rc = drv->probe(&self->pci, id);
	} else {
		if (!self->platform_driver)
			return -ENODEV;
		d->driver = &self->platform_driver->driver;
		rc = self->platform_driver->probe(&self->platform);
	}
	self->bound = rc == 0;
	if (rc) {
		devres_release_all(d);
		d->driver_data = NULL;
	}
	return rc;
}

GD_EXPORT int gd_remove(void)
{
	struct device *d = gd_device();

	if (!self->bound)
		return -ENODEV;
	self->bound = 0;
	if (self->kind == 1) {
		if (self->pci.driver->remove)
			self->pci.driver->remove(&self->pci);
		self->pci.driver = NULL;
	} else if (self->platform_driver->remove)
		self->platform_driver->remove(&self->platform);
	devres_release_all(d);
	d->driver_data = NULL;
	return 0;
}

GD_EXPORT void gd_shutdown(void)
{
	if (self->bound && self->kind == 1 && self->pci.driver->shutdown)
		self->pci.driver->shutdown(&self->pci);
}

static const struct dev_pm_ops *pm_ops(void)
{
	return self->bound ? gd_device()->driver->pm : NULL;
}

GD_EXPORT int gd_suspend(void)
{
	const struct dev_pm_ops *ops = pm_ops();

	return ops && ops->suspend ? ops->suspend(gd_device()) : -ENOENT;
}

GD_EXPORT int gd_resume(void)
{
	const struct dev_pm_ops *ops = pm_ops();

	return ops && ops->resume ? ops->resume(gd_device()) : -ENOENT;
}

int __pci_register_driver(struct pci_driver *drv, struct module *owner, const char *name)
{
	pci_drivers = drv;
	return 0;
}

void pci_unregister_driver(struct pci_driver *drv)
{
	gd_remove();
	pci_drivers = NULL;
}

int __platform_driver_register(struct platform_driver *drv, struct module *owner)
{
	self->platform_driver = drv;
	return 0;
}

void platform_driver_unregister(struct platform_driver *drv)
{
	gd_remove();
	self->platform_driver = NULL;
}

int pci_enable_device(struct pci_dev *p)
{
	if (gd_fail(GD_FAULT_PCI))
		return -EIO;
	self->enabled++;
	self->enabled_at = gd_site_now();
	return 0;
}

int pci_enable_device_mem(struct pci_dev *p)
{
	return pci_enable_device(p);
}

void pci_disable_device(struct pci_dev *p)
{
	if (self->enabled == 0)
		gd_finding(GD_MISUSE, NULL, 0, NULL, "disables a PCI device that is not enabled");
	else
		self->enabled--;
}

static void disable_release(struct device *d, void *res)
{
	self->managed = 0;
	if (self->enabled)
		pci_disable_device(&self->pci);
}

int pcim_enable_device(struct pci_dev *p)
{
	void *res = gd_devres_alloc(disable_release, 4, GFP_KERNEL);
	int rc;

	if (!res)
		return -ENOMEM;
	rc = pci_enable_device(p);
	if (rc) {
		devres_free(res);
		return rc;
	}
	devres_add(&p->dev, res);
	self->managed = 1;
	return 0;
}

void pci_set_master(struct pci_dev *p)
{
	p->is_busmaster = 1;
}

void pci_clear_master(struct pci_dev *p)
{
	p->is_busmaster = 0;
}

int pci_set_mwi(struct pci_dev *p)
{
	return gd_fail(GD_FAULT_PCI) ? -EIO : 0;
}

void pci_clear_mwi(struct pci_dev *p)
{
}

static void regions_release(struct device *d, void *res)
{
	self->regions = 0;
}

/* Those of a device that pcim_enable_device has enabled end with the binding. */
int pci_request_regions(struct pci_dev *p, const char *name)
{
	void *res = NULL;

	if (self->regions) {
		gd_finding(GD_MISUSE, NULL, 0, self->regions_at, "requests regions that it has");
		return -EBUSY;
	}
	if (gd_fail(GD_FAULT_PCI))
		return -EBUSY;
	if (self->managed) {
		res = gd_devres_alloc(regions_release, 4, GFP_KERNEL);
		if (!res)
			return -ENOMEM;
		devres_add(&p->dev, res);
	}
	self->regions = 1;
	self->regions_at = gd_site_now();
	return 0;
}

void pci_release_regions(struct pci_dev *p)
{
	if (!self->regions)
		gd_finding(GD_MISUSE, NULL, 0, NULL, "releases regions that it does not have");
	self->regions = 0;
}

void *gd_ioremap(phys_addr_t at)
{
	u32 n = ((u32)at - MMIO_BASE) >> MMIO_SHIFT;

	if ((u32)at < MMIO_BASE || n >= 16) {
		gd_finding(GD_MISUSE, NULL, 0, NULL, "maps registers at %llx, where there are none", (unsigned long long)at);
		return NULL;
	}
	if (gd_fail(GD_FAULT_IOREMAP))
		return NULL;
	self->mapped[n]++;
	self->mapped_at[n] = gd_site_now();
	return (void *)(unsigned long)at;
}

#undef ioremap
#undef iounmap
void *ioremap(phys_addr_t at, unsigned long size)
{
	return gd_ioremap(at);
}

void iounmap(volatile void *at)
{
	u32 n = ((u32)at - MMIO_BASE) >> MMIO_SHIFT;

	if (!at || (u32)at < MMIO_BASE || n >= 16 || !self->mapped[n])
		gd_finding(GD_MISUSE, NULL, 0, NULL, "unmaps registers at %p, which are not mapped", at);
	else
		self->mapped[n]--;
}

void *pci_iomap(struct pci_dev *p, int bar, unsigned long max)
{
	return p->resource[bar].end ? gd_ioremap(p->resource[bar].start) : NULL;
}

void *pci_ioremap_bar(struct pci_dev *p, int bar)
{
	return pci_iomap(p, bar, 0);
}

void pci_iounmap(struct pci_dev *p, void *at)
{
	iounmap(at);
}

struct bar_res { void *at; };

static void bar_release(struct device *d, void *res)
{
	iounmap(((struct bar_res *)res)->at);
}

void *pcim_iomap(struct pci_dev *p, int bar, unsigned long max)
{
	struct bar_res *r = gd_devres_alloc(bar_release, sizeof(*r), GFP_KERNEL);

	if (!r)
		return NULL;
	r->at = pci_iomap(p, bar, max);
	if (!r->at) {
		devres_free(r);
		return NULL;
	}
	self->tables[bar] = r->at;
	devres_add(&p->dev, r);
	return r->at;
}

int pcim_iomap_regions(struct pci_dev *p, int mask, const char *name)
{
	u32 managed = self->managed;
	int bar, rc = 0;

	if (!self->regions) {
		self->managed = 1;
		rc = pci_request_regions(p, name);
		self->managed = managed;
	}
	if (rc)
		return rc;
	for (bar = 0; bar < 6; bar++)
		if ((mask & (1 << bar)) && !pcim_iomap(p, bar, 0))
			return -ENOMEM;
	return 0;
}

#ifndef GD_TREE
void *const *pcim_iomap_table(struct pci_dev *p)
{
	return self->tables;
}

int pci_alloc_irq_vectors(struct pci_dev *p, unsigned int lo, unsigned int hi, unsigned int flags)
{
	return gd_alloc_vectors(p);
}
#endif

int gd_alloc_vectors(struct pci_dev *p)
{
	if (gd_fail(GD_FAULT_IRQ))
		return -ENOSPC;
	self->vectors = 1;
	self->vectors_at = gd_site_now();
	return 1;
}

void pci_free_irq_vectors(struct pci_dev *p)
{
	self->vectors = 0;
}

int pci_irq_vector(struct pci_dev *p, unsigned int n)
{
	return n == 0 ? (int)p->irq : -EINVAL;
}

int pci_enable_msi(struct pci_dev *p)
{
	return gd_alloc_vectors(p) < 0 ? -ENOSPC : 0;
}

void pci_disable_msi(struct pci_dev *p)
{
	self->vectors = 0;
}

#define CONFIG_SPACE(name, type, size) \
int pci_read_config_##name(const struct pci_dev *p, int at, type *v) \
{ \
	*v = gd_host_config_read(p->dev.archdata.gd_handle, at, size); \
	return 0; \
} \
int pci_write_config_##name(const struct pci_dev *p, int at, type v) \
{ \
	gd_host_config_write(p->dev.archdata.gd_handle, at, size, v); \
	return 0; \
}
CONFIG_SPACE(byte, u8, 1)
CONFIG_SPACE(word, u16, 2)
CONFIG_SPACE(dword, u32, 4)

int pci_save_state(struct pci_dev *p)
{
	return 0;
}

void pci_restore_state(struct pci_dev *p)
{
}

int pci_set_power_state(struct pci_dev *p, pci_power_t s)
{
	return 0;
}

/* ---- platform ---- */
struct resource *platform_get_resource(struct platform_device *p, unsigned int type, unsigned int n)
{
	u32 i;

	for (i = 0; i < p->num_resources; i++)
		if (p->resource[i].flags == type && n-- == 0)
			return &p->resource[i];
	return NULL;
}

int platform_get_irq(struct platform_device *p, unsigned int n)
{
	struct resource *r = platform_get_resource(p, IORESOURCE_IRQ, n);

	if (!r)
		return -ENXIO;
	return gd_fail(GD_FAULT_IRQ) ? -ENXIO : (int)r->start;
}

void *devm_ioremap_resource(struct device *d, const struct resource *res)
{
	struct bar_res *r;

	if (!res)
		return ERR_PTR(-EINVAL);
	r = gd_devres_alloc(bar_release, sizeof(*r), GFP_KERNEL);
	if (!r)
		return ERR_PTR(-ENOMEM);
	r->at = gd_ioremap(res->start);
	if (!r->at) {
		devres_free(r);
		return ERR_PTR(-ENOMEM);
	}
	devres_add(d, r);
	return r->at;
}

void *gd_devm_ioremap(struct device *d, phys_addr_t at)
{
	struct bar_res *r = gd_devres_alloc(bar_release, sizeof(*r), GFP_KERNEL);

	if (!r)
		return NULL;
	r->at = gd_ioremap(at);
	if (!r->at) {
		devres_free(r);
		return NULL;
	}
	devres_add(d, r);
	return r->at;
}

void *devm_platform_ioremap_resource(struct platform_device *p, unsigned int n)
{
	return devm_ioremap_resource(&p->dev, platform_get_resource(p, IORESOURCE_MEM, n));
}

void gd_leaks_pci(void)
{
	u32 n;

	if (!self)
		return;
	if (self->enabled)
		gd_finding(GD_LEAK, NULL, 0, self->enabled_at, "leaves the PCI device enabled");
	if (self->regions)
		gd_finding(GD_LEAK, NULL, 0, self->regions_at, "leaves PCI regions requested");
	if (self->vectors)
		gd_finding(GD_LEAK, NULL, 0, self->vectors_at, "leaves interrupt vectors allocated");
	for (n = 0; n < 16; n++)
		if (self->mapped[n])
			gd_finding(GD_LEAK, NULL, 0, self->mapped_at[n], "leaves registers mapped");
}
