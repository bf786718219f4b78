/* SPDX-License-Identifier: MIT */
#ifndef GEMDMA_ASM_MMU_H
#define GEMDMA_ASM_MMU_H
typedef struct { unsigned long end_brk; } mm_context_t;
#endif
