// Answers the same misses as tweed, from a table: responder <ifname> <peers> <2|4>
// Prints `listening`. 2: the asked address (NOARP) and its FDB entry. 4: what tweed writes when it promotes a host,
// its FDB entry, its neighbour, its route, and the asked address. The table is an array of peers by /24.
#include "rows.h"

struct entry {
  uint8_t known, mac[6];
  uint32_t vtep, subnet;
};
static struct entry table[1 << 16]; // by the second and third octet of 10.x.y.z

int main(int argc, char **argv) {
  if (argc != 4) return fprintf(stderr, "responder <ifname> <peers> <2|4>\n"), 2;
  int link = (int)if_nametoindex(argv[1]);
  if (!link) die(argv[1]);
  int rows = atoi(argv[3]);
  for (uint32_t i = 0; i < (uint32_t)atoi(argv[2]); i++) {
    struct entry *e = &table[(peer_subnet(i) >> 8) & 0xffff];
    e->known = 1;
    peer_mac(i, e->mac);
    e->vtep = htonl(peer_vtep(i));
    e->subnet = htonl(peer_subnet(i));
  }
  int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  if (bind(s, (void *)&kernel, sizeof kernel) < 0) die("bind");
  int bytes = 64 << 20, group = RTNLGRP_NEIGH;
  if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
    setsockopt(s, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  if (setsockopt(s, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0) die("membership");
  puts("listening");
  fflush(stdout);
  static char rx[65536], tx[1024];
  uint32_t seq = 0;
  for (;;) {
    ssize_t got = recv(s, rx, sizeof rx, 0);
    if (got < 0) {
      if (errno == ENOBUFS) continue; // the kernel asks again
      die("recv");
    }
    for (struct nlmsghdr *h = (void *)rx; NLMSG_OK(h, got); h = NLMSG_NEXT(h, got)) {
      struct ndmsg *m = NLMSG_DATA(h);
      if (h->nlmsg_type != RTM_GETNEIGH || !(h->nlmsg_flags & NLM_F_REQUEST) || m->ndm_ifindex != link) continue;
      int left = (int)h->nlmsg_len - (int)NLMSG_LENGTH(sizeof *m);
      for (struct rtattr *a = (void *)((char *)m + NLMSG_ALIGN(sizeof *m)); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type != NDA_DST || RTA_PAYLOAD(a) != 4) continue;
        uint32_t ip;
        memcpy(&ip, RTA_DATA(a), 4);
        struct entry *e = &table[(ntohl(ip) >> 8) & 0xffff];
        if (!e->known) continue;
        int at = put_fdb(tx, 1, ++seq, link, e->mac, e->vtep);
        if (rows == 4) {
          at += put_neighbour(tx + at, 1, ++seq, link, e->subnet, e->mac, NUD_PERMANENT);
          at += put_route(tx + at, 1, ++seq, link, e->subnet, 24, e->subnet);
        }
        at += put_neighbour(tx + at, 1, ++seq, link, ip, e->mac, NUD_NOARP);
        if (send(s, tx, (size_t)at, 0) < 0) die("send");
      }
    }
  }
}
