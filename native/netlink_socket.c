/*
 * A netlink socket for Node: reads into one fixed buffer that JavaScript owns, sends in the calling thread.
 * Three rules: every errno is a value (negative, as the kernel's own), no exception crosses libuv, and nothing
 * is touched after its environment is gone. Options, names and events are raw-socket.ts's business.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <node_api.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#define NANOSECONDS_PER_POLL 4000000 /* then the others get their turn, however much the kernel has to say */

typedef struct {
  napi_env env;
  napi_ref buffer, on_message, on_error;
  napi_async_context context;
  napi_async_cleanup_hook_handle cleanup;
  uv_poll_t poll;
  int fd;
  size_t longest; /* datagram that is received whole: more is gathered while so much is left of the buffer */
  bool open;
  int owners; /* the JavaScript handle and libuv's; the last one frees */
} Socket;

static void disown(Socket *s) {
  if (--s->owners == 0) free(s);
}

static void on_finalize(napi_env env, void *data, void *hint) { disown(data); }

static void on_uv_closed(uv_handle_t *handle) {
  Socket *s = handle->data;
  close(s->fd); /* only now: libuv must have taken it out of its epoll set */
  napi_remove_async_cleanup_hook(s->cleanup);
  disown(s);
}

static void socket_close(Socket *s) {
  if (!s->open) return;
  s->open = false;
  napi_delete_reference(s->env, s->buffer);
  napi_delete_reference(s->env, s->on_message);
  napi_delete_reference(s->env, s->on_error);
  napi_async_destroy(s->env, s->context);
  uv_close((uv_handle_t *)&s->poll, on_uv_closed);
}

/* A worker ends or the process exits: libuv's handle must be gone before its loop is. */
static void on_env_teardown(napi_async_cleanup_hook_handle handle, void *data) {
  Socket *s = data;
  if (s->open) socket_close(s); /* otherwise it is closing already */
}

/* Calls JavaScript. What it throws becomes 'uncaughtException', as from any event listener of Node's own. */
static void call(Socket *s, napi_ref callback, size_t argc, const int64_t *argv) {
  napi_value function, receiver, args[3], result, exception;
  napi_handle_scope scope;
  napi_open_handle_scope(s->env, &scope);
  napi_get_reference_value(s->env, callback, &function);
  napi_get_global(s->env, &receiver);
  for (size_t i = 0; i < argc; i++) napi_create_int64(s->env, argv[i], &args[i]);
  napi_status status = napi_make_callback(s->env, s->context, receiver, function, argc, args, &result);
  bool pending = false;
  if (status != napi_ok) napi_is_exception_pending(s->env, &pending);
  if (pending && napi_get_and_clear_last_exception(s->env, &exception) == napi_ok)
    napi_fatal_exception(s->env, exception);
  napi_close_handle_scope(s->env, scope);
}

/*
 * Reads one datagram, or of what the kernel has to say all that fits, one behind the other as in a single datagram.
 * Answers 0, or the errno that ended it; in `got` the length, the sender's port and its groups.
 */
static int gather(Socket *s, char *bytes, size_t size, int64_t got[3]) {
  bool gathers = s->longest < size;
  memset(got, 0, 3 * sizeof *got);
  do {
    struct sockaddr_nl from = {0};
    socklen_t from_length = sizeof from;
    size_t room = size - got[0];
    ssize_t n = recvfrom(s->fd, bytes + got[0], room, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from, &from_length);
    if (n < 0) return errno;
    if (gathers && from.nl_pid != 0) continue;
    if (gathers && (size_t)n > room) return ENOBUFS; /* a part is lost: the same as an overrun */
    got[0] += gathers ? NLMSG_ALIGN(n) : n;
    got[1] = from.nl_pid;
    got[2] = from.nl_groups;
  } while (gathers && size - got[0] >= s->longest);
  return 0;
}

static void *buffer_of(Socket *s, size_t *size) {
  napi_value buffer;
  void *bytes = NULL;
  napi_get_reference_value(s->env, s->buffer, &buffer);
  napi_get_buffer_info(s->env, buffer, &bytes, size);
  return bytes;
}

/* ENOBUFS: what is queued still comes. */
static void complain(Socket *s, int error) {
  if (error != 0 && error != EAGAIN && error != EINTR && s->open) call(s, s->on_error, 1, (int64_t[]){-error});
}

static void receive(Socket *s) {
  napi_handle_scope scope;
  size_t size = 0;
  int error = 0;
  napi_open_handle_scope(s->env, &scope);
  void *bytes = buffer_of(s, &size);
  for (uint64_t end = uv_hrtime() + NANOSECONDS_PER_POLL; (error == 0 || error == EINTR) && s->open && uv_hrtime() < end;) {
    int64_t got[3];
    error = gather(s, bytes, size, got);
    if (got[0] > 0) call(s, s->on_message, 3, got);
    complain(s, error);
  }
  napi_close_handle_scope(s->env, scope);
}

static void on_poll(uv_poll_t *handle, int status, int events) {
  Socket *s = handle->data;
  if (status < 0) {
    /* libuv (unix/poll.c) turns EPOLLERR into UV_EBADF and stops; for netlink it only means sk_err == ENOBUFS. */
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &length) < 0) error = errno;
    int restarted = uv_poll_start(&s->poll, UV_READABLE, on_poll);
    if (restarted < 0) error = -restarted;
    if (error != 0) call(s, s->on_error, 1, (int64_t[]){-error});
  }
  if (s->open) receive(s);
}

static napi_value number(napi_env env, int64_t n) {
  napi_value value = NULL;
  return napi_create_int64(env, n, &value), value;
}

/* Unpacks (handle, n, n, …); every function below answers -EBADF for a handle that is closed or none. */
static Socket *unpack(napi_env env, napi_callback_info info, napi_value argv[5], int64_t numbers[4]) {
  size_t argc = 5;
  Socket *s = NULL;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL); /* what is missing is undefined, and so 0 below */
  for (size_t i = 0; i < 4; i++)
    if (napi_get_value_int64(env, argv[i + 1], &numbers[i]) != napi_ok) numbers[i] = 0;
  napi_get_value_external(env, argv[0], (void **)&s);
  return s != NULL && s->open ? s : NULL;
}

/* open(protocol, port, buffer, onMessage(length, fromPort, fromGroups), onError(errno), longest?) → handle or -errno */
static napi_value Open(napi_env env, napi_callback_info info) {
  size_t argc = 6;
  napi_value argv[6], handle, name;
  int32_t protocol = 0;
  uint32_t port = 0, longest = 0;
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  napi_get_value_int32(env, argv[0], &protocol);
  napi_get_value_uint32(env, argv[1], &port);
  napi_get_value_uint32(env, argv[5], &longest);
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
  if (fd < 0) return number(env, -errno);
  struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_pid = port};
  uv_loop_t *loop;
  Socket *s = calloc(1, sizeof *s);
  int error = s == NULL ? ENOMEM : bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ? errno : 0;
  if (error == 0) error = napi_get_uv_event_loop(env, &loop) != napi_ok ? EINVAL : -uv_poll_init(loop, &s->poll, fd);
  if (error != 0) {
    free(s);
    close(fd);
    return number(env, -error);
  }
  s->env = env;
  s->fd = fd;
  s->longest = longest == 0 ? SIZE_MAX : longest;
  s->open = true;
  s->owners = 2;
  s->poll.data = s;
  napi_create_reference(env, argv[2], 1, &s->buffer);
  napi_create_reference(env, argv[3], 1, &s->on_message);
  napi_create_reference(env, argv[4], 1, &s->on_error);
  napi_create_string_utf8(env, "tweed:netlink", NAPI_AUTO_LENGTH, &name);
  napi_async_init(env, NULL, name, &s->context);
  napi_add_async_cleanup_hook(env, on_env_teardown, s, &s->cleanup);
  napi_create_external(env, s, on_finalize, NULL, &handle);
  uv_poll_start(&s->poll, UV_READABLE, on_poll);
  return handle;
}

#define UNPACK \
  napi_value argv[5]; \
  int64_t n[4]; \
  Socket *s = unpack(env, info, argv, n); \
  if (s == NULL) return number(env, -EBADF)

/* send(handle, buffer, length, port, groups) → 0 or -errno. The kernel has acted on it when this returns. */
static napi_value Send(napi_env env, napi_callback_info info) {
  UNPACK;
  size_t size = 0;
  void *bytes = NULL;
  if (napi_get_buffer_info(env, argv[1], &bytes, &size) != napi_ok || n[1] < 0 || (uint64_t)n[1] > size)
    return number(env, -EINVAL);
  struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_pid = n[2], .nl_groups = n[3]};
  ssize_t sent;
  do sent = sendto(s->fd, bytes, n[1], 0, (struct sockaddr *)&to, sizeof to);
  while (sent < 0 && errno == EINTR);
  return number(env, sent < 0 ? -errno : 0);
}

/* receive(handle) → how many bytes waited and are in the buffer now, or -errno */
static napi_value Receive(napi_env env, napi_callback_info info) {
  UNPACK;
  size_t size = 0;
  int64_t got[3];
  void *bytes = buffer_of(s, &size);
  int error = gather(s, bytes, size, got);
  complain(s, error);
  return number(env, got[0]);
}

/* setFilter(handle, program) → 0 or -errno. A struct sock_filter for each eight bytes; 0 from it and the message is dropped. */
static napi_value SetFilter(napi_env env, napi_callback_info info) {
  UNPACK;
  size_t size = 0;
  struct sock_fprog program = {0};
  if (napi_get_buffer_info(env, argv[1], (void **)&program.filter, &size) != napi_ok) return number(env, -EINVAL);
  program.len = size / sizeof(struct sock_filter);
  return number(env, setsockopt(s->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0);
}

/* setOption(handle, level, name, value) → 0 or -errno */
static napi_value SetOption(napi_env env, napi_callback_info info) {
  UNPACK;
  return number(env, setsockopt(s->fd, n[0], n[1], &(int){n[2]}, sizeof(int)) < 0 ? -errno : 0);
}

/* getOption(handle, level, name) → value (none of ours is negative) or -errno */
static napi_value GetOption(napi_env env, napi_callback_info info) {
  UNPACK;
  int value = 0;
  socklen_t length = sizeof value;
  return number(env, getsockopt(s->fd, n[0], n[1], &value, &length) < 0 ? -errno : value);
}

/* port(handle) → the port id that the socket is bound to, or -errno */
static napi_value Port(napi_env env, napi_callback_info info) {
  UNPACK;
  struct sockaddr_nl address;
  socklen_t length = sizeof address;
  return number(env, getsockname(s->fd, (struct sockaddr *)&address, &length) < 0 ? -errno : (int64_t)address.nl_pid);
}

/* keepAlive(handle, 0 | 1): whether the open socket alone keeps the process running */
static napi_value KeepAlive(napi_env env, napi_callback_info info) {
  UNPACK;
  (n[0] ? uv_ref : uv_unref)((uv_handle_t *)&s->poll);
  return number(env, 0);
}

static napi_value Close(napi_env env, napi_callback_info info) {
  UNPACK;
  socket_close(s);
  return number(env, 0);
}

/* sendUnixDatagram(path, buffer) → 0 or -errno. For sd_notify(3): Node has no AF_UNIX datagrams; `@` is abstract. */
static napi_value SendUnixDatagram(napi_env env, napi_callback_info info) {
  size_t argc = 2, length = 0, size = 0;
  napi_value argv[2];
  void *bytes = NULL;
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  napi_get_cb_info(env, info, &argc, argv, NULL, NULL);
  if (napi_get_value_string_utf8(env, argv[0], NULL, 0, &length) != napi_ok || length == 0) return number(env, -EINVAL);
  if (length >= sizeof to.sun_path) return number(env, -ENAMETOOLONG);
  napi_get_value_string_utf8(env, argv[0], to.sun_path, sizeof to.sun_path, &length);
  if (to.sun_path[0] == '@') to.sun_path[0] = '\0';
  if (napi_get_buffer_info(env, argv[1], &bytes, &size) != napi_ok) return number(env, -EINVAL);
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return number(env, -errno);
  ssize_t sent = sendto(fd, bytes, size, MSG_NOSIGNAL, (struct sockaddr *)&to, offsetof(struct sockaddr_un, sun_path) + length);
  napi_value result = number(env, sent < 0 ? -errno : 0);
  close(fd);
  return result;
}

NAPI_MODULE_INIT() {
  const struct { const char *name; napi_callback function; } functions[] = {{"open", Open}, {"send", Send}, {"receive", Receive}, {"setFilter", SetFilter}, {"setOption", SetOption}, {"getOption", GetOption},
                   {"port", Port}, {"keepAlive", KeepAlive}, {"close", Close}, {"sendUnixDatagram", SendUnixDatagram}};
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    napi_value function;
    napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].function, NULL, &function);
    napi_set_named_property(env, exports, functions[i].name, function);
  }
  return exports;
}
