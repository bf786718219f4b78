/* SPDX-License-Identifier: MIT */
#ifndef GEMDMA_ASM_PGTABLE_H
#define GEMDMA_ASM_PGTABLE_H

#include <asm-generic/pgtable-nopud.h>
#define MAX_POSSIBLE_PHYSMEM_BITS 40
#define PGDIR_SHIFT 22
#define PGDIR_SIZE (1UL << PGDIR_SHIFT)
#define PTRS_PER_PTE 1024
#define PAGE_NONE __pgprot(0)
#define PAGE_SHARED __pgprot(0)
#define PAGE_COPY __pgprot(0)
#define PAGE_READONLY __pgprot(0)
#define PAGE_KERNEL __pgprot(0)
#define pgprot_noncached(p) (p)
#define pgprot_writecombine(p) (p)
#define VMALLOC_START 0UL
#define VMALLOC_END 0xffffffffUL
#define KMAP_START 0UL
#define KMAP_END 0xffffffffUL
#define ZERO_PAGE(v) ((struct page *)gd_pages_at)
#define swapper_pg_dir ((pgd_t *)0)
#define pgd_present(p) 1
#define pgd_none(p) 0
#define pgd_bad(p) 0
#define pgd_clear(p) do { } while (0)
#define __swp_type(x) 0
#define __swp_offset(x) 0
#define __swp_entry(t, o) ((swp_entry_t){ 0 })
#define __pte_to_swp_entry(p) ((swp_entry_t){ 0 })
#define __swp_entry_to_pte(x) ((pte_t){ 0 })
#endif
