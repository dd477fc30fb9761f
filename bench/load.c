// SPDX-License-Identifier: Apache-2.0
// What is measured: one program, the same bare and guarded. Prints one number.
//   serve PORT            accepts and drains for ever
//   connect ADDR PORT N   p50 of N connect+close, µs (a refusal counts as a call too)
//   bulk ADDR PORT MIB    MiB/s of one connection
//   lookup ADDR PORT N    p50 of N DNS lookups, µs, each on a socket of its own as glibc's are
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 1 << 18, LOOKUP_NAMES = 1000 };

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static struct sockaddr_in target(const char *address, const char *port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port)) };

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1)
		exit(2);
	return to;
}

static void *drain(void *context)
{
	int fd = (int)(long)context;
	char *buffer = malloc(CHUNK);

	while (read(fd, buffer, CHUNK) > 0)
		;
	close(fd);
	free(buffer);
	return NULL;
}

static int serve(const char *port)
{
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in at = target("127.0.0.1", port);

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (void *)&at, sizeof(at)) || listen(listener, 4096))
		return 1;
	puts("ready");
	fflush(stdout);
	for (;;) {
		char first;
		int fd = accept(listener, NULL, NULL);
		pthread_t thread;

		if (fd < 0)
			continue;
		// Only a bulk connection sends before it closes.
		if (recv(fd, &first, 1, MSG_DONTWAIT | MSG_PEEK) <= 0 && errno != EAGAIN)
			close(fd);
		else if (recv(fd, &first, 1, MSG_PEEK) <= 0)
			close(fd);
		else if (!pthread_create(&thread, NULL, drain, (void *)(long)fd))
			pthread_detach(thread);
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static int time_connects(struct sockaddr_in to, int count)
{
	double *took = calloc((size_t)count, sizeof(double));

	for (int i = 0; i < count; i++) {
		double start = now_us();
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		connect(fd, (void *)&to, sizeof(to));
		close(fd);
		took[i] = now_us() - start;
	}
	qsort(took, (size_t)count, sizeof(double), compare);
	printf("%.3f\n", took[count / 2]);
	return 0;
}

static int time_bulk(struct sockaddr_in to, long mib)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char *buffer = calloc(1, CHUNK);
	long left = mib << 20;
	double start;

	if (connect(fd, (void *)&to, sizeof(to)))
		return 1;
	start = now_us();
	while (left > 0) {
		ssize_t sent = write(fd, buffer, CHUNK);

		if (sent <= 0)
			return 1;
		left -= sent;
	}
	shutdown(fd, SHUT_WR);
	if (read(fd, buffer, 1) < 0)
		return 1;
	printf("%.1f\n", (double)mib / ((now_us() - start) / 1e6));
	return 0;
}

/** The wire form of `host<i>.bench.internal`, asked for its A record. */
static size_t question(unsigned char *packet, int i)
{
	static const unsigned char head[12] = { [2] = 1, [5] = 1 }, tail[] = "\5bench\10internal\0\0\1\0\1";
	unsigned char *label = packet + sizeof(head);

	memcpy(packet, head, sizeof(head));
	packet[0] = (unsigned char)(i >> 8);
	packet[1] = (unsigned char)i;
	label[0] = (unsigned char)sprintf((char *)label + 1, "host%d", i % LOOKUP_NAMES + 1);
	memcpy(label + 1 + label[0], tail, sizeof(tail) - 1);
	return sizeof(head) + 1 + label[0] + sizeof(tail) - 1;
}

static int time_lookups(struct sockaddr_in to, int count)
{
	double *took = calloc((size_t)count, sizeof(double));

	for (int i = 0; i < count; i++) {
		unsigned char packet[512];
		size_t length = question(packet, i);
		double start = now_us();
		int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		// An answer with an address in it, or the figure is of something else.
		if (connect(fd, (void *)&to, sizeof(to)) || send(fd, packet, length, 0) < 0 ||
		    recv(fd, packet, sizeof(packet), 0) < (ssize_t)length + 16 || packet[1] != (unsigned char)i)
			return 1;
		close(fd);
		took[i] = now_us() - start;
	}
	qsort(took, (size_t)count, sizeof(double), compare);
	printf("%.3f\n", took[count / 2]);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		return serve(argv[2]);
	if (argc == 5 && !strcmp(argv[1], "connect"))
		return time_connects(target(argv[2], argv[3]), atoi(argv[4]));
	if (argc == 5 && !strcmp(argv[1], "bulk"))
		return time_bulk(target(argv[2], argv[3]), atol(argv[4]));
	if (argc == 5 && !strcmp(argv[1], "lookup"))
		return time_lookups(target(argv[2], argv[3]), atoi(argv[4]));
	return 2;
}
