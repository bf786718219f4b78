/* SPDX-License-Identifier: MIT */
#ifndef GEMDMA_ASM_ELF_H
#define GEMDMA_ASM_ELF_H
#define ELF_CLASS ELFCLASS32
#define ELF_DATA ELFDATA2LSB
#define ELF_ARCH EM_NONE
typedef unsigned long elf_greg_t;
typedef elf_greg_t elf_gregset_t[1];
typedef unsigned long elf_fpregset_t;
#define elf_check_arch(x) 1
#define ELF_EXEC_PAGESIZE 4096
#define ELF_HWCAP 0
#define ELF_PLATFORM 0
#define ELF_ET_DYN_BASE 0
#endif
