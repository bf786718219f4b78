/* SPDX-License-Identifier: MIT */
/* Registers: an address that ioremap gives is no memory; each access goes to the device's model. */
#ifndef GEMDMA_ASM_IO_H
#define GEMDMA_ASM_IO_H
#include <gemdma/core.h>
#define __raw_readb __raw_readb
#define __raw_readw __raw_readw
#define __raw_readl __raw_readl
#define __raw_writeb __raw_writeb
#define __raw_writew __raw_writew
#define __raw_writel __raw_writel
static inline unsigned char __raw_readb(const volatile void __iomem *a) { return gd_host_read((unsigned int)a, 1); }
static inline unsigned short __raw_readw(const volatile void __iomem *a) { return gd_host_read((unsigned int)a, 2); }
static inline unsigned int __raw_readl(const volatile void __iomem *a) { return gd_host_read((unsigned int)a, 4); }
static inline void __raw_writeb(unsigned char v, volatile void __iomem *a) { gd_host_write((unsigned int)a, 1, v); }
static inline void __raw_writew(unsigned short v, volatile void __iomem *a) { gd_host_write((unsigned int)a, 2, v); }
static inline void __raw_writel(unsigned int v, volatile void __iomem *a) { gd_host_write((unsigned int)a, 4, v); }
#define virt_to_phys virt_to_phys
#define phys_to_virt phys_to_virt
phys_addr_t virt_to_phys(const volatile void *at);
void *phys_to_virt(phys_addr_t phys);
#define ioremap ioremap
#define iounmap iounmap
void __iomem *ioremap(phys_addr_t at, unsigned long size);
void iounmap(volatile void __iomem *at);
#define PCI_IOBASE ((void __iomem *)0)
#define IO_SPACE_LIMIT 0xffffffff
#define ioport_map ioport_map
#define ioport_unmap ioport_unmap
static inline void __iomem *ioport_map(unsigned long port, unsigned int n) { return (void __iomem *)port; }
static inline void ioport_unmap(void __iomem *p) { }
struct pci_dev;
#define pci_iomap pci_iomap
#define pci_iounmap pci_iounmap
void __iomem *pci_iomap(struct pci_dev *p, int bar, unsigned long max);
void pci_iounmap(struct pci_dev *p, void __iomem *at);
#include <asm-generic/io.h>
#endif
