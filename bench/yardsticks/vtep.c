// Every remote host at once: receives VXLAN packets for any address, exchanges inner source and destination (of
// Ethernet, IPv4 and UDP) and sends them back to where they came from. vtep <port>
// What it costs is part of every round trip in the same way, warm or first.
#define _GNU_SOURCE
#include "rows.h"

static void exchange(uint8_t *a, uint8_t *b, size_t length) {
  uint8_t kept[8];
  memcpy(kept, a, length);
  memcpy(a, b, length);
  memcpy(b, kept, length);
}

int main(int argc, char **argv) {
  if (argc != 2) return fprintf(stderr, "vtep <port>\n"), 2;
  int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), bytes = 64 << 20;
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
  if (bind(s, (void *)&any, sizeof any) < 0) die("bind");
  if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
    setsockopt(s, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  puts("listening");
  fflush(stdout);
  static uint8_t p[65536];
  for (;;) {
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    ssize_t got = recvfrom(s, p, sizeof p, 0, (void *)&from, &length);
    if (got < 0) die("recvfrom");
    uint8_t *ethernet = p + 8, *ip = ethernet + 14, *udp = ip + 20;
    if (got < 8 + 14 + 20 + 8 || ethernet[12] != 8 || ethernet[13] != 0 || ip[0] != 0x45 || ip[9] != 17) continue;
    exchange(ethernet, ethernet + 6, 6);
    exchange(ip + 12, ip + 16, 4);
    exchange(udp, udp + 2, 2);
    udp[6] = udp[7] = 0; // RFC 768: none. The sender left it to hardware that a veth does not have
    from.sin_port = any.sin_port; // RFC 7348 §5: to the VXLAN port, whatever the source port was
    sendto(s, p, (size_t)got, 0, (void *)&from, sizeof from);
  }
}
