// SPDX-License-Identifier: MIT
/* Scatterlists in arrays of one piece, without chains. The tree mode can take lib/scatterlist.c instead. */
#include "runtime.h"

struct scatterlist *sg_next(struct scatterlist *sg)
{
	if (sg_is_last(sg))
		return NULL;
	sg++;
	return sg_is_chain(sg) ? sg_chain_ptr(sg) : sg;
}

void sg_init_table(struct scatterlist *sgl, unsigned int n)
{
	gd_check(sgl, n * sizeof(*sgl), 1);
	__builtin_memset(sgl, 0, n * sizeof(*sgl));
	sg_mark_end(&sgl[n - 1]);
}

void sg_init_one(struct scatterlist *sg, const void *buf, unsigned int len)
{
	sg_init_table(sg, 1);
	sg_set_page(sg, gd_virt_to_page(buf), len, offset_in_page(buf));
}

int sg_nents(struct scatterlist *sg)
{
	int n = 0;

	for (; sg; sg = sg_next(sg))
		n++;
	return n;
}

int gd_sg_alloc_table(struct sg_table *table, unsigned int n, gfp_t gfp)
{
	table->sgl = n ? gd_kmalloc(n * sizeof(struct scatterlist), gfp) : NULL;
	table->nents = table->orig_nents = table->sgl ? n : 0;
	if (!table->sgl)
		return n ? -ENOMEM : -EINVAL;
	sg_init_table(table->sgl, n);
	return 0;
}

int gd_sg_alloc_table_from_pages(struct sg_table *table, struct page **pages, unsigned int n, unsigned int offset,
				 unsigned long size, unsigned int longest, gfp_t gfp)
{
	unsigned int most = longest & PAGE_MASK, i, j, entries = 0;
	struct scatterlist *sg;
	int rc;

	if (most == 0 || n == 0)
		return -EINVAL;
	for (i = 0; i < n; i = j, entries++) {
		for (j = i + 1; j < n && page_to_pfn(pages[j]) == page_to_pfn(pages[j - 1]) + 1 && (j - i) * PAGE_SIZE < most; j++)
			;
	}
	rc = gd_sg_alloc_table(table, entries, gfp);
	if (rc)
		return rc;
	sg = table->sgl;
	for (i = 0; i < n; i = j, sg++) {
		unsigned long bytes;

		for (j = i + 1; j < n && page_to_pfn(pages[j]) == page_to_pfn(pages[j - 1]) + 1 && (j - i) * PAGE_SIZE < most; j++)
			;
		bytes = ((unsigned long)(j - i) << PAGE_SHIFT) - offset;
		sg_set_page(sg, pages[i], size < bytes ? size : bytes, offset);
		size -= size < bytes ? size : bytes;
		offset = 0;
	}
	return 0;
}

void sg_free_table(struct sg_table *table)
{
	if (!table->sgl)
		return;
	gd_sg_gone(table->sgl);
	kfree(table->sgl);
	table->sgl = NULL;
	table->nents = table->orig_nents = 0;
}

static size_t copy(struct scatterlist *sgl, unsigned int n, char *buf, size_t len, bool to_buffer)
{
	struct scatterlist *sg;
	size_t done = 0;
	unsigned int i;

	for_each_sg(sgl, sg, n, i) {
		size_t left = sg->length < len - done ? sg->length : len - done, at = 0;

		while (at < left) {
			unsigned long place = sg->offset + at;
			size_t part = PAGE_SIZE - offset_in_page(place);
			char *p = gd_pfn_virt(page_to_pfn(sg_page(sg)) + (place >> PAGE_SHIFT));

			part = part < left - at ? part : left - at;
			p += offset_in_page(place);
			gd_check(p, part, !to_buffer);
			gd_check(buf + done, part, to_buffer);
			__builtin_memcpy(to_buffer ? buf + done : p, to_buffer ? p : buf + done, part);
			at += part;
			done += part;
		}
	}
	return done;
}

size_t sg_copy_from_buffer(struct scatterlist *sgl, unsigned int n, const void *buf, size_t len)
{
	return copy(sgl, n, (char *)buf, len, false);
}

size_t sg_copy_to_buffer(struct scatterlist *sgl, unsigned int n, void *buf, size_t len)
{
	return copy(sgl, n, buf, len, true);
}
