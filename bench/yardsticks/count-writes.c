// LD_PRELOAD: counts what a process asks of rtnetlink, by message type. The kernel keeps quiet about a write that
// changes nothing; this does not. Counters are 65536 uint64 of the file named by TWEED_COUNT_WRITES.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t *counters;

__attribute__((constructor)) static void open_counters(void) {
  const char *path = getenv("TWEED_COUNT_WRITES");
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *mapped = mmap(NULL, 65536 * sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (mapped != MAP_FAILED) counters = mapped;
  close(fd);
}

static void count(const char *bytes, ssize_t left) {
  for (struct nlmsghdr *h = (void *)bytes; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
    __atomic_add_fetch(&counters[h->nlmsg_type], 1, __ATOMIC_RELAXED);
}

ssize_t sendto(int fd, const void *bytes, size_t length, int flags, const struct sockaddr *to, socklen_t size) {
  static ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
  if (!real) real = (ssize_t(*)(int, const void *, size_t, int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "sendto");
  if (counters && to && to->sa_family == AF_NETLINK) count(bytes, (ssize_t)length);
  return real(fd, bytes, length, flags, to, size);
}
