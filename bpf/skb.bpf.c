// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Packets. Egress is the last resort: it judges only what no call hook has on record (raw IP, ping sockets,
 * TCP in SYN_SENT, UDP to another destination or under an older policy), never replies; and it holds back what a
 * marked connection sends past the message hook. In audit mode, where nothing is redirected and no socket is marked,
 * first bytes are told from here in passing, and ingress tells DNS answers.
 */
#include "verdict.bpf.h"

#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd
#define DNS_PORT 53
#define MAX_EXTENSION_HEADERS 6
#define TCP_SEQUENCE 4
#define TCP_DATA_OFFSET 12
/* What is told of a connection's first bytes in audit mode. */
#define MAX_TOLD 8192

struct ipv4_header {
	__u8 version_ihl, tos;
	__u16 length, id, fragment;
	__u8 ttl, protocol;
	__u16 checksum;
	__u32 source, destination;
};

struct ipv6_header {
	__u32 version_class_flow;
	__u16 payload_length;
	__u8 next, hop_limit;
	__u8 source[16], destination[16];
};

struct packet {
	struct destination to;
	__u8 from[16];
	__u16 from_port;
	__u16 transport;
	__u8 ipv4;
};

static __always_inline int read_ports(struct __sk_buff *skb, struct packet *packet, __u32 offset)
{
	__u16 both[2];

	packet->transport = offset;
	if (packet->to.protocol != IPPROTO_TCP && packet->to.protocol != IPPROTO_UDP)
		return 1;
	if (bpf_skb_load_bytes(skb, offset, both, sizeof(both)))
		return 0;
	packet->from_port = bpf_ntohs(both[0]);
	packet->to.port = bpf_ntohs(both[1]);
	return 1;
}

static __always_inline int read_ipv4(struct __sk_buff *skb, struct packet *packet)
{
	struct ipv4_header header;

	if (bpf_skb_load_bytes(skb, 0, &header, sizeof(header)))
		return 0;
	packet->ipv4 = 1;
	map_ipv4(packet->from, header.source);
	map_ipv4(packet->to.address, header.destination);
	packet->to.protocol = header.protocol;
	if (header.fragment & bpf_htons(0x1fff))
		return 1;
	return read_ports(skb, packet, (header.version_ihl & 0xf) * 4);
}

static __always_inline int read_ipv6(struct __sk_buff *skb, struct packet *packet)
{
	__u32 offset = sizeof(struct ipv6_header);
	struct ipv6_header header;
	__u8 extension[4];
	__u8 next;

	if (bpf_skb_load_bytes(skb, 0, &header, sizeof(header)))
		return 0;
	__builtin_memcpy(packet->from, header.source, 16);
	__builtin_memcpy(packet->to.address, header.destination, 16);
	next = header.next;
	for (int i = 0; i < MAX_EXTENSION_HEADERS; i++) {
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS &&
		    next != IPPROTO_FRAGMENT)
			break;
		if (bpf_skb_load_bytes(skb, offset, extension, sizeof(extension)))
			return 0;
		if (next == IPPROTO_FRAGMENT && (extension[2] || extension[3] & 0xf8)) {
			// A later fragment has no ports of its own.
			packet->to.protocol = extension[0];
			return 1;
		}
		offset += next == IPPROTO_FRAGMENT ? 8 : (extension[1] + 1) * 8;
		next = extension[0];
	}
	packet->to.protocol = next;
	return read_ports(skb, packet, offset);
}

/* Who a packet is from and where to; 0: it cannot be read. A global function: verified once, not at each caller. */
__weak __noinline int read_packet(struct __sk_buff *skb, struct packet *packet)
{
	if (!packet)
		return 0;
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return read_ipv4(skb, packet);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return read_ipv6(skb, packet);
	return 0;
}

/* Softirq may run this: who sends is what the socket remembers, never the current task. */
static __always_inline void tell_packet(const struct packet *packet, __u64 run, __u32 pid, __u64 cookie,
					__u32 type, const struct judgement *verdict)
{
	struct attempt_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	int denied = verdict->decision == DECISION_DENY;

	if (!event) {
		count_loss(LOSS_EVENTS, run);
		return;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->header.time = bpf_ktime_get_ns();
	event->header.run = run;
	event->header.kind = type == SOCK_STREAM ? EVENT_CONNECT : EVENT_SEND;
	event->header.pid = pid;
	event->header.uid = (__u32)-1;
	copy_address(event->address, packet->to.address);
	copy_address(event->source, packet->from);
	event->source_port = packet->from_port;
	event->port = packet->to.port;
	event->protocol = packet->to.protocol;
	event->cookie = cookie;
	event->generation = verdict->generation;
	event->fact = verdict->fact;
	event->count = 1;
	event->hook = HOOK_EGRESS;
	event->decision = verdict->decision;
	event->cause = verdict->cause;
	// Only UDP hears of the drop (udp_send_skb); what others see is not known here.
	event->errno = denied && packet->to.protocol == IPPROTO_UDP ? EPERM : 0;
	event->socket_type = type;
	event->elsewhere = verdict->elsewhere;
	bpf_ringbuf_submit(event, submit_flags(denied));
}

/* Leaves word for the DNS proxy of who is behind a source port. */
static __always_inline int note_client(struct socket *socket, const struct packet *packet)
{
	struct client_key key = {};
	struct client client = {};

	key.protocol = packet->to.protocol;
	key.family = packet->ipv4 ? 4 : 6;
	key.port = packet->from_port;
	client.run = socket->run;
	client.time = bpf_ktime_get_ns();
	client.pid = socket->pid;
	client.original_port = socket->original_port;
	copy_address(client.original, socket->original);
	if (bpf_map_update_elem(&clients, &key, &client, BPF_ANY)) {
		count_loss(LOSS_CLIENTS, socket->run);
		return 0;
	}
	socket->client_port = packet->from_port;
	return 1;
}

static __always_inline int answers_peer(const struct packet *packet, __u64 cookie)
{
	struct peer_key key = {.cookie = cookie, .port = packet->to.port};

	copy_address(key.address, packet->to.address);
	return bpf_map_lookup_elem(&peers, &key) != NULL;
}

/* The run whose cgroup the packet's socket is in; else what is at the deepest level, which is none. */
static __always_inline __u64 packet_run(struct __sk_buff *skb, const struct engine *words)
{
	__u64 cgroup = 0;

	for (int i = 0; i < MAX_LEVELS && words->levels[i]; i++) {
		cgroup = bpf_skb_ancestor_cgroup_id(skb, words->levels[i]);
		if (cgroup && bpf_map_lookup_elem(&runs, &cgroup))
			break;
	}
	return cgroup;
}

/* What no call hook has spoken about: 1 lets it go, 0 drops it. */
static __always_inline int judge_packet(struct __sk_buff *skb, struct bpf_sock *sk, __u32 type)
{
	__u32 protocol = sk->protocol, pid = 0;
	struct engine *words = the_engine();
	struct judgement verdict = {};
	struct packet packet = {};
	struct socket *socket;
	__u64 run = 0, netns = 0, cookie;
	int by_link;

	socket = bpf_sk_storage_get(&sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!words || !read_packet(skb, &packet))
		return 0;
	settle_unspecified(packet.to.address);
	by_link = skb->ifindex != LOOPBACK_IFINDEX && is_loopback(packet.to.address);
	if (socket) {
		run = socket->run;
		pid = socket->pid;
		netns = socket->netns;
		// The first packet of a connection goes by what was decided at connect(), if another policy came since.
		if (!by_link && (type == SOCK_STREAM ? was_allowed(socket, &packet.to) : on_record(socket, &packet.to)))
			return socket->redirected && packet.to.port == words->proxy_port
				       ? note_client(socket, &packet)
				       : 1;
	}
	if (!run)
		run = packet_run(skb, words);
	cookie = bpf_get_socket_cookie(skb);
	if (protocol == IPPROTO_UDP && type == SOCK_DGRAM && answers_peer(&packet, cookie))
		return 1;
	judge(run, bpf_map_lookup_elem(&runs, &run), &packet.to, netns, &verdict);
	// A packet is not followed: no later byte can say what it is for.
	if (verdict.opening == OPENING_WAIT && type != SOCK_STREAM)
		verdict.decision = DECISION_DENY;
	if (by_link && verdict.enforce) {
		verdict.decision = DECISION_DENY;
		verdict.cause = CAUSE_LOOPBACK_BY_LINK;
	}
	if (verdict.decision == DECISION_DENY) {
		tell_packet(&packet, run, pid, cookie, type, &verdict);
		return 0;
	}
	if (type == SOCK_STREAM && socket && verdict.opening != OPENING_NONE)
		record(socket, &packet.to, &verdict);
	if (type == SOCK_STREAM || (type == SOCK_DGRAM && protocol == IPPROTO_UDP))
		return 1;
	tell_packet(&packet, run, pid, cookie, type, &verdict);
	if (socket)
		record(socket, &packet.to, &verdict);
	return 1;
}

/* Where the payload of a TCP packet begins; 0 when it has none. */
static __always_inline __u32 payload_of(struct __sk_buff *skb, const struct packet *packet)
{
	__u8 data_offset;
	__u32 offset;

	if (packet->to.protocol != IPPROTO_TCP ||
	    bpf_skb_load_bytes(skb, packet->transport + TCP_DATA_OFFSET, &data_offset, 1))
		return 0;
	offset = packet->transport + (data_offset >> 4) * 4;
	return skb->len > offset ? offset : 0;
}

static __always_inline void tell_piece(struct __sk_buff *skb, struct socket *socket, __u32 from, __u32 length)
{
	struct opening_piece_event *event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);

	if (!event) {
		count_loss(LOSS_EVENTS, socket->run);
		return;
	}
	__builtin_memset(event, 0, offsetof(struct opening_piece_event, payload));
	event->header.time = bpf_ktime_get_ns();
	event->header.run = socket->run;
	event->header.kind = EVENT_OPENING_PIECE;
	event->header.pid = socket->pid;
	event->header.uid = (__u32)-1;
	event->cookie = socket->cookie;
	event->offset = socket->told;
	// 1 to OPENING_PIECE already; said so that the verifier of 6.1 sees it.
	barrier_var(length);
	length = ((length - 1) & (OPENING_PIECE - 1)) + 1;
	if (bpf_skb_load_bytes(skb, from, event->payload, length)) {
		bpf_ringbuf_discard(event, BPF_RB_NO_WAKEUP);
		return;
	}
	event->length = length;
	bpf_ringbuf_submit(event, submit_flags(0));
}

/* Tells what a connection begins with: bytes that come twice once, and what comes out of order not at all. */
static __always_inline void tell_opening_bytes(struct __sk_buff *skb, struct socket *socket,
					       const struct packet *packet, __u32 from)
{
	__u32 sequence, end = skb->len, payload = end - from;

	if (bpf_skb_load_bytes(skb, packet->transport + TCP_SEQUENCE, &sequence, sizeof(sequence)))
		return;
	sequence = bpf_ntohl(sequence);
	if (!socket->told)
		socket->sequence = sequence;
	if (sequence != socket->sequence)
		return;
	socket->sequence = sequence + payload;
	for (int i = 0; i < MAX_TOLD / OPENING_PIECE; i++) {
		__u32 length = end - from;

		if (from >= end || socket->told >= MAX_TOLD)
			break;
		if (length > OPENING_PIECE)
			length = OPENING_PIECE;
		tell_piece(skb, socket, from, length);
		socket->told += length;
		from += length;
	}
	if (socket->told >= MAX_TOLD)
		socket->opening = STATE_OPEN;
}

/* A connection that is established: its first bytes are for the message hook to let go. */
static __always_inline int pass_opening(struct __sk_buff *skb, struct bpf_sock *sk)
{
	struct socket *socket = bpf_sk_storage_get(&sockets, sk, 0, 0);
	struct judgement verdict = {.decision = DECISION_DENY, .cause = CAUSE_UNREAD, .enforce = 1};
	struct packet packet = {};
	__u32 from;

	if (!socket || socket->opening == STATE_OPEN || socket->opening == STATE_BEGUN)
		return 1;
	if (!read_packet(skb, &packet))
		return 0;
	from = payload_of(skb, &packet);
	if (!from)
		return 1;
	if (socket->opening == STATE_HEARD) {
		tell_opening_bytes(skb, socket, &packet, from);
		return 1;
	}
	if (socket->opening == STATE_MARKED) {
		// For good: what follows would be judged as if it were the beginning.
		socket->opening = STATE_DENIED;
		verdict.generation = socket->generation;
		verdict.fact = socket->fact;
		verdict.elsewhere = socket->elsewhere;
		tell_packet(&packet, socket->run, socket->pid, socket->cookie, SOCK_STREAM, &verdict);
	}
	return 0;
}

SEC("cgroup_skb/egress")
int egress(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	__u32 type;

	if (!sk)
		return 1;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 1;
	type = sk->type;
	if (type == SOCK_STREAM && sk->state != BPF_TCP_SYN_SENT)
		return pass_opening(skb, sk);
	return judge_packet(skb, sk, type);
}

SEC("cgroup_skb/ingress")
int ingress(struct __sk_buff *skb)
{
	struct packet packet = {};
	struct bpf_sock *sk = skb->sk;
	struct dns_event *event;
	struct socket *socket;
	__u32 offset, length;
	__u8 data_offset;

	if (!sk)
		return 1;
	sk = bpf_sk_fullsock(sk);
	if (!sk || (sk->protocol != IPPROTO_UDP && sk->protocol != IPPROTO_TCP))
		return 1;
	if (sk->dst_port && sk->dst_port != bpf_htons(DNS_PORT))
		return 1;
	socket = bpf_sk_storage_get(&sockets, sk, 0, 0);
	if (!socket || !read_packet(skb, &packet) || packet.from_port != DNS_PORT)
		return 1;
	offset = packet.transport + 8;
	if (packet.to.protocol == IPPROTO_TCP) {
		if (bpf_skb_load_bytes(skb, packet.transport + TCP_DATA_OFFSET, &data_offset, 1))
			return 1;
		offset = packet.transport + (data_offset >> 4) * 4;
	}
	if (skb->len <= offset)
		return 1;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		count_loss(LOSS_EVENTS, socket->run);
		return 1;
	}
	__builtin_memset(event, 0, offsetof(struct dns_event, payload));
	event->header.time = bpf_ktime_get_ns();
	event->header.run = socket->run;
	event->header.kind = EVENT_DNS_REPLY;
	event->header.pid = socket->pid;
	event->header.uid = (__u32)-1;
	copy_address(event->address, packet.from);
	event->port = packet.from_port;
	event->protocol = packet.to.protocol;
	length = skb->len - offset;
	event->truncated = length > DNS_SIZE;
	if (length > DNS_SIZE)
		length = DNS_SIZE;
	// 1 to DNS_SIZE already; said so that the verifier of 6.1 sees it.
	barrier_var(length);
	length = ((length - 1) & (DNS_SIZE - 1)) + 1;
	if (bpf_skb_load_bytes(skb, offset, event->payload, length)) {
		bpf_ringbuf_discard(event, BPF_RB_NO_WAKEUP);
		return 1;
	}
	event->length = length;
	bpf_ringbuf_submit(event, submit_flags(0));
	return 1;
}
