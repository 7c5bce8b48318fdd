// SPDX-License-Identifier: Apache-2.0
/* What a checkpoint has to bring back: each command takes something and says once a tenth of a
 * second, in the file /tmp/said, whether it still has it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int failed(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	return 1;
}

static void say(const char *text)
{
	FILE *file = fopen("/tmp/said", "a");

	if (file) {
		fprintf(file, "%s\n", text);
		fclose(file);
	}
	usleep(100000);
}

// A lock on the file argv[0].
static int lock(char **argv)
{
	int fd = open(argv[0], O_RDWR | O_CREAT, 0600);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return failed("flock");
	for (;;) {
		int other = open(argv[0], O_RDWR);

		say(flock(other, LOCK_EX | LOCK_NB) < 0 ? "locked" : "free");
		close(other);
	}
}

// An open file whose name argv[0] is gone, while argv[1] is another name of it.
static int unlinked(char **argv)
{
	char text[16];
	int fd = open(argv[0], O_RDWR | O_CREAT, 0600);

	if (fd < 0 || write(fd, "kept", 4) != 4 || link(argv[0], argv[1]) < 0 || unlink(argv[0]) < 0)
		return failed("unlink");
	for (;;) {
		ssize_t got = pread(fd, text, sizeof(text), 0);

		say(got == 4 && !memcmp(text, "kept", 4) ? "kept" : "lost");
	}
}

// A datagram socket that is connected to the socket file argv[0].
static int datagrams(char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

	strncpy(address.sun_path, argv[0], sizeof(address.sun_path) - 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return failed("connect");
	for (;;)
		say(send(fd, "alive", 5, MSG_DONTWAIT) == 5 ? "sent" : strerror(errno));
}

static int loopback(int fd, int (*use)(int, const struct sockaddr *, socklen_t), int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return use(fd, (struct sockaddr *)&address, sizeof(address));
}

// A TCP connection to itself; with argv[0] "accept" both ends are there, else nobody accepts it.
static int connection(char **argv)
{
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
	int client = socket(AF_INET, SOCK_STREAM, 0), server = -1;
	char byte;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (loopback(listener, bind, 7007) < 0 || listen(listener, 4) < 0)
		return failed("listen");
	if (loopback(client, connect, 7007) < 0)
		return failed("connect");
	if (!strcmp(argv[0], "accept") && (server = accept(listener, NULL, NULL)) < 0)
		return failed("accept");
	for (;;) {
		int good = send(client, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;

		if (server >= 0)
			good = good && recv(server, &byte, 1, 0) == 1;
		say(good ? "connected" : "closed");
	}
}

// One end of a connection to another container: answers each number with the next one.
static int answer(char **argv)
{
	int one = 1, number, listener = socket(AF_INET, SOCK_STREAM, 0), server;

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (loopback(listener, bind, atoi(argv[0])) < 0 || listen(listener, 4) < 0)
		return failed("listen");
	if ((server = accept(listener, NULL, NULL)) < 0)
		return failed("accept");
	for (;;) {
		int good = recv(server, &number, sizeof(number), MSG_WAITALL) == sizeof(number);

		number++;
		good = good && send(server, &number, sizeof(number), MSG_NOSIGNAL) == sizeof(number);
		say(good ? "connected" : "closed");
	}
}

// The other end: sends what it was answered, which has to be one more each time.
static int ask(char **argv)
{
	int number, next = 0, client;

	while (client = socket(AF_INET, SOCK_STREAM, 0), loopback(client, connect, atoi(argv[0])) < 0) {
		if (errno != ECONNREFUSED)
			return failed("connect");
		close(client);
		usleep(100000);
	}
	for (;;) {
		int good = send(client, &next, sizeof(next), MSG_NOSIGNAL) == sizeof(next);

		good = good && recv(client, &number, sizeof(number), MSG_WAITALL) == sizeof(number);
		say(good && number == next + 1 ? "connected" : "closed");
		next = number;
	}
}

int main(int argc, char **argv)
{
	static const struct { const char *name; int (*run)(char **argv); int arguments; } commands[] = {
		{ "lock", lock, 1 }, { "unlinked", unlinked, 2 }, { "datagrams", datagrams, 1 },
		{ "connection", connection, 1 },
		{ "answer", answer, 1 }, { "ask", ask, 1 },
	};
	for (unsigned i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
		if (!strcmp(argv[1], commands[i].name) && argc - 2 == commands[i].arguments)
			return commands[i].run(argv + 2);
	fprintf(stderr, "usage: keeper COMMAND [ARGUMENT...]\n");
	return 2;
}
