/* SPDX-License-Identifier: MIT */
/* BUG ends the driver, a warning does not; both are findings. */
#ifndef GEMDMA_ASM_BUG_H
#define GEMDMA_ASM_BUG_H
#include <gemdma/core.h>
#define HAVE_ARCH_BUG
#define BUG() do { gd_host_finding(GD_BUG, "BUG", 0, 0, 0); gd_host_oops("BUG"); } while (0)
#define HAVE_ARCH_BUG_ON
#define BUG_ON(c) do { if (__builtin_expect(!!(c), 0)) { gd_host_finding(GD_BUG, "BUG_ON(" #c ")", 0, 0, 0); gd_host_oops("BUG_ON"); } } while (0)
#include <asm-generic/bug.h>
#endif
