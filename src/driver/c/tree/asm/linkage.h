/* SPDX-License-Identifier: MIT */
#define _THIS_IP_ 0UL
