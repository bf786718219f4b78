/* SPDX-License-Identifier: MIT */
/* Pages: a frame's bytes are where the core has put them (assembly/driver/frames.ts). */
#ifndef GEMDMA_ASM_PAGE_H
#define GEMDMA_ASM_PAGE_H

#define PAGE_SHIFT 12
#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define PAGE_OFFSET 0UL

#ifndef __ASSEMBLY__
#include <gemdma/core.h>

typedef struct { unsigned long pte; } pte_t;
typedef struct { unsigned long pmd; } pmd_t;
typedef struct { unsigned long pgd; } pgd_t;
typedef struct { unsigned long pgprot; } pgprot_t;
typedef struct page *pgtable_t;
#define pte_val(x) ((x).pte)
#define pmd_val(x) ((x).pmd)
#define pgd_val(x) ((x).pgd)
#define pgprot_val(x) ((x).pgprot)
#define __pte(x) ((pte_t){ (x) })
#define __pmd(x) ((pmd_t){ (x) })
#define __pgd(x) ((pgd_t){ (x) })
#define __pgprot(x) ((pgprot_t){ (x) })
#define clear_page(p) __builtin_memset(p, 0, PAGE_SIZE)
#define copy_page(to, from) __builtin_memcpy(to, from, PAGE_SIZE)
#define clear_user_page(p, v, pg) clear_page(p)
#define copy_user_page(to, from, v, pg) copy_page(to, from)

extern unsigned long memory_start, memory_end;
struct page;
struct page *gd_virt_to_page(const void *at);
_Bool virt_addr_valid_(const void *at);
unsigned long long gd_virt_to_phys(const volatile void *at);
void *gd_phys_to_virt(unsigned long long phys);
#define virt_to_page(p) gd_virt_to_page((const void *)(p))
#define virt_addr_valid(p) virt_addr_valid_((const void *)(p))
#define __pa(p) gd_virt_to_phys((const volatile void *)(p))
#define __va(p) gd_phys_to_virt(p)
#define virt_to_pfn(p) ((unsigned long)(__pa(p) >> PAGE_SHIFT))
#define pfn_to_virt(pfn) gd_pfn_virt(pfn)
#define page_to_virt(page) gd_pfn_virt(page_to_pfn(page))
/* A struct page is 32 bytes; frames are numbered without the hole below 4 GiB. */
#define page_to_pfn(page) ((unsigned long)gd_frame_pfn(((unsigned long)(page) - (unsigned long)gd_pages_at) / 32))
#define pfn_to_page(pfn) ((struct page *)((unsigned long)gd_pages_at + gd_frame(pfn) * 32))
extern void *gd_pages_at __attribute__((visibility("hidden")));
#define pfn_valid(pfn) (gd_pfn_virt(pfn) != 0)
#define page_to_phys(page) ((unsigned long long)page_to_pfn(page) << PAGE_SHIFT)
#define phys_to_page(phys) pfn_to_page((unsigned long)((phys) >> PAGE_SHIFT))
#define __pfn_to_phys(pfn) ((unsigned long long)(pfn) << PAGE_SHIFT)
#define __phys_to_pfn(phys) ((unsigned long)((phys) >> PAGE_SHIFT))
#endif
#include <asm-generic/getorder.h>
#endif
