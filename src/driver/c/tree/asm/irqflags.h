/* SPDX-License-Identifier: MIT */
#ifndef GEMDMA_ASM_IRQFLAGS_H
#define GEMDMA_ASM_IRQFLAGS_H
extern unsigned int gd_irqs_off;
static inline unsigned long arch_local_save_flags(void) { return gd_irqs_off; }
static inline void arch_local_irq_restore(unsigned long flags) { gd_irqs_off = flags; }
static inline unsigned long arch_local_irq_save(void)
{
	unsigned long flags = gd_irqs_off;

	gd_irqs_off = 1;
	return flags;
}
static inline void arch_local_irq_disable(void) { gd_irqs_off = 1; }
static inline void arch_local_irq_enable(void) { gd_irqs_off = 0; }
static inline bool arch_irqs_disabled_flags(unsigned long flags) { return flags != 0; }
static inline bool arch_irqs_disabled(void) { return gd_irqs_off != 0; }
#endif
