/* SPDX-License-Identifier: MIT */
#define NR_PAGEFLAGS 22
#define MAX_NR_ZONES 2
#define NR_CPUS_BITS 0
#define SPINLOCK_SIZE 16
#define LRU_GEN_WIDTH 0
#define __LRU_REFS_WIDTH 0
