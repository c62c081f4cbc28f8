// The client's side of ordinary web TLS in QUIC: which certificates a server may show. For the few servers that are known
// by a host name and not by a key.
//
// Roots are shared by handshakes and live until the last reference is gone. They cost time and memory (the system's: seven
// milliseconds and four megabytes), so those are better made once, and not by a thread that others wait for. What is done
// with them may be done by several threads.
#ifndef TLS_WEB_CLIENT_H
#define TLS_WEB_CLIENT_H

typedef struct web_roots web_roots;

// Those of a PEM file, or the system's (null). IROH_ERR_NOT_FOUND: no such file, or nothing usable in it; IROH_ERR_NOMEM.
// The reference is the caller's.
int web_roots_new(const char *ca_file, web_roots **out);
web_roots *web_roots_ref(web_roots *r);
void web_roots_unref(web_roots *r);  // null is ignored

// --- For the peer TLS, which lends itself to clients of such servers (tls_config)

struct gnutls_session_int;

// Makes a session of GnuTLS ask for a certificate that the roots vouch for and that names `host`: a host name without a
// final dot, or an IP address as text, without brackets. Names, not addresses, are sent as SNI. `host` must live as long
// as the session. 0 or an error of GnuTLS.
int web_roots_apply(const web_roots *r, const char *host, struct gnutls_session_int *tls);

#endif
