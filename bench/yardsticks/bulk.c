// The kernel's limit: bulk <ifname> <neigh|fdb|route|route32> <add|del> <count> <messages per datagram> [first peer] [hear]
// With `hear` it listens as an agent has to, and reads what the kernel tells of its own writes after each datagram.
// Prints one line of JSON: milliseconds in all, of the processor's time and for the slowest datagram, and how many were
// refused.
#include "rows.h"

static uint64_t cpu_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

// A socket that hears of neighbours and FDB entries, as an agent that answers misses does.
static int listener(void) {
  int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE), bytes = 32 << 20;
  struct sockaddr_nl groups = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_NEIGH};
  setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  if (bind(s, (void *)&groups, sizeof groups) < 0) die("bind");
  return s;
}

int main(int argc, char **argv) {
  if (argc < 6) return fprintf(stderr, "bulk <ifname> <kind> <add|del> <count> <pack> [first]\n"), 2;
  int link = (int)if_nametoindex(argv[1]);
  if (!link) die(argv[1]);
  const char *kind = argv[2];
  int add = !strcmp(argv[3], "add");
  uint32_t count = (uint32_t)atoi(argv[4]), pack = (uint32_t)atoi(argv[5]);
  uint32_t offset = argc > 6 ? (uint32_t)atoi(argv[6]) : 0;
  int heard = argc > 7 && !strcmp(argv[7], "hear") ? listener() : -1;
  int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  if (bind(s, (void *)&kernel, sizeof kernel) < 0) die("bind");
  int bytes = 32 << 20, one = 1;
  setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  setsockopt(s, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
  setsockopt(s, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
  setsockopt(s, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one);
  char *tx = malloc((size_t)pack * 128), *rx = malloc(1 << 20);
  uint32_t refused = 0;
  int first = 0;
  uint64_t start = now_ns(), cpu = cpu_ns(), slowest = 0;
  for (uint32_t i = 0; i < count; i += pack) {
    uint32_t n = count - i < pack ? count - i : pack;
    int length = 0, last = 0;
    uint64_t before = now_ns();
    for (uint32_t k = i; k < i + n; k++) {
      uint32_t j = offset + k;
      uint8_t mac[6];
      peer_mac(j, mac);
      last = length;
      char *at = tx + length;
      uint32_t seq = k + 1;
      if (!strcmp(kind, "neigh")) length += put_neighbour(at, add, seq, link, htonl(peer_subnet(j)), mac, NUD_PERMANENT);
      else if (!strcmp(kind, "fdb")) length += put_fdb(at, add, seq, link, mac, htonl(peer_vtep(j)));
      else if (!strcmp(kind, "route"))
        length += put_route(at, add, seq, link, htonl(peer_subnet(j)), 24, htonl(peer_subnet(j)));
      else length += put_route(at, add, seq, link, htonl(peer_subnet(j)), 32, htonl(peer_subnet(0)));
    }
    ((struct nlmsghdr *)(tx + last))->nlmsg_flags |= NLM_F_ACK;
    if (send(s, tx, (size_t)length, 0) < 0) die("send");
    for (int done = 0; !done;) {
      ssize_t got = recv(s, rx, 1 << 20, 0);
      if (got < 0) die("recv");
      for (struct nlmsghdr *h = (void *)rx; NLMSG_OK(h, got); h = NLMSG_NEXT(h, got)) {
        if (h->nlmsg_type != NLMSG_ERROR) continue;
        int error = ((struct nlmsgerr *)NLMSG_DATA(h))->error;
        if (error) refused++, first = first ? first : error;
        if (h->nlmsg_seq == i + n) done = 1;
      }
    }
    if (heard >= 0)
      while (recv(heard, rx, 1 << 20, 0) > 0) {
      }
    uint64_t took = now_ns() - before;
    if (took > slowest) slowest = took;
  }
  printf("{\"ms\":%.3f,\"cpuMs\":%.3f,\"slowestMs\":%.3f,\"refused\":%u,\"first\":\"%s\"}\n",
         (double)(now_ns() - start) / 1e6, (double)(cpu_ns() - cpu) / 1e6, (double)slowest / 1e6, refused,
         first ? strerror(-first) : "");
}
