// When rows came and went: watch <group>… (neigh, route, link, address). Commands on standard input, a line of JSON
// for each:
//   target <n>   forget everything; tell when n of tweed's unicast routes have been added or removed since
//   report       tell now
// Times are nanoseconds of CLOCK_MONOTONIC, 0 where nothing came.
#define _GNU_SOURCE
#include "rows.h"
#include <poll.h>

struct tally {
  const char *name;
  uint64_t count, first, last;
};
static struct tally tallies[] = {
    {.name = "routesAdded"}, {.name = "routesRemoved"}, {.name = "fdbAdded"},      {.name = "fdbRemoved"},
    {.name = "neighAdded"},  {.name = "neighRemoved"},  {.name = "linkOrAddress"}, {.name = "misses"},
};
enum { ROUTE_ADD, ROUTE_DEL, FDB_ADD, FDB_DEL, NEIGH_ADD, NEIGH_DEL, LINK, MISS, TALLIES };
static uint64_t target, overruns;

static void tell(const char *what) {
  printf("{\"event\":\"%s\",\"overruns\":%llu", what, (unsigned long long)overruns);
  for (int i = 0; i < TALLIES; i++)
    printf(",\"%s\":{\"count\":%llu,\"firstNs\":\"%llu\",\"lastNs\":\"%llu\"}", tallies[i].name,
           (unsigned long long)tallies[i].count, (unsigned long long)tallies[i].first,
           (unsigned long long)tallies[i].last);
  puts("}");
  fflush(stdout);
}

static void count(int which, uint64_t at) {
  struct tally *t = &tallies[which];
  if (!t->count++) t->first = at;
  t->last = at;
}

static void take(struct nlmsghdr *h, uint64_t at) {
  struct ndmsg *n = NLMSG_DATA(h);
  struct rtmsg *r = NLMSG_DATA(h);
  switch (h->nlmsg_type) {
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      if (r->rtm_protocol != PROTOCOL || r->rtm_scope == RT_SCOPE_LINK) return;
      count(h->nlmsg_type == RTM_NEWROUTE ? ROUTE_ADD : ROUTE_DEL, at);
      if (target && tallies[ROUTE_ADD].count + tallies[ROUTE_DEL].count == target) tell("reached");
      return;
    case RTM_NEWNEIGH:
      if (n->ndm_family == AF_BRIDGE) count(FDB_ADD, at);
      else if (n->ndm_state & (NUD_PERMANENT | NUD_NOARP)) count(NEIGH_ADD, at);
      return;
    case RTM_DELNEIGH:
      count(n->ndm_family == AF_BRIDGE ? FDB_DEL : NEIGH_DEL, at);
      return;
    case RTM_GETNEIGH:
      count(MISS, at);
      return;
    default:
      count(LINK, at);
  }
}

int main(int argc, char **argv) {
  int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  struct sockaddr_nl me = {.nl_family = AF_NETLINK};
  if (bind(s, (void *)&me, sizeof me) < 0) die("bind");
  int bytes = 256 << 20;
  if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
    setsockopt(s, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  for (int i = 1; i < argc; i++) {
    int groups[2] = {0};
    if (!strcmp(argv[i], "neigh")) groups[0] = RTNLGRP_NEIGH;
    if (!strcmp(argv[i], "route")) groups[0] = RTNLGRP_IPV4_ROUTE;
    if (!strcmp(argv[i], "link")) groups[0] = RTNLGRP_LINK;
    if (!strcmp(argv[i], "address")) groups[0] = RTNLGRP_IPV4_IFADDR;
    if (setsockopt(s, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, groups, sizeof(int)) < 0) die(argv[i]);
  }
  puts("{\"event\":\"listening\"}");
  fflush(stdout);
  static char rx[1 << 16];
  struct pollfd polled[2] = {{.fd = s, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
  for (;;) {
    poll(polled, 2, -1);
    // What the kernel has said before the command belongs before it.
    for (;;) {
      ssize_t got = recv(s, rx, sizeof rx, MSG_DONTWAIT);
      if (got < 0) {
        if (errno == ENOBUFS) {
          overruns++;
          continue;
        }
        break;
      }
      uint64_t at = now_ns();
      for (struct nlmsghdr *h = (void *)rx; NLMSG_OK(h, got); h = NLMSG_NEXT(h, got)) take(h, at);
    }
    if (polled[1].revents) {
      char line[64] = {0};
      if (read(0, line, sizeof line - 1) <= 0) return 0;
      if (!strncmp(line, "target ", 7)) {
        target = strtoull(line + 7, NULL, 10);
        overruns = 0;
        for (int i = 0; i < TALLIES; i++) tallies[i] = (struct tally){.name = tallies[i].name};
        tell("armed");
      } else tell("report");
    }
  }
}
