/*
 * Drives the kernel's drivers/gpu/drm/drm_mm.c with a recording (linux-drm_mm, uncompressed): one replay that compares
 * every answer, then as many as the time allows that only measure. Nodes are allocated beforehand, as a driver has them
 * in its own records.
 *
 *   drm_mm RECORDING SECONDS -> {"steps":n,"nsPerStep":x,"parted":line or 0}
 */
#include <drm/drm_mm.h>

#include <time.h>

#include "drive.h"

struct step {
	char letter;
	enum drm_mm_insert_mode mode;
	unsigned int id;
	int line;
	unsigned long color;
	u64 size, alignment, lo, hi;
	long long expected;
};

static struct step *steps;
static size_t count, ids;
static u64 start, size;
static struct drm_mm_node *nodes;

static void fail(const char *why, int line)
{
	fprintf(stderr, "drm_mm: line %d: %s\n", line, why);
	exit(2);
}

static enum drm_mm_insert_mode mode_of(const char *name, int line)
{
	static const struct { const char *name; enum drm_mm_insert_mode mode; } known[] = {
		{ "best", DRM_MM_INSERT_BEST }, { "low", DRM_MM_INSERT_LOW },
		{ "high", DRM_MM_INSERT_HIGH }, { "evict", DRM_MM_INSERT_EVICT },
	};
	size_t length = strcspn(name, "+");

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); ++i)
		if (strlen(known[i].name) == length && !strncmp(name, known[i].name, length))
			return known[i].mode | (name[length] ? DRM_MM_INSERT_ONCE : 0);
	fail("mode is not known", line);
	return 0;
}

static long long result_of(const char *text)
{
	return text[0] == '-' ? strtoll(text, NULL, 10) : (long long)strtoull(text, NULL, 16);
}

static void parse(const char *path)
{
	FILE *file = fopen(path, "r");
	char line[256], mode[32], answer[32];
	size_t room = 1 << 16;
	int number = 0;

	if (!file)
		fail("cannot be read", 0);
	steps = malloc(room * sizeof(*steps));
	while (fgets(line, sizeof(line), file)) {
		struct step s = { .letter = line[0], .line = ++number };

		switch (s.letter) {
		case 'I':
			if (size)
				fail("a second manager", number);
			sscanf(line + 1, "%lx %lx", &start, &size);
			continue;
		case 'i':
			sscanf(line + 1, "%u %lx %lx %lu %lx %lx %31s %31s", &s.id, &s.size, &s.alignment, &s.color, &s.lo,
			       &s.hi, mode, answer);
			s.mode = mode_of(mode, number);
			s.expected = result_of(answer);
			break;
		case 'v':
			sscanf(line + 1, "%u %lx %lx %lu %31s", &s.id, &s.lo, &s.size, &s.color, answer);
			s.expected = result_of(answer);
			break;
		case 'd':
			sscanf(line + 1, "%u", &s.id);
			break;
		default:
			continue;
		}
		if (s.id >= ids)
			ids = s.id + 1;
		if (count == room)
			steps = realloc(steps, (room *= 2) * sizeof(*steps));
		steps[count++] = s;
	}
	fclose(file);
	nodes = calloc(ids + 1, sizeof(*nodes));
}

static inline long long perform(struct drm_mm *mm, const struct step *s)
{
	struct drm_mm_node *node = &nodes[s->id];
	int error;

	switch (s->letter) {
	case 'i':
		error = drm_mm_insert_node_in_range(mm, node, s->size, s->alignment, s->color, s->lo, s->hi, s->mode);
		break;
	case 'v':
		node->start = s->lo;
		node->size = s->size;
		node->color = s->color;
		error = drm_mm_reserve_node(mm, node);
		break;
	default:
		drm_mm_remove_node(node);
		return 0;
	}
	return error ? error : (long long)node->start;
}

static double replay(bool compare, int *parted)
{
	struct drm_mm *mm = calloc(1, sizeof(*mm));
	struct drm_mm_node *node, *next;
	struct timespec from, to;
	long long sum = 0;

	memset(nodes, 0, (ids + 1) * sizeof(*nodes));
	drm_mm_init(mm, start, size);
	clock_gettime(CLOCK_MONOTONIC, &from);
	if (compare) {
		for (size_t i = 0; i < count && !*parted; ++i)
			if (perform(mm, &steps[i]) != steps[i].expected)
				*parted = steps[i].line;
	} else {
		for (size_t i = 0; i < count; ++i)
			sum += perform(mm, &steps[i]);
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	__asm__ volatile("" ::"r"(sum));
	drm_mm_for_each_node_safe(node, next, mm)
		drm_mm_remove_node(node);
	drm_mm_takedown(mm);
	free(mm);
	return (to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		fail("usage: drm_mm RECORDING SECONDS", 0);
	parse(argv[1]);
	return drive(count, atof(argv[2]), replay);
}
