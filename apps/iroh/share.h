// What send, receive and blob have in common: stores, progress on a terminal, interruption.
#ifndef SHARE_H
#define SHARE_H

#include <iroh/blobs_transfer.h>

#include "cli.h"

#define SHARE_TICKET_MAX 8192
#define SHARE_CLOSE_MS 2000

// One line on standard error that is written over again and again, when that is a terminal.
typedef struct share_line {
    bool shown;       // it is a terminal
    int signals;      // descriptor that is readable after an interruption
    uint64_t begun;   // ns
    uint64_t latest;  // ns, when it was last written
} share_line;

// Shown on a terminal only, and not with --no-progress.
void share_line_start(share_line *l, const cli_options *o);
// Not more often than a reader can follow, unless `now`.
void share_line_show(share_line *l, bool now, const char *format, ...) __attribute__((format(printf, 3, 4)));
void share_line_clear(share_line *l);
bool share_interrupted(const share_line *l);

// "12 B", "3.45 MiB".
#define SHARE_SIZE_MAX 32
const char *share_size(uint64_t bytes, char out[static SHARE_SIZE_MAX]);

// "0:05", "1:02:03".
#define SHARE_TIME_MAX 32
const char *share_time(uint64_t seconds, char out[static SHARE_TIME_MAX]);

// Text of somebody else's for a terminal: plain characters only, cut where it is long.
#define SHARE_TEXT_MAX 64
const char *share_text(const char *text, size_t len, char out[static SHARE_TEXT_MAX]);

// Deletes a folder and what is in it. A message if that fails.
void share_remove_folder(const char *path);

// A store in a folder, one that need not outlast a power failure. Null after a message.
iroh_store *share_store(const char *path);

typedef struct share_total {
    uint64_t files;    // of a collection, 0 while unknown
    uint64_t there;    // bytes that were there at the beginning
    uint64_t fetched;  // bytes
} share_total;

// Fetches a content into the store from somebody, or from several at once, keeping what is there: EXIT_OK,
// EXIT_INTERRUPTED, or EXIT_FAILED after a message. Without a connection when nothing is missing. What is kept alive as
// by iroh_get_options: by the temporary tag if that is not null, else by the tag of that name, else by one with a name
// of its own.
int share_fetch(const cli_options *o, share_line *line, iroh_addr *const *from, size_t from_count,
                const iroh_content *content, iroh_store *store, iroh_temp_tag **temp_tag, share_total *total);

// One line about what came, for the end: "received N files, SIZE of data fetched in TIME, ...".
void share_report(const share_line *line, const share_total *total);

// The text as a QR code on standard error. False after a message.
bool share_qr(const char *text);

#endif
