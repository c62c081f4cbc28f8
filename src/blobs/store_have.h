// The chunks of a partial blob as bytes: the boundaries of its ranges as varints, each as the difference to the one before.
#ifndef BLOBS_STORE_HAVE_H
#define BLOBS_STORE_HAVE_H

#include <stddef.h>
#include <stdint.h>

#include "base/ranges.h"

// The caller frees *out. 0 or IROH_ERR_NOMEM.
int store_have_encode(const ranges *have, uint8_t **out, size_t *len);

// Adds to `out`. IROH_ERR_CORRUPT for anything that the other does not write, IROH_ERR_NOMEM.
int store_have_decode(const void *bytes, size_t len, ranges *out);

#endif
