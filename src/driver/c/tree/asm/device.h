/* SPDX-License-Identifier: MIT */
#ifndef GEMDMA_ASM_DEVICE_H
#define GEMDMA_ASM_DEVICE_H
struct dev_archdata { unsigned int gd_handle; };
struct pdev_archdata { };
#endif
