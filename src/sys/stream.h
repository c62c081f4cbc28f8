// Byte streams to servers: TCP, with TLS if wanted, directly or through a proxy; over libcurl, which brings the resolver,
// the race of address families, HTTP and SOCKS proxies and the system's trusted roots.
//
// A group belongs to a loop and is served in three steps, so that its owner can keep what it does under a lock of its
// own: sys_streams_prepare before sys_loop_run, which only notes what is ready, and sys_streams_process after it. Only
// reading and writing may be done by another thread than the loop's; everything under the owner's lock.
#ifndef SYS_STREAM_H
#define SYS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "sys/loop.h"

#define SYS_STREAM_DIAL_MAX UINT64_C(10000)  // ms for name, connection, proxy and TLS together

typedef struct sys_streams sys_streams;
typedef struct sys_stream sys_stream;

typedef struct sys_streams_config {
    const char *ca_file;  // PEM file of the roots to trust instead of the system's, also in a proxy; null: the system's
    // "http://...", "https://...", "socks5h://...", "HOST:PORT"; null: none, whatever the environment says. Without a port
    // those of HTTP are at its usual ones.
    const char *proxy;
} sys_streams_config;

// Both texts are copied. IROH_ERR_NOMEM, IROH_ERR_IO.
int sys_streams_new(sys_loop *l, const sys_streams_config *config, sys_streams **out);
void sys_streams_free(sys_streams *g);  // with its streams; before its loop. Null is ignored

void sys_streams_prepare(sys_streams *g);
void sys_streams_process(sys_streams *g);
uint64_t sys_streams_deadline(const sys_streams *g);  // when to process at the latest, ns; TIME_NEVER: no need

enum {
    SYS_STREAM_TLS = 1,     // the server's certificate must name the host
    SYS_STREAM_DIRECT = 2,  // past the proxy of the group
    SYS_STREAM_IP4 = 4,     // to no IPv6 address of the host, or of the proxy
};

// Begins to dial `port` of `host`: a name, which may end in a dot, or an address, an IPv6 one in brackets. `how`: bits of
// the above. IROH_ERR_NOMEM, IROH_ERR_TOO_LARGE (the host), IROH_ERR_IO.
int sys_stream_open(sys_streams *g, unsigned how, const char *host, size_t host_len, uint16_t port, sys_stream **out);
void sys_stream_close(sys_stream *s);  // at once; null is ignored

// 0: open. IROH_ERR_AGAIN: still dialling. Else why dialling failed: IROH_ERR_NOT_FOUND (the name), IROH_ERR_REFUSED
// (nobody, or the proxy, answers), IROH_ERR_HANDSHAKE (TLS, the certificate), IROH_ERR_TIMEOUT, IROH_ERR_IO.
int sys_stream_state(const sys_stream *s);
// The reason in words, empty when there is none. Lives as long as the stream.
const char *sys_stream_reason(const sys_stream *s);

// Bytes read, at least 1; 0 at the end; IROH_ERR_AGAIN, IROH_ERR_IO. Only of an open stream.
int64_t sys_stream_read(sys_stream *s, void *out, size_t room);
// Bytes taken, at least 1; IROH_ERR_AGAIN (then the same bytes must be offered again), IROH_ERR_IO.
int64_t sys_stream_write(sys_stream *s, const void *bytes, size_t len);

bool sys_stream_readable(const sys_stream *s);           // bytes, the end or an error wait, as far as known
void sys_stream_want_write(sys_stream *s, bool wanted);  // wake the loop when bytes can be taken
bool sys_stream_writable(const sys_stream *s);           // no write was refused since the loop found room

// Keying material of the TLS session (RFC 5705). IROH_ERR_UNSUPPORTED without TLS, or if libcurl's TLS library is not
// the one that this library uses.
int sys_stream_export(sys_stream *s, const char *label, const void *context, size_t context_len, void *out, size_t len);

// The local address of an open stream, port included; ADDR_NONE when unknown.
addr sys_stream_local(const sys_stream *s);

#endif
