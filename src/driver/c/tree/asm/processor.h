/* SPDX-License-Identifier: MIT */
#ifndef GEMDMA_ASM_PROCESSOR_H
#define GEMDMA_ASM_PROCESSOR_H
#define TASK_SIZE 0xffffffffUL
#define TASK_UNMAPPED_BASE 0
#define STACK_TOP TASK_SIZE
#define STACK_TOP_MAX TASK_SIZE
struct thread_struct { int unused; };
struct task_struct;
#define INIT_THREAD { 0 }
static inline unsigned long __get_wchan(struct task_struct *p) { return 0; }
#define KSTK_EIP(t) 0
#define KSTK_ESP(t) 0
#define task_pt_regs(t) ((struct pt_regs *)0)
#define cpu_relax() barrier()
#endif
