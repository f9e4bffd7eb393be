// Messages for the rows of a VXLAN overlay, byte for byte those that tweed sends.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PROTOCOL 84 // rtm_protocol of tweed's routes

static inline uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t); // what process.hrtime reads
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void die(const char *what) {
  perror(what);
  exit(1);
}

static inline struct nlmsghdr *begin_message(char *at, int type, int flags, uint32_t seq, int body) {
  struct nlmsghdr *h = (void *)at;
  memset(h, 0, NLMSG_HDRLEN + (size_t)body);
  h->nlmsg_len = NLMSG_HDRLEN + (uint32_t)body;
  h->nlmsg_type = (uint16_t)type;
  h->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
  h->nlmsg_seq = seq;
  return h;
}

static inline void put_attribute(struct nlmsghdr *h, int type, const void *value, int length) {
  struct rtattr *a = (void *)((char *)h + h->nlmsg_len);
  a->rta_type = (uint16_t)type;
  a->rta_len = (uint16_t)(4 + length);
  memset((char *)(a + 1), 0, (size_t)NLMSG_ALIGN(length));
  memcpy(a + 1, value, (size_t)length);
  h->nlmsg_len += 4 + (uint32_t)NLMSG_ALIGN(length);
}

static inline int put_fdb(char *at, int add, uint32_t seq, int link, const uint8_t *mac, uint32_t vtep) {
  struct nlmsghdr *h = begin_message(at, add ? RTM_NEWNEIGH : RTM_DELNEIGH,
                                     add ? NLM_F_CREATE | NLM_F_REPLACE : 0, seq, sizeof(struct ndmsg));
  struct ndmsg *m = NLMSG_DATA(h);
  m->ndm_family = AF_BRIDGE;
  m->ndm_ifindex = link;
  m->ndm_state = NUD_PERMANENT;
  m->ndm_flags = NTF_SELF;
  put_attribute(h, NDA_LLADDR, mac, 6);
  put_attribute(h, NDA_DST, &vtep, 4);
  return (int)h->nlmsg_len;
}

static inline int put_neighbour(char *at, int add, uint32_t seq, int link, uint32_t ip, const uint8_t *mac,
                                int state) {
  struct nlmsghdr *h = begin_message(at, add ? RTM_NEWNEIGH : RTM_DELNEIGH,
                                     add ? NLM_F_CREATE | NLM_F_REPLACE : 0, seq, sizeof(struct ndmsg));
  struct ndmsg *m = NLMSG_DATA(h);
  m->ndm_family = AF_INET;
  m->ndm_ifindex = link;
  m->ndm_state = (uint16_t)state;
  put_attribute(h, NDA_DST, &ip, 4);
  put_attribute(h, NDA_LLADDR, mac, 6);
  return (int)h->nlmsg_len;
}

static inline int put_route(char *at, int add, uint32_t seq, int link, uint32_t dst, int length, uint32_t via) {
  struct nlmsghdr *h = begin_message(at, add ? RTM_NEWROUTE : RTM_DELROUTE,
                                     add ? NLM_F_CREATE | NLM_F_EXCL : 0, seq, sizeof(struct rtmsg));
  struct rtmsg *m = NLMSG_DATA(h);
  m->rtm_family = AF_INET;
  m->rtm_dst_len = (uint8_t)length;
  m->rtm_table = RT_TABLE_MAIN;
  m->rtm_protocol = PROTOCOL;
  m->rtm_scope = add ? RT_SCOPE_UNIVERSE : RT_SCOPE_NOWHERE;
  m->rtm_type = add ? RTN_UNICAST : 0;
  m->rtm_flags = add ? RTNH_F_ONLINK : 0;
  put_attribute(h, RTA_DST, &dst, 4);
  put_attribute(h, RTA_OIF, &link, 4);
  if (add) put_attribute(h, RTA_GATEWAY, &via, 4);
  return (int)h->nlmsg_len;
}

// Peer number i, as bench/support/peers.ts numbers them.
static inline void peer_mac(uint32_t i, uint8_t *mac) {
  mac[0] = 2;
  mac[1] = 0x5e;
  mac[2] = 0; // another generation of the same peer: peers.ts
  mac[3] = (uint8_t)(i >> 16);
  mac[4] = (uint8_t)(i >> 8);
  mac[5] = (uint8_t)i;
}
static inline uint32_t peer_subnet(uint32_t i) { return (10u << 24 | 1u << 16) + (i << 8); } // host order
static inline uint32_t peer_vtep(uint32_t i) { return (198u << 24 | 18u << 16) + 256 + i; }  // RFC 2544
