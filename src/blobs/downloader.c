// Downloaders and downloads as their users see them.
#include "blobs/downloader.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "blobs/getter.h"
#include "blobs/store_os.h"

#define MAX_CONNECTIONS 1024
#define MAX_CONNECTING 64
#define IDLE_MS 5000
#define CONNECT_MS 10000  // the original's second is too short for relays
#define TRIES 5

void iroh_downloader_options_default(iroh_downloader_options *o) {
    *o = (iroh_downloader_options){.max_connections = MAX_CONNECTIONS,
                                   .max_connecting = MAX_CONNECTING,
                                   .idle_ms = IDLE_MS,
                                   .connect_ms = CONNECT_MS,
                                   .tries = TRIES};
}

// Connections

static int dial(void *user, const iroh_addr *to, iroh_connection **out) {
    const iroh_downloader *d = user;
    const iroh_slice *alpn = &d->options.alpn;
    return iroh_endpoint_connect(d->endpoint, to, alpn->data, alpn->len, NULL, 0, out);
}

static int state(void *user, iroh_connection *c) {
    (void)user;
    iroh_close_info info;
    int r = iroh_connection_handshake(c, 0);
    if (r == 0 && iroh_connection_closed(c, 0) == 0)
        r = iroh_connection_close_info(c, &info) == 0 && info.error != 0 ? info.error : IROH_ERR_CLOSED;
    return r;
}

static int greet(void *user, iroh_connection *c) {
    const iroh_downloader *d = user;
    int r = d->options.on_connected != NULL ? d->options.on_connected(d->options.user, c) : 0;
    return r < 0 ? r : 0;
}

static void drop(void *user, iroh_connection *c, const char *reason) {
    (void)user;
    (void)iroh_connection_close(c, 0, reason, strlen(reason));
    iroh_connection_free(c);
}

// Waits until something happens or `due`, ns.
static void doze(iroh_downloader *d, uint64_t due) {
    if (due == TIME_NEVER) {
        pthread_cond_wait(&d->wake, &d->lock);
        return;
    }
    struct timespec until = {.tv_sec = (time_t)(due / NS_PER_S), .tv_nsec = (long)(due % NS_PER_S)};
    (void)pthread_cond_timedwait(&d->wake, &d->lock, &until);
}

static void *reap(void *user) {
    iroh_downloader *d = user;
    pthread_mutex_lock(&d->lock);
    while (!d->stop)
        doze(d, conn_pool_turn(d->pool, store_os_now()));
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

// After a download: somebody has to close what it leaves idle. Without a thread, the next call does.
static void see_to_idle(iroh_downloader *d) {
    if (iroh_endpoint_fd(d->endpoint) >= 0) {
        (void)conn_pool_turn(d->pool, store_os_now());
        return;
    }
    pthread_mutex_lock(&d->lock);
    if (!d->reaping)
        d->reaping = pthread_create(&d->reaper, NULL, reap, d) == 0;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->lock);
}

// Downloaders

static int set_alpn(iroh_downloader *d) {
    iroh_slice *alpn = &d->options.alpn;
    if (alpn->len == 0)
        *alpn = (iroh_slice){IROH_BLOBS_ALPN, strlen(IROH_BLOBS_ALPN)};
    d->alpn = malloc(alpn->len);
    if (d->alpn == NULL)
        return IROH_ERR_NOMEM;
    memcpy(d->alpn, alpn->data, alpn->len);
    alpn->data = d->alpn;
    return 0;
}

static int make_pool(iroh_downloader *d) {
    const iroh_downloader_options *o = &d->options;
    conn_pool_config config = {.max = o->max_connections,
                               .max_dialling = o->max_connecting,
                               .idle_ns = o->idle_ms < 0 ? TIME_NEVER : (uint64_t)o->idle_ms * NS_PER_MS,
                               .dial_ns = o->connect_ms < 0 ? TIME_NEVER : (uint64_t)o->connect_ms * NS_PER_MS,
                               .dial = dial,
                               .state = state,
                               .greet = greet,
                               .drop = drop,
                               .user = d};
    return conn_pool_new(&config, &d->pool);
}

static void init_lock(iroh_downloader *d) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&d->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&d->lock, NULL);
}

int iroh_downloader_new(iroh_endpoint *ep, iroh_store *s, const iroh_downloader_options *o, iroh_downloader **out) {
    if (out == NULL)
        return IROH_ERR_ARG;
    *out = NULL;
    if (ep == NULL || s == NULL || (o != NULL && o->alpn.len > 0 && o->alpn.data == NULL))
        return IROH_ERR_ARG;
    iroh_downloader *d = calloc(1, sizeof *d);
    if (d == NULL)
        return IROH_ERR_NOMEM;
    d->endpoint = ep;
    d->store = s;
    if (o != NULL)
        d->options = *o;
    else
        iroh_downloader_options_default(&d->options);
    int r = set_alpn(d);
    if (r == 0)
        r = make_pool(d);
    if (r != 0) {
        free(d->alpn);
        free(d);
        return r;
    }
    init_lock(d);
    *out = d;
    return 0;
}

void iroh_downloader_free(iroh_downloader *d) {
    if (d == NULL)
        return;
    pthread_mutex_lock(&d->lock);
    d->stop = true;
    pthread_cond_signal(&d->wake);
    pthread_mutex_unlock(&d->lock);
    if (d->reaping)
        pthread_join(d->reaper, NULL);
    conn_pool_free(d->pool);
    pthread_cond_destroy(&d->wake);
    pthread_mutex_destroy(&d->lock);
    free(d->alpn);
    free(d);
}

// Downloads

static int make_wake(int wake[static 2]) {
    if (pipe(wake) != 0)
        return IROH_ERR_IO;
    for (int i = 0; i < 2; i++) {
        (void)fcntl(wake[i], F_SETFL, O_NONBLOCK);
        (void)fcntl(wake[i], F_SETFD, FD_CLOEXEC);
    }
    return 0;
}

static bool is_content(const iroh_content *c) {
    return c != NULL && (c->format == IROH_BLOB_RAW || c->format == IROH_BLOB_HASH_SEQ);
}

int iroh_download_new(iroh_downloader *owner, const iroh_content *content, iroh_download **out) {
    if (out == NULL)
        return IROH_ERR_ARG;
    *out = NULL;
    if (owner == NULL || !is_content(content))
        return IROH_ERR_ARG;
    iroh_download *d = calloc(1, sizeof *d);
    if (d == NULL)
        return IROH_ERR_NOMEM;
    d->owner = owner;
    d->content = *content;
    int r = make_wake(d->wake);
    if (r != 0) {
        free(d);
        return r;
    }
    pthread_mutex_init(&d->lock, NULL);
    *out = d;
    return 0;
}

void iroh_download_free(iroh_download *d) {
    if (d == NULL)
        return;
    for (size_t i = 0; i < d->count; i++)
        source_free(d->sources[i]);
    for (size_t i = 0; i < d->added_count; i++)
        iroh_addr_free(d->added[i]);
    free(d->sources);
    free(d->added);
    close(d->wake[0]);
    close(d->wake[1]);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

int iroh_download_add(iroh_download *d, const iroh_addr *provider) {
    if (d == NULL || provider == NULL)
        return IROH_ERR_ARG;
    iroh_addr *copy;
    int r = iroh_addr_copy(provider, &copy);
    if (r != 0)
        return r;
    pthread_mutex_lock(&d->lock);
    iroh_addr **added = realloc(d->added, (d->added_count + 1) * sizeof(iroh_addr *));
    if (added != NULL) {
        d->added = added;
        d->added[d->added_count++] = copy;
    }
    pthread_mutex_unlock(&d->lock);
    if (added == NULL) {
        iroh_addr_free(copy);
        return IROH_ERR_NOMEM;
    }
    (void)!write(d->wake[1], "", 1);  // when the pipe is full, it wakes all the same
    return 0;
}

static int run(iroh_download *d, int wait_ms, const iroh_get_options *o) {
    iroh_temp_tag *t;
    int r = iroh_temp_tag_new(d->owner->store, &d->content, &t);
    if (r != 0)
        return r;
    r = download_fetch(d, wait_ms, o);
    if (r == 0 && o->chunks == NULL)
        r = getter_keep(d->owner->store, &d->content, o);
    if (r == 0 && o->temp_tag != NULL)
        *o->temp_tag = t;
    else
        iroh_temp_tag_free(t);
    see_to_idle(d->owner);
    return r;
}

int iroh_download_run(iroh_download *d, int wait_ms, const iroh_get_options *o) {
    iroh_get_options standard;
    iroh_get_options_default(&standard);
    if (o == NULL)
        o = &standard;
    if (d == NULL || (d->content.format != IROH_BLOB_RAW && o->chunks != NULL))
        return IROH_ERR_ARG;
    if (o->temp_tag != NULL)
        *o->temp_tag = NULL;
    return run(d, wait_ms, o);
}

int iroh_download_source_get(const iroh_download *d, size_t i, iroh_download_source *out) {
    if (d == NULL || out == NULL)
        return IROH_ERR_ARG;
    if (i >= d->count)
        return IROH_ERR_RANGE;
    *out = d->sources[i]->told;
    return 0;
}
