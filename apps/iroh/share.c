#include "share.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SHOW_EVERY_NS UINT64_C(100000000)
#define DEPTH_MAX 8  // folders in a store

// --- The line

void share_line_start(share_line *l, const cli_options *o) {
    bool shown = !o->no_progress && isatty(STDERR_FILENO) == 1;
    *l = (share_line){.shown = shown, .signals = cli_signals_fd(), .begun = cli_now_ns()};
}

void share_line_show(share_line *l, bool now, const char *format, ...) {
    uint64_t time = cli_now_ns();
    if (!l->shown || (!now && time - l->latest < SHOW_EVERY_NS))
        return;
    l->latest = time;
    char line[160];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof line, format, args);
    va_end(args);
    (void)fprintf(stderr, "\r\033[K%s", line);
    (void)fflush(stderr);
}

void share_line_clear(share_line *l) {
    share_line_show(l, true, "%s", "");
}

bool share_interrupted(const share_line *l) {
    struct pollfd p = {.fd = l->signals, .events = POLLIN};
    return l->signals >= 0 && poll(&p, 1, 0) == 1;
}

// --- Text

const char *share_size(uint64_t bytes, char out[static SHARE_SIZE_MAX]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    double value = (double)bytes;
    for (; value >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1024;
    (void)snprintf(out, SHARE_SIZE_MAX, unit == 0 ? "%.0f %s" : "%.2f %s", value, units[unit]);
    return out;
}

const char *share_time(uint64_t seconds, char out[static SHARE_TIME_MAX]) {
    unsigned long long s = seconds;
    if (s < 3600)
        (void)snprintf(out, SHARE_TIME_MAX, "%llu:%02llu", s / 60, s % 60);
    else
        (void)snprintf(out, SHARE_TIME_MAX, "%llu:%02llu:%02llu", s / 3600, s / 60 % 60, s % 60);
    return out;
}

const char *share_text(const char *text, size_t len, char out[static SHARE_TEXT_MAX]) {
    size_t n = len < SHARE_TEXT_MAX ? len : SHARE_TEXT_MAX - 1;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        out[i] = c < ' ' || c > '~' ? '?' : text[i];
    }
    out[n] = '\0';
    return out;
}

// --- Folders and stores

static int remove_in(int parent, const char *name, int depth);

static int remove_entries(DIR *d, int depth) {
    const struct dirent *e;
    int r = 0;
    while ((e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r |= remove_in(dirfd(d), e->d_name, depth + 1);
    }
    return r;
}

// Links are deleted, not followed.
static int remove_in(int parent, const char *name, int depth) {
    if (unlinkat(parent, name, 0) == 0)
        return 0;
    if ((errno != EISDIR && errno != EPERM) || depth == DEPTH_MAX)
        return -1;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    int r = d != NULL ? remove_entries(d, depth) : -1;
    if (d != NULL)
        (void)closedir(d);
    else if (fd >= 0)
        (void)close(fd);
    return r == 0 ? unlinkat(parent, name, AT_REMOVEDIR) : r;
}

void share_remove_folder(const char *path) {
    if (remove_in(AT_FDCWD, path, 0) != 0 && errno != ENOENT)
        cli_error("cannot delete %s: %s", path, strerror(errno));
}

iroh_store *share_store(const char *path) {
    iroh_store_config config;
    iroh_store *store;
    iroh_store_config_default(&config);
    config.power_safe = false;
    int r = iroh_store_open(path, &config, &store);
    if (r == 0)
        return store;
    if (r == IROH_ERR_AGAIN)
        cli_error("%s is in use by another process", path);
    else
        cli_error("cannot open the store %s: %s", path, iroh_strerror(r));
    return NULL;
}
