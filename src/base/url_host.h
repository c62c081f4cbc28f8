// The host of a URL: domain, IPv4 or IPv6 address, in the normal form of the WHATWG URL standard.
#ifndef BASE_URL_HOST_H
#define BASE_URL_HOST_H

#include <stddef.h>

#include "base/bytes.h"

#define URL_HOST_MAX 8192  // bytes, before and after

// `special`: a scheme whose hosts are names (http and the like); otherwise the host is opaque and only escaped. May
// write nothing, for an empty host. IROH_ERR_SYNTAX, IROH_ERR_TOO_LARGE, IROH_ERR_NOMEM.
int url_host_write(const char *host, size_t len, bool special, writer *out);

#endif
