// Host names in letters of the world, as DNS writes them: IDNA by UTS 46, non-transitional, over libidn2.
//
// Stricter than UTS 46 where libidn2 is: labels with symbols, such as emoji, or with ASCII punctuation beside letters
// of the world are refused, as IDNA 2008 does. No registry gives out such names.
#ifndef BASE_IDNA_H
#define BASE_IDNA_H

#include <stddef.h>

#include "base/bytes.h"

// Writes the ASCII form of a domain name in UTF-8: in lower case, mapped and normalised, in Punycode where needed.
// Labels may be empty, hold any ASCII character and, when ASCII, have any length; the caller refuses what it must.
// IROH_ERR_SYNTAX (not a name), IROH_ERR_TOO_LARGE (the writer's room), IROH_ERR_NOMEM.
int idna_to_ascii(const char *name, size_t len, writer *out);

#endif
