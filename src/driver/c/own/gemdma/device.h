/* SPDX-License-Identifier: MIT */
/* Devices, drivers, devres, modules, registers, PCI and platform. */
#ifndef GEMDMA_DEVICE_H
#define GEMDMA_DEVICE_H

#include <gemdma/mm.h>
#include <gemdma/sched.h>

/* Modules. */
struct module { int unused; };
#define THIS_MODULE ((struct module *)0)
#define GD_INFO(n, x) _Static_assert(1, "")
#define MODULE_LICENSE(x) GD_INFO(license, x)
#define MODULE_AUTHOR(x) GD_INFO(author, x)
#define MODULE_DESCRIPTION(x) GD_INFO(description, x)
#define MODULE_VERSION(x) GD_INFO(version, x)
#define MODULE_ALIAS(x) GD_INFO(alias, x)
#define MODULE_FIRMWARE(x) GD_INFO(firmware, x)
#define MODULE_IMPORT_NS(x) GD_INFO(ns, x)
#define MODULE_DEVICE_TABLE(t, n) GD_INFO(table, n)
#define MODULE_PARM_DESC(n, x) GD_INFO(parm, x)
#define module_param(n, t, p) GD_INFO(n, p)
#define module_param_named(n, v, t, p) GD_INFO(n, p)
#define EXPORT_SYMBOL(x) GD_INFO(x, x)
#define EXPORT_SYMBOL_GPL(x) GD_INFO(x, x)
#define module_init(f) GD_EXPORT int init_module(void) { return f(); } _Static_assert(1, "")
#define module_exit(f) GD_EXPORT void cleanup_module(void) { f(); } _Static_assert(1, "")

struct device;
struct device_driver;
struct bus_type;
struct class;
struct dev_archdata { u32 gd_handle; };
struct device_dma_parameters { unsigned int max_segment_size; unsigned int min_align_mask; unsigned long segment_boundary_mask; };
struct kobject { const char *name; };
struct dev_pm_ops {
	int (*suspend)(struct device *);
	int (*resume)(struct device *);
	int (*runtime_suspend)(struct device *);
	int (*runtime_resume)(struct device *);
};
struct device_driver { const char *name; const struct dev_pm_ops *pm; struct module *owner; const void *of_match_table; };
struct device {
	struct kobject kobj;
	struct device *parent;
	const char *init_name;
	const struct bus_type *bus;
	struct device_driver *driver;
	void *platform_data;
	void *driver_data;
	u64 *dma_mask;
	u64 coherent_dma_mask;
	struct device_dma_parameters *dma_parms;
	struct dev_archdata archdata;
	void *of_node;
	spinlock_t devres_lock;
	struct list_head devres_head;
	void (*release)(struct device *);
};
static inline const char *dev_name(const struct device *d) { return d->init_name ? d->init_name : "?"; }
static inline void *dev_get_drvdata(const struct device *d) { return d->driver_data; }
static inline void dev_set_drvdata(struct device *d, void *p) { d->driver_data = p; }
#define dev_get_platdata(d) ((d)->platform_data)
const char *dev_driver_string(const struct device *d);
void gd_dev_printk(const char *level, const struct device *d, const char *fmt, ...) __printf(3, 4);
#define dev_printk(l, d, fmt, a...) gd_dev_printk(l, d, fmt, ##a)
#define dev_err(d, fmt, a...) gd_dev_printk("<3>", d, fmt, ##a)
#define dev_warn(d, fmt, a...) gd_dev_printk("<4>", d, fmt, ##a)
#define dev_notice(d, fmt, a...) gd_dev_printk("<5>", d, fmt, ##a)
#define dev_info(d, fmt, a...) gd_dev_printk("<6>", d, fmt, ##a)
#define dev_dbg(d, fmt, a...) do { if (0) gd_dev_printk("<7>", d, fmt, ##a); } while (0)
#define dev_err_once dev_err
#define dev_warn_once dev_warn
#define dev_warn_ratelimited dev_warn
#define dev_err_ratelimited dev_err
#define dev_err_probe(d, e, fmt, a...) ({ dev_err(d, fmt, ##a); (e); })
#define dev_WARN_ONCE(d, c, fmt, a...) WARN(c, fmt, ##a)
static inline struct device *get_device(struct device *d) { return d; }
static inline void put_device(struct device *d) {}
static inline int device_init_wakeup(struct device *d, bool on) { return 0; }
#define device_set_wakeup_enable(d, v) ((void)(d))
#define dev_to_node(d) NUMA_NO_NODE
#define pm_runtime_enable(d) ((void)(d))
#define pm_runtime_disable(d) ((void)(d))
#define pm_runtime_get_sync(d) (0)
#define pm_runtime_put(d) (0)
#define pm_runtime_put_noidle(d) ((void)(d))
#define SIMPLE_DEV_PM_OPS(n, s, r) const struct dev_pm_ops __maybe_unused n = { .suspend = s, .resume = r }
#define DEFINE_SIMPLE_DEV_PM_OPS(n, s, r) const struct dev_pm_ops __maybe_unused n = { .suspend = s, .resume = r }
#define pm_sleep_ptr(p) (p)
#define pm_ptr(p) (p)

/* devres */
typedef void (*dr_release_t)(struct device *, void *);
void *gd_devres_alloc(dr_release_t release, size_t size, gfp_t gfp);
#define devres_alloc(r, s, g) gd_devres_alloc(r, s, g)
void devres_add(struct device *d, void *res);
void devres_free(void *res);
int devres_release_all(struct device *d);
void *devm_kmalloc(struct device *d, size_t size, gfp_t gfp);
void devm_kfree(struct device *d, const void *at);
#define devm_kzalloc(d, s, g) devm_kmalloc(d, s, (g) | __GFP_ZERO)
#define devm_kcalloc(d, n, s, g) devm_kmalloc(d, (n) * (s), (g) | __GFP_ZERO)
#define devm_kmalloc_array(d, n, s, g) devm_kmalloc(d, (n) * (s), g)
int __devm_add_action(struct device *d, void (*action)(void *), void *data, const char *name);
static inline int gd_add_action_or_reset(struct device *d, void (*action)(void *), void *data)
{
	int rc = __devm_add_action(d, action, data, "");

	if (rc)
		action(data);
	return rc;
}
#define devm_add_action(d, a, p) __devm_add_action(d, a, p, #a)
#define devm_add_action_or_reset(d, a, p) gd_add_action_or_reset(d, a, p)
int devm_request_threaded_irq(struct device *d, unsigned int irq, irq_handler_t handler, irq_handler_t thread, unsigned long flags, const char *name, void *dev);
#define devm_request_irq(d, i, h, f, n, p) devm_request_threaded_irq(d, i, h, NULL, f, n, p)
void devm_free_irq(struct device *d, unsigned int irq, void *dev);

/* Registers. An address that ioremap gives is no memory: these are the only way to it. */
static inline u8 readb(const volatile void *a) { return gd_host_read((u32)a, 1); }
static inline u16 readw(const volatile void *a) { return gd_host_read((u32)a, 2); }
static inline u32 readl(const volatile void *a) { return gd_host_read((u32)a, 4); }
static inline u64 readq(const volatile void *a) { return gd_host_read((u32)a, 4) | (u64)gd_host_read((u32)a + 4, 4) << 32; }
static inline void writeb(u8 v, volatile void *a) { gd_host_write((u32)a, 1, v); }
static inline void writew(u16 v, volatile void *a) { gd_host_write((u32)a, 2, v); }
static inline void writel(u32 v, volatile void *a) { gd_host_write((u32)a, 4, v); }
static inline void writeq(u64 v, volatile void *a) { gd_host_write((u32)a, 4, v); gd_host_write((u32)a + 4, 4, v >> 32); }
#define readb_relaxed readb
#define readw_relaxed readw
#define readl_relaxed readl
#define writeb_relaxed writeb
#define writew_relaxed writew
#define writel_relaxed writel
#define ioread8 readb
#define ioread16 readw
#define ioread32 readl
#define iowrite8 writeb
#define iowrite16 writew
#define iowrite32 writel
void *ioremap(phys_addr_t at, unsigned long size);
#define ioremap_wc ioremap
void iounmap(volatile void *at);
struct resource { resource_size_t start, end; const char *name; unsigned long flags; };
#define IORESOURCE_IO 0x100
#define IORESOURCE_MEM 0x200
#define IORESOURCE_IRQ 0x400
#define resource_size(r) ((r)->end - (r)->start + 1)

/* PCI */
struct pci_dev;
typedef int pci_power_t;
struct pci_device_id { u32 vendor, device, subvendor, subdevice, class, class_mask; unsigned long driver_data; };
struct pci_driver {
	const char *name;
	const struct pci_device_id *id_table;
	int (*probe)(struct pci_dev *, const struct pci_device_id *);
	void (*remove)(struct pci_dev *);
	void (*shutdown)(struct pci_dev *);
	const void *err_handler;
	struct device_driver driver;
};
#define PCI_STD_NUM_BARS 6
#define PCI_ANY_ID (~0u)
#define PCI_DEVICE(v, d) .vendor = (v), .device = (d), .subvendor = PCI_ANY_ID, .subdevice = PCI_ANY_ID
#define PCI_VDEVICE(v, d) PCI_DEVICE(PCI_VENDOR_ID_##v, d)
#define PCI_IRQ_LEGACY 1
#define PCI_IRQ_INTX 1
#define PCI_IRQ_MSI 2
#define PCI_IRQ_MSIX 4
#define PCI_IRQ_ALL_TYPES 7
#define PCI_COMMAND 4
#define PCI_D0 0
#define PCI_D3hot 3
struct pci_dev {
	struct device dev;
	unsigned short vendor, device, subsystem_vendor, subsystem_device;
	unsigned int devfn;
	u8 revision;
	unsigned int irq;
	u64 dma_mask;
	struct device_dma_parameters dma_parms;
	struct resource resource[PCI_STD_NUM_BARS];
	struct pci_driver *driver;
	int enable_cnt;
	bool is_busmaster;
};
#define to_pci_dev(d) container_of(d, struct pci_dev, dev)
#define pci_resource_start(p, b) ((p)->resource[b].start)
#define pci_resource_end(p, b) ((p)->resource[b].end)
#define pci_resource_flags(p, b) ((p)->resource[b].flags)
#define pci_resource_len(p, b) ((p)->resource[b].end ? resource_size(&(p)->resource[b]) : 0)
#define pci_get_drvdata(p) dev_get_drvdata(&(p)->dev)
#define pci_set_drvdata(p, v) dev_set_drvdata(&(p)->dev, v)
#define pci_name(p) dev_name(&(p)->dev)
#define pci_err(p, fmt, a...) dev_err(&(p)->dev, fmt, ##a)
#define pci_info(p, fmt, a...) dev_info(&(p)->dev, fmt, ##a)
int __pci_register_driver(struct pci_driver *drv, struct module *owner, const char *name);
void pci_unregister_driver(struct pci_driver *drv);
#define pci_register_driver(d) __pci_register_driver(d, THIS_MODULE, (d)->name)
#define module_pci_driver(d) \
	GD_EXPORT int init_module(void) { return pci_register_driver(&(d)); } \
	GD_EXPORT void cleanup_module(void) { pci_unregister_driver(&(d)); } _Static_assert(1, "")
int pci_enable_device(struct pci_dev *p);
int pci_enable_device_mem(struct pci_dev *p);
int pcim_enable_device(struct pci_dev *p);
void pci_disable_device(struct pci_dev *p);
void pci_set_master(struct pci_dev *p);
void pci_clear_master(struct pci_dev *p);
int pci_set_mwi(struct pci_dev *p);
void pci_clear_mwi(struct pci_dev *p);
int pci_request_regions(struct pci_dev *p, const char *name);
void pci_release_regions(struct pci_dev *p);
void *pci_iomap(struct pci_dev *p, int bar, unsigned long max);
void *pci_ioremap_bar(struct pci_dev *p, int bar);
void pci_iounmap(struct pci_dev *p, void *at);
int pcim_iomap_regions(struct pci_dev *p, int mask, const char *name);
void *const *pcim_iomap_table(struct pci_dev *p);
void *pcim_iomap(struct pci_dev *p, int bar, unsigned long max);
int pci_alloc_irq_vectors(struct pci_dev *p, unsigned int lo, unsigned int hi, unsigned int flags);
void pci_free_irq_vectors(struct pci_dev *p);
int pci_irq_vector(struct pci_dev *p, unsigned int n);
int pci_enable_msi(struct pci_dev *p);
void pci_disable_msi(struct pci_dev *p);
int pci_read_config_byte(const struct pci_dev *p, int at, u8 *v);
int pci_read_config_word(const struct pci_dev *p, int at, u16 *v);
int pci_read_config_dword(const struct pci_dev *p, int at, u32 *v);
int pci_write_config_byte(const struct pci_dev *p, int at, u8 v);
int pci_write_config_word(const struct pci_dev *p, int at, u16 v);
int pci_write_config_dword(const struct pci_dev *p, int at, u32 v);
int pci_save_state(struct pci_dev *p);
void pci_restore_state(struct pci_dev *p);
int pci_set_power_state(struct pci_dev *p, pci_power_t s);

/* Platform devices. */
struct platform_device { const char *name; int id; struct device dev; u64 platform_dma_mask; u32 num_resources; struct resource *resource; };
struct of_device_id { char name[32]; char type[32]; char compatible[128]; const void *data; };
struct platform_driver {
	int (*probe)(struct platform_device *);
	void (*remove)(struct platform_device *);
	void (*shutdown)(struct platform_device *);
	struct device_driver driver;
};
#define to_platform_device(d) container_of(d, struct platform_device, dev)
#define platform_get_drvdata(p) dev_get_drvdata(&(p)->dev)
#define platform_set_drvdata(p, v) dev_set_drvdata(&(p)->dev, v)
int __platform_driver_register(struct platform_driver *drv, struct module *owner);
void platform_driver_unregister(struct platform_driver *drv);
#define platform_driver_register(d) __platform_driver_register(d, THIS_MODULE)
#define module_platform_driver(d) \
	GD_EXPORT int init_module(void) { return platform_driver_register(&(d)); } \
	GD_EXPORT void cleanup_module(void) { platform_driver_unregister(&(d)); } _Static_assert(1, "")
struct resource *platform_get_resource(struct platform_device *p, unsigned int type, unsigned int n);
int platform_get_irq(struct platform_device *p, unsigned int n);
void *devm_platform_ioremap_resource(struct platform_device *p, unsigned int n);
void *devm_ioremap_resource(struct device *d, const struct resource *r);
void *gd_devm_ioremap(struct device *d, phys_addr_t at);
#define devm_ioremap(d, at, n) gd_devm_ioremap(d, at)
#define of_match_ptr(p) (p)

#endif
