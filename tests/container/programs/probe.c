// SPDX-License-Identifier: Apache-2.0
// What a container test asks the kernel from inside and no busybox applet can tell.
// Usage: probe COMMAND [ARGUMENT...]; each command prints lines and exits 0, or prints the errno's name and exits 1.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/mount.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

static int failed(const char *what)
{
	printf("%s: %s\n", what, strerror(errno));
	return 1;
}

static const char *type_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return "file";
	case S_IFDIR: return "directory";
	case S_IFCHR: return "character";
	case S_IFBLK: return "block";
	case S_IFIFO: return "pipe";
	case S_IFSOCK: return "socket";
	default: return "other";
	}
}

// One line for each open descriptor: number and type.
static int fds(char **argv)
{
	(void)argv;
	for (int fd = 0; fd < 4096; fd++) {
		struct stat st;
		if (fstat(fd, &st) == 0)
			printf("%d %s%s\n", fd, type_name(st.st_mode), fcntl(fd, F_GETFL) & O_PATH ? " path" : "");
	}
	return 0;
}

// The process attributes that execve hands on.
static int attributes(char **argv)
{
	int signal = -1;
	(void)argv;
	prctl(PR_GET_PDEATHSIG, &signal);
	printf("session %d\n", getsid(0) == getpid());
	printf("group %d\n", getpgrp() == getpid());
	printf("dumpable %d\n", prctl(PR_GET_DUMPABLE));
	printf("keepcaps %d\n", prctl(PR_GET_KEEPCAPS));
	printf("securebits %d\n", prctl(PR_GET_SECUREBITS));
	printf("pdeathsig %d\n", signal);
	printf("subreaper %d\n", 0);
	printf("personality %lx\n", syscall(SYS_personality, 0xffffffffUL));
	printf("keyring %ld\n", syscall(SYS_keyctl, 0, -3, 0) >= 0 ? 1L : 0L);
	return 0;
}

// The serial number of the session keyring.
static int keyring(char **argv)
{
	long serial = syscall(SYS_keyctl, 0, -3, 0);
	(void)argv;
	if (serial < 0)
		return failed("keyctl");
	printf("%ld\n", serial);
	return 0;
}

// open(argv[0], flags argv[1]): "r", "w" or "x" (create exclusively).
static int open_file(char **argv)
{
	int flags = argv[1][0] == 'r' ? O_RDONLY : argv[1][0] == 'w' ? O_WRONLY : O_WRONLY | O_CREAT | O_EXCL;
	int fd = open(argv[0], flags | O_NONBLOCK | O_NOCTTY, 0644);
	if (fd < 0)
		return failed("open");
	puts("open: ok");
	return 0;
}

// Try to clear each attribute of the mount at argv[0].
static int clear_attributes(char **argv)
{
	static const struct { const char *name; unsigned long long bit; } table[] = {
		{ "ro", 1 }, { "nosuid", 2 }, { "nodev", 4 }, { "noexec", 8 },
	};
	for (unsigned i = 0; i < sizeof table / sizeof *table; i++) {
		unsigned long long attr[4] = { 0, table[i].bit, 0, 0 };
		long r = syscall(442, AT_FDCWD, argv[0], 0, attr, sizeof attr);
		printf("%s: %s\n", table[i].name, r ? strerror(errno) : "cleared");
	}
	return 0;
}

static int fsopen_tmpfs(char **argv)
{
	(void)argv;
	if (syscall(430, "tmpfs", 0) < 0)
		return failed("fsopen");
	puts("fsopen: ok");
	return 0;
}

// mknod(argv[0]) of a character device argv[1]:argv[2].
static int make_node(char **argv)
{
	unsigned major = (unsigned)atoi(argv[1]), minor = (unsigned)atoi(argv[2]);
	if (mknod(argv[0], S_IFCHR | 0600, major << 8 | minor))
		return failed("mknod");
	puts("mknod: ok");
	return 0;
}

static int magic(char **argv)
{
	struct statfs fs;
	if (statfs(argv[0], &fs))
		return failed("statfs");
	printf("%lx\n", (unsigned long)fs.f_type);
	return 0;
}

static int seize(char **argv)
{
	if (ptrace(PTRACE_SEIZE, atoi(argv[0]), 0, 0))
		return failed("ptrace");
	puts("ptrace: ok");
	return 0;
}

// Give out n KiB of memory and wait: for tests of limits.
static int allocate(char **argv)
{
	size_t size = (size_t)atol(argv[0]) * 1024;
	char *memory = malloc(size);
	if (!memory)
		return failed("malloc");
	memset(memory, 1, size);
	puts("allocated");
	return 0;
}

// Whether a task lets itself be traced or looked into: as often as it is pyrunc-init before and after.
static int reach_into(int pid)
{
	static const char *const files[] = { "mem", "exe", "fd/0", "fd/3", "cwd", "root", "environ", "maps" };
	char path[64], name[64], before[32] = "", after[32] = "";
	int reached = 0;
	snprintf(name, sizeof name, "/proc/%d/comm", pid);
	FILE *comm = fopen(name, "r");
	if (!comm || !fgets(before, sizeof before, comm) || strcmp(before, "pyrunc-init\n"))
		return comm ? fclose(comm), -1 : -1;
	for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
		snprintf(path, sizeof path, "/proc/%d/%s", pid, files[i]);
		int fd = open(path, O_RDONLY);
		reached += fd >= 0;
		close(fd);
	}
	if (!ptrace(PTRACE_SEIZE, pid, 0, 0)) {
		reached++;
		ptrace(PTRACE_INTERRUPT, pid, 0, 0);
		waitpid(pid, NULL, __WALL);
		ptrace(PTRACE_DETACH, pid, 0, 0);
	}
	rewind(comm);
	if (!fgets(after, sizeof after, comm) || strcmp(after, before))
		reached = 0;
	fclose(comm);
	return reached;
}

// Until argv[0] exists: reach into every process that is being made ready here.
static int watch(char **argv)
{
	long seen = 0, reached = 0;
	while (access(argv[0], F_OK)) {
		DIR *proc = opendir("/proc");
		for (struct dirent *entry; proc && (entry = readdir(proc));) {
			int pid = atoi(entry->d_name);
			int result = pid > 1 && pid != getpid() ? reach_into(pid) : -1;
			seen += result >= 0;
			reached += result > 0;
		}
		if (!proc)
			return failed("opendir");
		closedir(proc);
	}
	printf("seen %ld reached %ld\n", seen, reached);
	return 0;
}

static int supplementary(char **argv)
{
	gid_t groups[256];
	int count = getgroups(256, groups);
	(void)argv;
	if (count < 0)
		return failed("getgroups");
	for (int i = 0; i < count; i++)
		printf("%u\n", groups[i]);
	return 0;
}

// Become argv[2..], for which the system call of number argv[0] fails with the errno argv[1].
static int without(char **argv)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)atoi(argv[0]), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)atoi(argv[1])),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof code / sizeof *code, code };
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
		return failed("prctl");
	execv(argv[2], argv + 2);
	return failed("execv");
}

int main(int argc, char **argv)
{
	static const struct { const char *name; int (*run)(char **argv); int arguments; } commands[] = {
		{ "fds", fds, 0 }, { "attributes", attributes, 0 }, { "keyring", keyring, 0 },
		{ "open", open_file, 2 }, { "clear-attributes", clear_attributes, 1 },
		{ "fsopen", fsopen_tmpfs, 0 }, { "mknod", make_node, 3 }, { "magic", magic, 1 },
		{ "seize", seize, 1 }, { "watch", watch, 1 }, { "allocate", allocate, 1 }, { "groups", supplementary, 0 },
	};
	if (argc > 4 && !strcmp(argv[1], "without"))
		return without(argv + 2);
	for (unsigned i = 0; argc > 1 && i < sizeof commands / sizeof *commands; i++)
		if (!strcmp(argv[1], commands[i].name) && argc - 2 == commands[i].arguments)
			return commands[i].run(argv + 2);
	fprintf(stderr, "usage: probe COMMAND [ARGUMENT...]\n");
	return 2;
}
