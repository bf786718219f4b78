/* SPDX-License-Identifier: MIT */
/* Milliseconds, microseconds and nanoseconds to jiffies and back, at 1000 of them in a second. */
#define HZ_TO_MSEC_MUL32 0x80000000ULL
#define HZ_TO_MSEC_ADJ32 0x0ULL
#define HZ_TO_MSEC_SHR32 31
#define MSEC_TO_HZ_MUL32 0x80000000ULL
#define MSEC_TO_HZ_ADJ32 0x0ULL
#define MSEC_TO_HZ_SHR32 31
#define HZ_TO_MSEC_NUM 1
#define HZ_TO_MSEC_DEN 1
#define MSEC_TO_HZ_NUM 1
#define MSEC_TO_HZ_DEN 1
#define HZ_TO_USEC_MUL32 0xFA000000ULL
#define HZ_TO_USEC_ADJ32 0x0ULL
#define HZ_TO_USEC_SHR32 22
#define USEC_TO_HZ_MUL32 0x83126E98ULL
#define USEC_TO_HZ_ADJ32 0x7FDF3B645A1CACULL
#define USEC_TO_HZ_SHR32 41
#define HZ_TO_USEC_NUM 1000
#define HZ_TO_USEC_DEN 1
#define USEC_TO_HZ_NUM 1
#define USEC_TO_HZ_DEN 1000
#define HZ_TO_NSEC_NUM 1000000
#define HZ_TO_NSEC_DEN 1
#define NSEC_TO_HZ_NUM 1
#define NSEC_TO_HZ_DEN 1000000
