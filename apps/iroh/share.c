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
#define CONNECT_MS 30000
#define TRIES 3      // connections that bring nothing new before giving up
#define DEPTH_MAX 8  // folders in a store

// --- The line

void share_line_start(share_line *l) {
    *l = (share_line){.shown = isatty(STDERR_FILENO) == 1, .signals = cli_signals_fd(), .begun = cli_now_ns()};
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

// --- Fetching

static void on_progress(void *user, const iroh_get_progress *p) {
    share_line *l = user;
    char done[SHARE_SIZE_MAX], rate[SHARE_SIZE_MAX];
    uint64_t ms = (cli_now_ns() - l->begun) / 1000000 + 1;
    const char *size = share_size(p->have + p->bytes, done);
    (void)share_size(p->bytes * 1000 / ms, rate);
    if (p->count > 0)
        share_line_show(l, false, "%llu/%llu  %s  %s/s", (unsigned long long)p->index, (unsigned long long)p->count,
                        size, rate);
    else
        share_line_show(l, false, "%llu  %s  %s/s", (unsigned long long)p->index, size, rate);
}

typedef struct fetch {
    share_line *line;
    iroh_get_progress latest;  // attempt
} fetch;

static void on_fetch_progress(void *user, const iroh_get_progress *p) {
    fetch *f = user;
    f->latest = *p;
    on_progress(f->line, p);
}

// Errors after which another connection may do better.
static bool may_try_again(int error) {
    return error == IROH_ERR_TIMEOUT || error == IROH_ERR_IDLE || error == IROH_ERR_TRANSPORT ||
           error == IROH_ERR_STATELESS || error == IROH_ERR_UNREACHABLE;
}

static int fetch_once(fetch *f, iroh_endpoint *ep, const iroh_addr *from, const iroh_content *content,
                      iroh_store *store, iroh_temp_tag **temp_tag, bool *connected) {
    iroh_connection *c;
    iroh_get_options options;
    iroh_get_options_default(&options);
    options.cancel_fd = f->line->signals;
    options.progress = on_fetch_progress;
    options.user = f;
    options.temp_tag = temp_tag;
    f->latest = (iroh_get_progress){0};
    int r = iroh_endpoint_connect(ep, from, IROH_BLOBS_ALPN, strlen(IROH_BLOBS_ALPN), NULL, CONNECT_MS, &c);
    *connected = r == 0;
    if (r != 0)
        return r;
    r = iroh_blobs_get(c, store, content, &options);
    iroh_connection_free(c);
    return r;
}

static const char *meaning(int error, bool connected) {
    if (!connected)
        return iroh_strerror(error);
    if (error == IROH_ERR_NOT_FOUND || error == IROH_ERR_FINISHED)
        return "the other side has not got all of it";
    if (error == IROH_ERR_ACCESS)
        return "the other side does not permit it, or the disk does not";
    if (error == IROH_ERR_PROTOCOL)
        return "the other side sends wrong data";
    return error == IROH_ERR_TIMEOUT ? "the other side is silent" : iroh_strerror(error);
}

static int fetch_all(fetch *f, iroh_endpoint *ep, const iroh_addr *from, const iroh_content *content, iroh_store *store,
                     iroh_temp_tag **temp_tag, iroh_get_progress *total) {
    bool connected = false;
    int r = IROH_ERR_TIMEOUT;
    for (int tries = 0; tries < TRIES && may_try_again(r); tries++) {
        r = fetch_once(f, ep, from, content, store, temp_tag, &connected);
        total->bytes += f->latest.bytes;
        if (f->latest.bytes > 0)
            tries = 0;
    }
    share_line_clear(f->line);
    if (r == 0)
        return EXIT_OK;
    if (share_interrupted(f->line))
        return EXIT_INTERRUPTED;
    cli_error("%s: %s", connected ? "cannot fetch" : "cannot connect", meaning(r, connected));
    return EXIT_FAILED;
}

int share_fetch(const cli_options *o, share_line *line, const iroh_addr *from, const iroh_content *content,
                iroh_store *store, iroh_temp_tag **temp_tag, iroh_get_progress *total) {
    fetch f = {.line = line};
    *total = (iroh_get_progress){0};
    int r = iroh_content_is_complete(store, content);
    if (r == 1)
        return temp_tag == NULL || iroh_temp_tag_new(store, content, temp_tag) == 0 ? EXIT_OK : EXIT_FAILED;
    if (r < 0)
        return cli_failed("cannot read the store", r);
    iroh_endpoint *ep = cli_endpoint(o, NULL, 0, true);
    if (ep == NULL)
        return EXIT_FAILED;
    share_line_show(line, true, "connecting");
    int status = fetch_all(&f, ep, from, content, store, temp_tag, total);
    (void)iroh_endpoint_close(ep, SHARE_CLOSE_MS);
    iroh_endpoint_free(ep);
    return status;
}
