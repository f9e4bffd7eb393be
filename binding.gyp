{
  "targets": [
    {
      "target_name": "tweed_native",
      "sources": ["native/netlink_socket.c"],
      "defines": ["NAPI_VERSION=8"],
      "cflags": ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wno-unused-parameter"]
    }
  ]
}
