// The parts of `iroh blob`.
#ifndef BLOB_H
#define BLOB_H

#include "share.h"

// `iroh blob tag ...`: o->args[1] is what to do. An exit status.
int blob_tag(const cli_options *o, iroh_store *s);

// A hash in text, with `s` in front for a hash sequence. False after a message.
bool blob_content(const char *text, iroh_content *out);

#endif
