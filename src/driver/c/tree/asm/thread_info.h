/* SPDX-License-Identifier: MIT */
#ifndef GEMDMA_ASM_THREAD_INFO_H
#define GEMDMA_ASM_THREAD_INFO_H
#define THREAD_SIZE_ORDER 1
#define THREAD_SIZE 8192
#ifndef __ASSEMBLY__
struct task_struct;
struct thread_info { unsigned long flags; int preempt_count; struct task_struct *task; };
extern struct thread_info gd_thread_info;
static inline struct thread_info *current_thread_info(void) { return &gd_thread_info; }
#endif
#define TIF_SIGPENDING 0
#define TIF_NEED_RESCHED 1
#define TIF_NOTIFY_RESUME 2
#define TIF_NOTIFY_SIGNAL 3
#define TIF_MEMDIE 4
#define TIF_SYSCALL_TRACE 5
#define TIF_RESTORE_SIGMASK 6
#define TIF_POLLING_NRFLAG 7
#define _TIF_NEED_RESCHED (1 << TIF_NEED_RESCHED)
#define _TIF_SIGPENDING (1 << TIF_SIGPENDING)
#endif
