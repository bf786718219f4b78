/*
 * Records what the kernel's drivers/gpu/drm/drm_mm.c answers to a list of operations, in the format of
 * test/golden/drm_mm:
 *
 *   record OPERATIONS  -> the recording on standard output
 *
 * Operations are a recording's lines without their results. An operation on a node that is not there is left out.
 */
#include <drm/drm_mm.h>

#include <stdio.h>

static struct drm_mm mm;
static struct drm_mm_node *nodes[1 << 20];

static enum drm_mm_insert_mode mode_of(const char *name)
{
	size_t length = strcspn(name, "+");
	enum drm_mm_insert_mode once = name[length] ? DRM_MM_INSERT_ONCE : 0;

	switch (name[0]) {
	case 'b':
		return DRM_MM_INSERT_BEST | once;
	case 'l':
		return DRM_MM_INSERT_LOW | once;
	case 'h':
		return DRM_MM_INSERT_HIGH | once;
	default:
		return DRM_MM_INSERT_EVICT | once;
	}
}

static void print_result(unsigned int id, struct drm_mm_node *node, int error)
{
	if (error) {
		free(node);
		printf("%d\n", error);
	} else {
		nodes[id] = node;
		printf("%llx\n", (unsigned long long)node->start);
	}
}

static void perform(const char *line)
{
	unsigned long size, alignment, color, lo, hi;
	unsigned int id;
	char mode[32];
	struct drm_mm_node *node;
	int error;

	if (sscanf(line + 1, "%u", &id) != 1 || id >= sizeof(nodes) / sizeof(nodes[0]))
		exit(2);
	if (line[0] == 'd') {
		if (!nodes[id])
			return;
		drm_mm_remove_node(nodes[id]);
		free(nodes[id]);
		nodes[id] = NULL;
		printf("d %u\n", id);
		return;
	}
	if (nodes[id])
		return;
	node = calloc(1, sizeof(*node));
	if (line[0] == 'i') {
		if (sscanf(line + 1, "%u %lx %lx %lu %lx %lx %31s", &id, &size, &alignment, &color, &lo, &hi, mode) != 7)
			exit(2);
		error = drm_mm_insert_node_in_range(&mm, node, size, alignment, color, lo, hi, mode_of(mode));
		printf("i %u %lx %lx %lu %lx %lx %s ", id, size, alignment, color, lo, hi, mode);
	} else {
		if (sscanf(line + 1, "%u %lx %lx %lu", &id, &lo, &size, &color) != 4)
			exit(2);
		node->start = lo;
		node->size = size;
		node->color = color;
		error = drm_mm_reserve_node(&mm, node);
		printf("v %u %lx %lx %lu ", id, lo, size, color);
	}
	print_result(id, node, error);
}

int main(int argc, char **argv)
{
	FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
	char line[256];
	unsigned long start, size;

	if (!file || !fgets(line, sizeof(line), file) || sscanf(line, "I %lx %lx", &start, &size) != 2)
		return 2;
	drm_mm_init(&mm, start, size);
	printf("# linux-drm_mm 1 variant=differential\nI %lx %lx\n", start, size);
	while (fgets(line, sizeof(line), file))
		perform(line);
	return 0;
}
