// Log lines as values: a sink that the program sets; the core formats only when the level is on.
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum { LOG_ERROR = 0, LOG_WARN = 1, LOG_INFO = 2, LOG_DEBUG = 3, LOG_TRACE = 4 };

typedef struct logger {
    int level;  // lines above it are not formatted
    void (*write)(void *user, int level, const char *line);
    void *user;
} logger;

// True when a line of `level` would be written; `l` may be null (never).
static inline bool log_on(const logger *l, int level) {
    return l != NULL && l->write != 0 && level <= l->level;
}

// Formats (at most 511 bytes; longer lines are cut) and hands the line to the sink. No newline at the end.
__attribute__((format(printf, 3, 4))) void log_line(const logger *l, int level, const char *format, ...);

#endif
