// SPDX-License-Identifier: MIT
/* Socket buffers: a head of the runtime's and data of kmalloc's, with frags. No fragment lists, no clones of half a buffer. */
#include "runtime.h"

#define INFO_SIZE SKB_DATA_ALIGN(sizeof(struct skb_shared_info))

static struct sk_buff *skb_make(void *data, u32 size, struct net_device *dev)
{
	struct sk_buff *s = gd_object_alloc(sizeof(*s), GD_KIND_SKB, true);

	if (!s)
		return NULL;
	s->head = s->data = data;
	s->tail = data;
	s->end = (sk_buff_data_t)((unsigned char *)data + size);
	s->truesize = size + sizeof(*s);
	s->dev = dev;
	refcount_set(&s->users, 1);
	__builtin_memset(skb_shinfo(s), 0, sizeof(struct skb_shared_info));
	atomic_set(&skb_shinfo(s)->dataref, 1);
	return s;
}

static struct sk_buff *skb_alloc(struct net_device *dev, u32 size, u32 reserve)
{
	u32 bytes = SKB_DATA_ALIGN(size + reserve);
	void *data = gd_object_alloc(bytes + INFO_SIZE, GD_KIND_SKB_DATA, false);
	struct sk_buff *s;

	if (!data)
		return NULL;
	s = skb_make(data, bytes, dev);
	if (!s) {
		gd_object_free(data, GD_KIND_SKB_DATA);
		return NULL;
	}
	skb_reserve(s, reserve);
	return s;
}

struct sk_buff *gd_alloc_skb(struct net_device *dev, unsigned int size, gfp_t gfp, unsigned int reserve)
{
	gd_in_atomic(gfp, "alloc_skb");
	return gd_fail(GD_FAULT_SKB) ? NULL : skb_alloc(dev, size, reserve);
}

struct sk_buff *build_skb(void *data, unsigned int size)
{
	u32 bytes = size ? size : gd_object_size(data);
	struct sk_buff *s;

	if (gd_fail(GD_FAULT_SKB))
		return NULL;
	s = skb_make(data, bytes - INFO_SIZE, NULL);
	if (s)
		s->head_frag = size != 0;
	return s;
}

static void skb_free(struct sk_buff *s)
{
	struct skb_shared_info *info = skb_shinfo(s);
	u32 i;

	if (!refcount_dec_and_test(&s->users))
		return;
	if (s->destructor)
		s->destructor(s);
	for (i = 0; i < info->nr_frags; i++)
		gd_put_page(skb_frag_page(&info->frags[i]));
	info->nr_frags = 0;
	if (s->head_frag)
		gd_put_page(gd_virt_to_page(s->head));
	else
		gd_object_free(s->head, GD_KIND_SKB_DATA);
	gd_object_free(s, GD_KIND_SKB);
}

#undef kfree_skb
void gd_kfree_skb(struct sk_buff *s)
{
	if (!s)
		return;
	if (gd_object_size(s) == 0) {
		gd_finding(GD_DOUBLE_FREE, s, 0, NULL, "frees an skb that is free already");
		return;
	}
	skb_free(s);
}

static void over(const char *what, struct sk_buff *s, u32 n)
{
	gd_finding(GD_BUG, s, n, NULL, "%s of %u bytes goes beyond the skb's buffer", what, n);
	gd_host_oops(what);
}

#undef skb_put
void *skb_put(struct sk_buff *s, unsigned int n)
{
	void *at = skb_tail_pointer(s);

	if (s->tail + n > s->end)
		over("skb_put", s, n);
	s->tail += n;
	s->len += n;
	return at;
}

void *skb_push(struct sk_buff *s, unsigned int n)
{
	s->data -= n;
	s->len += n;
	if (s->data < s->head)
		over("skb_push", s, n);
	return s->data;
}

void *skb_pull(struct sk_buff *s, unsigned int n)
{
	if (n > s->len)
		return NULL;
	s->len -= n;
	return s->data += n;
}

void skb_trim(struct sk_buff *s, unsigned int n)
{
	if (s->len > n) {
		s->len = n;
		s->tail = s->data + n;
	}
}

/* Each piece of an skb in turn: its address and length, 0 past the end. Piece 0 is the linear part. */
static u32 piece(const struct sk_buff *s, u32 i, char **at)
{
	const skb_frag_t *f;

	if (i == 0) {
		*at = (char *)s->data;
		return skb_headlen(s);
	}
	if (i > skb_shinfo(s)->nr_frags)
		return 0;
	f = &skb_shinfo(s)->frags[i - 1];
	*at = (char *)page_address(skb_frag_page(f)) + skb_frag_off(f);
	return skb_frag_size(f);
}

int skb_copy_bits(const struct sk_buff *s, int offset, void *to, int n)
{
	u32 i;
	char *at;

	if (offset + n > (int)s->len)
		return -EFAULT;
	for (i = 0; n > 0 && i <= skb_shinfo(s)->nr_frags; i++) {
		int length = piece(s, i, &at), part;

		if (offset >= length) {
			offset -= length;
			continue;
		}
		part = length - offset < n ? length - offset : n;
		gd_check(at + offset, part, 0);
		gd_check(to, part, 1);
		__builtin_memcpy(to, at + offset, part);
		to = (char *)to + part;
		n -= part;
		offset = 0;
	}
	return n == 0 ? 0 : -EFAULT;
}

struct sk_buff *gd_skb_copy(const struct sk_buff *s, gfp_t gfp)
{
	struct sk_buff *copy;

	gd_in_atomic(gfp, "skb_copy");
	if (gd_fail(GD_FAULT_SKB))
		return NULL;
	copy = skb_alloc(s->dev, s->len, skb_headroom(s));
	if (!copy)
		return NULL;
	skb_copy_bits(s, 0, skb_put(copy, s->len), s->len);
	copy->protocol = s->protocol;
	copy->ip_summed = s->ip_summed;
	return copy;
}

int gd_skb_linearize(struct sk_buff *s)
{
	u32 i, n = s->len, headroom = skb_headroom(s);
	char *data, *old = (char *)s->head;
	struct skb_shared_info *info = skb_shinfo(s);
	struct skb_shared_info keep = *info;

	if (gd_fail(GD_FAULT_SKB))
		return -ENOMEM;
	data = gd_object_alloc(SKB_DATA_ALIGN(n + headroom) + INFO_SIZE, GD_KIND_SKB_DATA, false);
	if (!data)
		return -ENOMEM;
	skb_copy_bits(s, 0, data + headroom, n);
	for (i = 0; i < info->nr_frags; i++)
		gd_put_page(skb_frag_page(&info->frags[i]));
	s->head = (unsigned char *)data;
	s->data = (unsigned char *)data + headroom;
	s->tail = s->data + n;
	s->end = (sk_buff_data_t)(data + SKB_DATA_ALIGN(n + headroom));
	s->data_len = 0;
	*skb_shinfo(s) = keep;
	skb_shinfo(s)->nr_frags = 0;
	gd_object_free(old, GD_KIND_SKB_DATA);
	return 0;
}

/* Pads with zeros; with no room the data moves to a larger buffer. Frees the skb where that fails. */
int gd_skb_padto(struct sk_buff *s, unsigned int len, bool put)
{
	u32 n = s->len, more = len > n ? len - n : 0;

	if (more == 0)
		return 0;
	if (s->data_len || s->tail + more > s->end) {
		u32 headroom = skb_headroom(s);
		char *data, *old = (char *)s->head;

		data = gd_fail(GD_FAULT_SKB) ? NULL : gd_object_alloc(SKB_DATA_ALIGN(len + headroom) + INFO_SIZE, GD_KIND_SKB_DATA, false);
		if (!data) {
			gd_kfree_skb(s);
			return -ENOMEM;
		}
		skb_copy_bits(s, 0, data + headroom, n);
		__builtin_memset(data + SKB_DATA_ALIGN(len + headroom), 0, sizeof(struct skb_shared_info));
		s->head = (unsigned char *)data;
		s->data = (unsigned char *)data + headroom;
		s->tail = s->data + n;
		s->end = (sk_buff_data_t)(data + SKB_DATA_ALIGN(len + headroom));
		s->data_len = 0;
		gd_object_free(old, GD_KIND_SKB_DATA);
	}
	__builtin_memset(s->tail, 0, more);
	if (put)
		skb_put(s, more);
	return 0;
}

void gd_add_rx_frag(struct sk_buff *s, int i, struct page *page, int off, int size, unsigned int truesize)
{
	skb_frag_fill_page_desc(&skb_shinfo(s)->frags[i], page, off, size);
	skb_shinfo(s)->nr_frags = i + 1;
	s->len += size;
	s->data_len += size;
	s->truesize += truesize;
}

void skb_queue_tail(struct sk_buff_head *q, struct sk_buff *s)
{
	s->next = (struct sk_buff *)q;
	s->prev = q->prev;
	q->prev->next = s;
	q->prev = s;
	q->qlen++;
}

struct sk_buff *skb_dequeue(struct sk_buff_head *q)
{
	struct sk_buff *s = q->next;

	if (s == (struct sk_buff *)q)
		return NULL;
	q->next = s->next;
	s->next->prev = (struct sk_buff *)q;
	s->next = s->prev = NULL;
	q->qlen--;
	return s;
}

/* A packet for the scenario to send: bytes first, first + 1, ... ; `frags` pages of `each` bytes behind a linear part. */
struct sk_buff *gd_skb_build(struct net_device *dev, u32 linear, u32 frags, u32 each, u32 first)
{
	struct sk_buff *s = skb_alloc(dev, linear < 128 ? 128 : linear, NET_SKB_PAD);
	u32 i, j;
	u8 *at;

	if (!s)
		return NULL;
	at = skb_put(s, linear);
	for (i = 0; i < linear; i++)
		at[i] = first++;
	for (i = 0; i < frags; i++) {
		struct page *page = gd_alloc_pages(GFP_ATOMIC | __GFP_NOFAIL, 0);

		if (!page)
			break;
		at = page_address(page);
		for (j = 0; j < each; j++)
			at[j] = first++;
		gd_add_rx_frag(s, i, page, 0, each, PAGE_SIZE);
	}
	return s;
}

/* The network stack gets a packet: it reads every byte, tells the host, frees it. */
void gd_skb_deliver(struct net_device *dev, struct sk_buff *s)
{
	u32 i, length;
	char *at;

	for (i = 0; i <= skb_shinfo(s)->nr_frags; i++) {
		length = piece(s, i, &at);
		gd_check(at, length, 0);
		gd_host_packet((u32)dev, at, length, i == skb_shinfo(s)->nr_frags);
	}
	gd_kfree_skb(s);
}

#ifndef GD_TREE
int __skb_linearize(struct sk_buff *s)
{
	return gd_skb_linearize(s);
}

void consume_skb(struct sk_buff *s)
{
	gd_kfree_skb(s);
}

void kfree_skb_reason(struct sk_buff *s, int reason)
{
	gd_kfree_skb(s);
}

struct sk_buff *skb_copy(const struct sk_buff *s, gfp_t gfp)
{
	return gd_skb_copy(s, gfp);
}

struct sk_buff *skb_get(struct sk_buff *s)
{
	refcount_inc(&s->users);
	return s;
}

void skb_queue_purge_reason(struct sk_buff_head *q, int reason)
{
	struct sk_buff *s;

	while ((s = skb_dequeue(q)))
		gd_kfree_skb(s);
}

void skb_add_rx_frag_netmem(struct sk_buff *s, int i, struct page *page, int off, int size, unsigned int truesize)
{
	gd_add_rx_frag(s, i, page, off, size, truesize);
}
#endif
