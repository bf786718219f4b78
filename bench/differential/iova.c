/*
 * Records what the kernel's drivers/iommu/iova.c answers to a list of operations, in the format of test/golden/iova:
 *
 *   record OPERATIONS  -> the recording on standard output
 *
 * Operations are a recording's lines without their results. `@id` stands for the pfn that the operation of that id got.
 * An operation on what failed, or is gone, is left out.
 */
#include "drivers/iommu/iova.c"

#include <stdio.h>

struct range {
	struct iova *iova;
	unsigned long pfn;
	bool live;
};

static struct iova_domain domain;
static struct range *ranges;
static size_t room;
static int caches;

static struct range *range_of(unsigned int id)
{
	if (id >= room) {
		size_t more = id * 2 + 64;
		ranges = realloc(ranges, more * sizeof(*ranges));
		memset(ranges + room, 0, (more - room) * sizeof(*ranges));
		room = more;
	}
	return &ranges[id];
}

/* A pfn, given as such or as the one that an id got. Returns false where there is none. */
static bool pfn_of(const char *text, unsigned long *pfn)
{
	if (text[0] != '@') {
		*pfn = strtoul(text, NULL, 16);
		return true;
	}
	struct range *range = range_of(atoi(text + 1));
	*pfn = range->pfn;
	return range->live;
}

static void print_range(struct iova *iova)
{
	if (iova)
		printf(" %lx %lx\n", iova->pfn_lo, iova->pfn_hi);
	else
		printf(" -\n");
}

static void print_state(void)
{
	unsigned long n = 0;
	struct rb_node *node;

	for (node = rb_first(&domain.rbroot); node; node = rb_next(node))
		++n;
	printf("S %lu %lx %lx %lu", n - 1, to_iova(domain.cached_node)->pfn_lo, to_iova(domain.cached32_node)->pfn_lo,
	       domain.max32_alloc_size);
	for (int i = 0; caches && i < IOVA_RANGE_CACHE_MAX_SIZE; ++i)
		printf(" %u", domain.rcaches[i].depot_size);
	printf("\n");
}

static void perform(const char *line)
{
	unsigned long size, limit, lo, hi, pfn;
	unsigned int id, flag;
	char text[64];
	struct range *range;
	struct iova *iova;

	switch (line[0]) {
	case 'A':
		if (sscanf(line + 1, "%u %lu %lx %u", &id, &size, &limit, &flag) != 4)
			exit(2);
		range = range_of(id);
		iova = alloc_iova(&domain, size, limit, flag);
		*range = (struct range){ iova, iova ? iova->pfn_lo : 0, iova != NULL };
		printf("A %u %lu %lx %u ", id, size, limit, flag);
		printf(iova ? "%lx\n" : "-\n", range->pfn);
		return;
	case 'a':
		if (sscanf(line + 1, "%u %lu %lx %u", &id, &size, &limit, &flag) != 4)
			exit(2);
		range = range_of(id);
		pfn = alloc_iova_fast(&domain, size, limit, flag);
		*range = (struct range){ NULL, pfn, pfn != 0 };
		printf("a %u %lu %lx %u %lx\n", id, size, limit, flag, pfn);
		return;
	case 'X':
		range = range_of(atoi(line + 2));
		/* The record may have gone by its pfn since, or have been merged into a reservation. */
		if (!range->live || !range->iova)
			return;
		range->live = false;
		printf("X %d", atoi(line + 2));
		print_range(range->iova);
		__free_iova(&domain, range->iova);
		return;
	case 'f':
		if (sscanf(line + 1, "%63s %lu", text, &size) != 2)
			exit(2);
		range = range_of(atoi(text + 1));
		if (!range->live || range->iova)
			return;
		range->live = false;
		printf("f %lx %lu\n", range->pfn, size);
		free_iova_fast(&domain, range->pfn, size);
		return;
	case 'F':
	case 'Q':
		sscanf(line + 1, "%63s", text);
		if (!pfn_of(text, &pfn))
			return;
		printf("%c %lx", line[0], pfn);
		iova = find_iova(&domain, pfn);
		print_range(iova);
		if (line[0] == 'F' && iova) {
			for (size_t i = 0; i < room; ++i)
				if (ranges[i].pfn >= iova->pfn_lo && ranges[i].pfn <= iova->pfn_hi)
					ranges[i].live = false;
			free_iova(&domain, pfn);
		}
		return;
	case 'R':
		if (sscanf(line + 1, "%lx %lx", &lo, &hi) != 2)
			exit(2);
		iova = reserve_iova(&domain, lo, hi);
		printf("R %lx %lx", lo, hi);
		print_range(iova);
		return;
	case 'S':
		print_state();
		return;
	}
}

int main(int argc, char **argv)
{
	FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
	char line[256];
	unsigned long granule, start_pfn;

	if (!file || !fgets(line, sizeof(line), file) ||
	    sscanf(line, "granule=%lu start_pfn=%lx rcaches=%d", &granule, &start_pfn, &caches) != 3)
		return 2;
	iova_cache_get();
	init_iova_domain(&domain, granule, start_pfn);
	if (caches && iova_domain_init_rcaches(&domain))
		return 2;
	printf("# linux-iova 1 variant=differential granule=%lu start_pfn=%lx dma_32bit_pfn=%lx rcaches=%d cpus=1\n", granule,
	       start_pfn, domain.dma_32bit_pfn, caches);
	while (fgets(line, sizeof(line), file))
		perform(line);
	print_state();
	for (struct rb_node *node = rb_first(&domain.rbroot); node; node = rb_next(node))
		if (node != &domain.anchor.node)
			printf("T %lx %lx\n", to_iova(node)->pfn_lo, to_iova(node)->pfn_hi);
	return 0;
}
