#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

void log_line(const logger *l, int level, const char *format, ...) {
    char line[512];
    va_list args;
    if (!log_on(l, level))
        return;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    l->write(l->user, level, line);
}
