/* SPDX-License-Identifier: MIT */
#ifndef GEMDMA_ASM_PTRACE_H
#define GEMDMA_ASM_PTRACE_H
struct pt_regs { long unused; };
#define user_mode(regs) 0
#define instruction_pointer(regs) 0UL
#define profile_pc(regs) 0UL
#define user_stack_pointer(regs) 0UL
#endif
