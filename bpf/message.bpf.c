// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The first bytes of a run's connections, judged before they leave: sockets marked at connect() are put into a
 * sockhash when established, its message program reads what is sent, and they are taken out once judged. What comes
 * past it is held back in skb.bpf.c.
 */
#include "opening.bpf.h"

static __always_inline enum reading read_skipped(struct opening *o)
{
	__u8 byte;

	// Alerts and changes of cipher spec, which servers skip: five bytes tell whether it is one.
	for (int i = 0; i < TLS_RECORD_HEADER; i++) {
		if (o->head_length != i)
			continue;
		if (load_stream(o, i, &byte, 1))
			return READING_GONE;
		o->head[i] = byte;
		o->head_length = i + 1;
	}
	return o->head[3] || o->head[4] > TLS_MAX_SKIPPED ? READING_NOTHING : READING_UNREADABLE;
}

/* A global function: verified once, and not once more for each way that leads to it. */
__weak __noinline int read_http(struct opening *o)
{
	struct http_context context = {.opening = o};

	if (!o)
		return READING_UNREADABLE;
	o->window_end = 0;
	bpf_loop(MAX_OPENING, http_step, &context, 0);
	if (o->phase == HTTP_OTHER)
		return READING_NOTHING;
	if (o->phase == HTTP_HEAD)
		end_head(o);
	if (o->phase == HTTP_UNREADABLE)
		return READING_UNREADABLE;
	if (o->phase == HTTP_HEAD)
		return READING_NAMED;
	if (o->position >= MAX_OPENING)
		return o->phase >= HTTP_FIELD || o->flags & LINE_BEGINS ? READING_UNREADABLE : READING_NOTHING;
	return seems_http(o) ? READING_HELD : READING_GONE;
}

static __noinline enum reading read_hello_of(struct opening *o, __u32 *need)
{
	enum tls_end end = read_tls(o, need);

	return end == TLS_INCOMPLETE ? READING_HELD
	       : end == TLS_OTHER    ? READING_NOTHING
	       : end == TLS_HELLO    ? READING_NAMED
				     : READING_UNREADABLE;
}

static __always_inline enum reading read_stream(struct opening *o, __u32 *need)
{
	__u8 first;

	*need = o->size + 1;
	if (!o->start && !load_stream(o, 0, &first, 1))
		o->tls = first == TLS_HANDSHAKE				       ? 1
			 : first == TLS_ALERT || first == TLS_CHANGE_CIPHER_SPEC ? 2
										 : 0;
	if (o->tls == 1)
		return read_hello_of(o, need);
	return o->tls == 2 ? read_skipped(o) : read_http(o);
}

static __always_inline int is_named(const struct authority *a)
{
	return a->kind == AUTHORITY_NAME || a->kind == AUTHORITY_ADDRESS;
}

static __always_inline void tell_opening(const struct hearing *h, const struct judgement *verdict)
{
	struct opening_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	const struct socket *socket = h->socket;
	const struct opening *o = h->opening;
	int denied = verdict->decision == DECISION_DENY;
	__u32 ticket = denied ? take_ticket(&h->to, socket->run, o->name_hash) : 0;
	__u32 says = o->says;

	if (!event) {
		count_loss(LOSS_EVENTS, socket->run);
		return;
	}
	__builtin_memset(event, 0, sizeof(*event));
	fill_header(&event->attempt.header, EVENT_OPENING, socket->run);
	copy_address(event->attempt.address, h->to.address);
	event->attempt.cookie = socket->cookie;
	event->attempt.netns = socket->netns;
	event->attempt.generation = verdict->generation;
	event->attempt.fact = verdict->fact;
	event->attempt.port = h->to.port;
	event->attempt.protocol = h->to.protocol;
	event->attempt.hook = HOOK_MESSAGE;
	event->attempt.decision = verdict->decision;
	event->attempt.cause = verdict->cause;
	event->attempt.errno = denied ? EACCES : 0;
	event->attempt.socket_type = SOCK_STREAM;
	event->attempt.elsewhere = socket->elsewhere;
	event->attempt.opening = socket->use;
	event->attempt.count = 1;
	event->attempt.ticket = ticket;
	copy_address(event->attempt.source, o->source);
	event->attempt.source_port = o->source_port;
	if (h->reading == READING_UNREADABLE)
		says = (says & (SAYS_TLS | SAYS_HTTP)) | SAYS_UNREADABLE;
	if (h->reading == READING_NAMED) {
		if (h->named->kind == AUTHORITY_NAME) {
			says |= SAYS_NAME;
			event->name_length = h->named->name_length;
			bpf_probe_read_kernel(event->name, NAME_SIZE, h->named->text);
		} else {
			says |= SAYS_ADDRESS;
			copy_address(event->inner, h->named->address);
		}
		if (says & SAYS_PROXIED && h->named->port) {
			says |= SAYS_PORT;
			event->inner_port = h->named->port;
		}
	}
	event->says = says;
	bpf_ringbuf_submit(event, submit_flags(ticket != 0));
	await_told(ticket);
}

/* Where the socket is bound: user space ends it by that, once its denial is told. */
static __always_inline void note_source(struct sk_msg_md *msg, struct opening *o, int ipv4)
{
	__u32 *words = (void *)o->source;

	o->source_port = msg->local_port;
	if (ipv4) {
		map_ipv4(o->source, msg->local_ip4);
		return;
	}
	words[0] = msg->local_ip6[0];
	words[1] = msg->local_ip6[1];
	words[2] = msg->local_ip6[2];
	words[3] = msg->local_ip6[3];
}

static __noinline int decide_opening(struct opening *o, struct socket *socket, enum reading reading)
{
	struct hearing h = {.opening = o, .socket = socket, .reading = reading};
	struct judgement verdict = {};
	__u64 run = socket->run;

	h.state = bpf_map_lookup_elem(&runs, &run);
	copy_address(h.to.address, socket->address);
	h.to.port = socket->port;
	h.to.protocol = IPPROTO_TCP;
	h.named = is_named(&o->target) ? &o->target : &o->host;
	if (reading == READING_NAMED && !is_named(h.named))
		h.reading = READING_NOTHING;
	if (h.reading == READING_NAMED && h.named->kind == AUTHORITY_NAME)
		reverse_name(h.named, o);
	judge(run, h.state, &h.to, socket->netns, &verdict);
	if (h.state)
		verdict.decision = judge_opening(&h, &verdict);
	tell_opening(&h, &verdict);
	return verdict.decision != DECISION_DENY;
}

SEC("sk_msg")
int message(struct sk_msg_md *msg)
{
	struct bpf_sock *sk = msg->sk;
	struct socket *socket;
	struct opening *o;
	enum reading reading;
	__u32 size = msg->size, need = 0;

	// The kernel keeps the wish of the time before: later bytes would wait for it, and be lost.
	bpf_msg_cork_bytes(msg, 0);
	socket = sk ? bpf_sk_storage_get(&sockets, sk, 0, 0) : NULL;
	if (!socket || socket->opening == STATE_DENIED)
		return SK_DROP;
	if (socket->opening == STATE_OPEN)
		return SK_PASS;
	o = bpf_sk_storage_get(&openings, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!o) {
		count_loss(LOSS_OPENINGS, socket->run);
		socket->opening = STATE_DENIED;
		return SK_DROP;
	}
	o->size = o->start + size < MAX_OPENING ? o->start + size : MAX_OPENING;
	if (o->size > o->start && bpf_msg_pull_data(msg, 0, o->size - o->start, 0)) {
		reading = READING_UNREADABLE;
	} else {
		o->data = (__u64)(long)msg->data;
		reading = read_stream(o, &need);
	}
	if (reading == READING_HELD) {
		bpf_msg_cork_bytes(msg, need - o->start);
		return SK_PASS;
	}
	// What may be a whole request to some server must not leave where it has to name somebody.
	if (reading == READING_GONE && o->doubled && socket->use != OPENING_READ)
		reading = READING_NOTHING;
	if (reading == READING_GONE) {
		o->start += size;
		socket->opening = STATE_BEGUN;
		return SK_PASS;
	}
	note_source(msg, o, is_mapped(socket->address));
	socket->opening = decide_opening(o, socket, reading) ? STATE_OPEN : STATE_DENIED;
	bpf_sk_storage_delete(&openings, sk);
	return socket->opening == STATE_OPEN ? SK_PASS : SK_DROP;
}

SEC("sockops")
int established(struct bpf_sock_ops *ctx)
{
	struct socket *socket;
	struct bpf_sock *sk;
	__u64 cookie;

	// Most of what this is called for is something else, and `sk` is dear to read.
	if (ctx->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB && ctx->op != BPF_SOCK_OPS_RTT_CB)
		return 1;
	sk = ctx->sk;
	if (!sk)
		return 1;
	socket = bpf_sk_storage_get(&sockets, sk, 0, 0);
	if (!socket || !socket->cookie)
		return 1;
	cookie = socket->cookie;
	if (ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB) {
		if (socket->opening == STATE_OPEN)
			return 1;
		if (bpf_sock_hash_update(ctx, &opening_sockets, &cookie, BPF_ANY))
			count_loss(LOSS_OPENINGS, socket->run);
		else
			bpf_sock_ops_cb_flags_set(ctx, BPF_SOCK_OPS_RTT_CB_FLAG);
	} else if (socket->opening == STATE_OPEN) {
		// Judged and acknowledged: what follows is nobody's business, and kTLS takes no socket of a sockhash.
		bpf_map_delete_elem(&opening_sockets, &cookie);
		bpf_sock_ops_cb_flags_set(ctx, 0);
	}
	return 1;
}
