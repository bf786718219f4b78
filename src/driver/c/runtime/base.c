// SPDX-License-Identifier: MIT
/* Strings, messages, findings, the countdown of failures, and the start. */
#include "runtime.h"

const struct gd_site **gd_site_reg;
gd_u32 gd_low_end, gd_hole_pages, gd_dma_debug_on;
static const struct gd_site nowhere = { "", "", 0 };

/* ---- faults: each allocation is a point; one of them fails, or all from one on. ---- */
static struct { u32 count, nth, survey, random, rate; } faults;
gd_u32 gd_faults_on;

bool gd_fail_slow(enum gd_fault kind)
{
	u32 strikes;

	faults.count++;
	strikes = faults.count == faults.nth;
	if (faults.rate) {
		/* xorshift: the seed decides everything. */
		faults.random ^= faults.random << 13;
		faults.random ^= faults.random >> 17;
		faults.random ^= faults.random << 5;
		strikes = faults.random % 1000 < faults.rate;
	}
	if (strikes || faults.survey)
		gd_host_point(kind, faults.count, strikes);
	return strikes;
}

/* Makes the n-th allocation from now fail; with survey each is told to the host. */
GD_EXPORT void gd_faults_arm(u32 nth, u32 survey)
{
	faults.count = 0;
	faults.nth = nth;
	faults.survey = survey;
	faults.rate = 0;
	gd_faults_on = nth || survey;
}

/* Makes allocations fail at random, `rate` of 1,000. */
GD_EXPORT void gd_faults_random(u32 seed, u32 rate)
{
	faults.count = faults.nth = faults.survey = 0;
	faults.random = seed ? seed : 0x9e3779b9;
	faults.rate = rate;
	gd_faults_on = rate != 0;
}

GD_EXPORT u32 gd_faults_count(void)
{
	return faults.count;
}

GD_EXPORT void gd_boot(void)
{
	gd_site_reg = gd_site_register();
	*gd_site_reg = &nowhere;
	gd_low_end = gd_low_frames();
	gd_hole_pages = gd_hole();
	gd_dma_debug_on = gd_dma_debug();
	gd_pages_set(gd_pages());
	gd_time_passed();
}

/* What the driver leaves behind when it is gone. */
GD_EXPORT void gd_leaks(void)
{
	gd_leaks_pci();
	gd_leaks_irq();
	gd_leaks_work();
	gd_leaks_sched();
	gd_leaks_net();
	gd_leaks_dma();
	gd_leaks_objects();
	gd_leaks_pages();
}

void gd_finding(enum gd_finding kind, const void *at, u32 size, const struct gd_site *born, const char *fmt, ...)
{
	static char text[256];
	__builtin_va_list args;

	__builtin_va_start(args, fmt);
	gd_host_format(text, sizeof(text), fmt, (void *)args);
	__builtin_va_end(args);
	gd_host_finding(kind, text, at, size, born);
}

/* ---- messages ---- */
#define FORMAT(to, size, fmt) ({ \
	__builtin_va_list _args; \
	int _n; \
	__builtin_va_start(_args, fmt); \
	_n = gd_host_format(to, size, fmt, (void *)_args); \
	__builtin_va_end(_args); \
	_n; })

int _printk(const char *fmt, ...)
{
	__builtin_va_list args;

	__builtin_va_start(args, fmt);
	gd_host_printk(fmt, (void *)args, "");
	__builtin_va_end(args);
	return 0;
}

int snprintf(char *to, size_t size, const char *fmt, ...)
{
	gd_check(to, size ? 1 : 0, 1);
	return FORMAT(to, size, fmt);
}

int scnprintf(char *to, size_t size, const char *fmt, ...)
{
	int n = FORMAT(to, size, fmt);

	return size == 0 ? 0 : n < (int)size ? n : (int)size - 1;
}

int sprintf(char *to, const char *fmt, ...)
{
	return FORMAT(to, 0x7fffffff, fmt);
}

/* ---- memory and strings ---- */
#undef memcpy
#undef memmove
#undef memset
#undef strlen
#undef strcpy
#undef strncpy

/* Calls that clang did not expand come here: on behalf of the driver, so that they are checked. */
void *memcpy(void *to, const void *from, size_t n)
{
	gd_check(from, n, 0);
	gd_check(to, n, 1);
	return __builtin_memcpy(to, from, n);
}

void *memmove(void *to, const void *from, size_t n)
{
	gd_check(from, n, 0);
	gd_check(to, n, 1);
	return __builtin_memmove(to, from, n);
}

void *memset(void *to, int c, size_t n)
{
	gd_check(to, n, 1);
	return __builtin_memset(to, c, n);
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	gd_check(a, n, 0);
	gd_check(b, n, 0);
	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	gd_check(s, n + 1, 0);
	return n;
}

int strcmp(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n && *a && *a == *b; a++, b++, n--)
		;
	return n ? (unsigned char)*a - (unsigned char)*b : 0;
}

char *strcpy(char *to, const char *from)
{
	size_t n = strlen(from) + 1;

	memcpy(to, from, n);
	return to;
}

char *strncpy(char *to, const char *from, size_t n)
{
	size_t i;

	gd_check(to, n, 1);
	for (i = 0; i < n && from[i]; i++)
		to[i] = from[i];
	for (; i < n; i++)
		to[i] = 0;
	return to;
}

ssize_t gd_strscpy(char *to, const char *from, size_t n)
{
	size_t i;

	if (n == 0)
		return -E2BIG;
	gd_check(to, n, 1);
	for (i = 0; i < n - 1 && from[i]; i++)
		to[i] = from[i];
	to[i] = 0;
	return from[i] ? -E2BIG : (ssize_t)i;
}

char *strchr(const char *s, int c)
{
	for (; *s != (char)c; s++)
		if (!*s)
			return NULL;
	return (char *)s;
}

char *strstr(const char *s, const char *what)
{
	size_t n = strlen(what);

	for (; *s; s++)
		if (strncmp(s, what, n) == 0)
			return (char *)s;
	return n ? NULL : (char *)s;
}

#ifndef GD_TREE
ssize_t strscpy(char *to, const char *from, size_t n)
{
	return gd_strscpy(to, from, n);
}
#endif
