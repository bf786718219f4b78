/*
 * Drives the kernel's drivers/iommu/iova.c with a recording (linux-iova, uncompressed): one replay that compares every
 * answer, then as many as the time allows that only measure. Frees of what an id got go by the kernel's own pointer.
 *
 *   iova RECORDING SECONDS -> {"steps":n,"nsPerStep":x,"parted":line or 0}
 */
#include <linux/iova.h>

#include <time.h>

#include "drive.h"

struct step {
	char letter;
	bool flag;
	unsigned int id;
	int line;
	unsigned long a, b, expected;
};

static struct step *steps;
static size_t count, ids;
static unsigned long granule, start_pfn;
static int caches;
static struct iova **live;

static void fail(const char *why, int line)
{
	fprintf(stderr, "iova: line %d: %s\n", line, why);
	exit(2);
}

static const char *value(const char *header, const char *key)
{
	const char *at = strstr(header, key);
	if (!at)
		fail(key, 1);
	return at + strlen(key);
}

static void parse(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[256];
	size_t room = 1 << 20;
	int number = 1;

	if (!file || !fgets(line, sizeof(line), file))
		fail("cannot be read", 0);
	granule = strtoul(value(line, " granule="), NULL, 10);
	start_pfn = strtoul(value(line, " start_pfn="), NULL, 16);
	caches = atoi(value(line, " rcaches="));
	steps = malloc(room * sizeof(*steps));
	while (fgets(line, sizeof(line), file)) {
		struct step s = { .letter = line[0], .line = ++number };
		char answer[32] = "";
		unsigned int flag = 0;

		switch (s.letter) {
		case 'A':
		case 'a':
			sscanf(line + 1, "%u %lu %lx %u %31s", &s.id, &s.a, &s.b, &flag, answer);
			s.expected = answer[0] == '-' ? 0 : strtoul(answer, NULL, 16);
			break;
		case 'X':
			sscanf(line + 1, "%u", &s.id);
			break;
		case 'F':
		case 'Q':
			sscanf(line + 1, "%lx", &s.a);
			break;
		case 'f':
			sscanf(line + 1, "%lx %lu", &s.a, &s.b);
			break;
		case 'R':
			sscanf(line + 1, "%lx %lx", &s.a, &s.b);
			break;
		default:
			continue; /* states and trees are not timed */
		}
		s.flag = flag != 0;
		if (s.id >= ids)
			ids = s.id + 1;
		if (count == room)
			steps = realloc(steps, (room *= 2) * sizeof(*steps));
		steps[count++] = s;
	}
	fclose(file);
	live = calloc(ids + 1, sizeof(*live));
}

static inline unsigned long perform(struct iova_domain *domain, const struct step *s)
{
	struct iova *iova;

	switch (s->letter) {
	case 'A':
		iova = live[s->id] = alloc_iova(domain, s->a, s->b, s->flag);
		return iova ? iova->pfn_lo : 0;
	case 'a':
		return alloc_iova_fast(domain, s->a, s->b, s->flag);
	case 'X':
		__free_iova(domain, live[s->id]);
		return 0;
	case 'F':
		free_iova(domain, s->a);
		return 0;
	case 'f':
		free_iova_fast(domain, s->a, s->b);
		return 0;
	case 'Q':
		iova = find_iova(domain, s->a);
		return 0;
	default:
		reserve_iova(domain, s->a, s->b);
		return 0;
	}
}

static double replay(bool compare, int *parted)
{
	struct iova_domain *domain = calloc(1, sizeof(*domain));
	struct timespec from, to;
	unsigned long sum = 0;

	init_iova_domain(domain, granule, start_pfn);
	if (caches && iova_domain_init_rcaches(domain))
		fail("no memory for caches", 0);
	clock_gettime(CLOCK_MONOTONIC, &from);
	if (compare) {
		for (size_t i = 0; i < count && !*parted; ++i)
			if (perform(domain, &steps[i]) != steps[i].expected)
				*parted = steps[i].line;
	} else {
		for (size_t i = 0; i < count; ++i)
			sum += perform(domain, &steps[i]);
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	__asm__ volatile("" ::"r"(sum));
	put_iova_domain(domain);
	free(domain);
	return (to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		fail("usage: iova RECORDING SECONDS", 0);
	parse(argv[1]);
	iova_cache_get();
	return drive(count, atof(argv[2]), replay);
}
