// One datagram to each address on standard input, every <interval µs> (0: as fast as they can be sent), and the time
// until it comes back: probe <port> <interval µs> <patience ms>. Prints the round trips in µs in the order of the
// addresses, -1 where none came back.
#define _GNU_SOURCE
#include "rows.h"
#include <poll.h>

static int s;
static uint32_t count, answered;
static uint64_t *sent_at;
static double *rtt_us;

static void receive(void) {
  uint32_t number[16];
  while (recv(s, number, sizeof number, MSG_DONTWAIT) >= 4)
    if (number[0] < count && rtt_us[number[0]] < 0) {
      rtt_us[number[0]] = (double)(now_ns() - sent_at[number[0]]) / 1e3;
      answered++;
    }
}

/** Receives until then. */
static void wait_until(uint64_t then) {
  for (;;) {
    receive();
    uint64_t now = now_ns();
    if (now >= then || answered == count) return;
    struct timespec left = {.tv_sec = (time_t)((then - now) / 1000000000u), .tv_nsec = (long)((then - now) % 1000000000u)};
    struct pollfd p = {.fd = s, .events = POLLIN};
    ppoll(&p, 1, &left, NULL);
  }
}

int main(int argc, char **argv) {
  if (argc != 4) return fprintf(stderr, "probe <port> <interval us> <patience ms>\n"), 2;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
  uint64_t interval = strtoull(argv[2], NULL, 10) * 1000, patience = strtoull(argv[3], NULL, 10) * 1000000;
  uint32_t room = 1 << 17;
  uint32_t *addresses = malloc(room * sizeof *addresses);
  char line[64];
  while (count < room && fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    if (inet_pton(AF_INET, line, &addresses[count]) == 1) count++;
  }
  sent_at = calloc(count, sizeof *sent_at);
  rtt_us = malloc(count * sizeof *rtt_us);
  for (uint32_t i = 0; i < count; i++) rtt_us[i] = -1;
  s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in any = {.sin_family = AF_INET};
  if (bind(s, (void *)&any, sizeof any) < 0) die("bind");
  int bytes = 64 << 20;
  if (setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
    setsockopt(s, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  setsockopt(s, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes); // a packet that waits for a neighbour is charged here
  uint64_t start = now_ns();
  for (uint32_t i = 0; i < count; i++) {
    if (interval) wait_until(start + i * interval);
    else receive();
    uint32_t payload[16] = {i};
    to.sin_addr.s_addr = addresses[i];
    sent_at[i] = now_ns();
    sendto(s, payload, sizeof payload, 0, (void *)&to, sizeof to);
  }
  wait_until(now_ns() + patience);
  for (uint32_t i = 0; i < count; i++) printf("%.1f\n", rtt_us[i]);
}
