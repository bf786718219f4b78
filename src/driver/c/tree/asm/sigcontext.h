/* SPDX-License-Identifier: MIT */
struct sigcontext { int unused; };
