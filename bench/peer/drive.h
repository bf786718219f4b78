/*
 * What every driver does with its recording: one replay that compares every answer, then as many as the time allows that
 * only measure, and their median as one line of JSON.
 */
static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

/* replay returns nanoseconds; when it compares, it writes the line of the first answer that differs. */
static int drive(size_t count, double seconds, double (*replay)(bool compare, int *parted))
{
	double times[99], spent = 0;
	int parted = 0, runs = 0;

	replay(true, &parted);
	while (!parted && runs < 99 && (runs == 0 || spent < seconds * 1e9))
		spent += times[runs++] = replay(false, NULL);
	qsort(times, runs, sizeof(*times), ascending);
	printf("{\"steps\":%zu,\"nsPerStep\":%f,\"parted\":%d}\n", count, runs ? times[runs / 2] / count : 0, parted);
	return 0;
}
