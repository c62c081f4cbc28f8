// libcurl dials: one transfer of the kind "connect only" for each stream. It asks for descriptors to be watched and for
// a timer; once a transfer is over, its descriptor is ours to watch, while reading and writing still go through libcurl,
// which has the TLS session.
#include "sys/stream.h"

#include <curl/curl.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <uv.h>

#include <iroh/error.h>

#include "base/clock.h"
#include "base/list.h"
#include "sys/sockaddr.h"

#define HOST_MAX 400         // bytes; a name has at most 254
#define URL_ROOM 512         // bytes for a host with scheme and port
#define FAMILY_RACE 250L     // ms that the first address family is ahead (RFC 8305, section 5)
#define SOCKETS_PER_TURN 64  // ready descriptors that libcurl hears of before it is asked for results

// A descriptor that libcurl wants to have watched, or that of an open stream.
typedef struct socket_watch {
    list_link link;  // in the group
    sys_streams *group;
    sys_watch *watch;
    curl_socket_t fd;
    unsigned ready;  // SYS_*, noted by the loop
} socket_watch;

struct sys_streams {
    sys_loop *loop;
    CURLM *multi;
    char *ca_file;  // null: as libcurl was built
    char *proxy;
    list_link streams;
    list_link dialling;  // of socket_watch
    uint64_t timer;      // ns: when libcurl wants to be called
};

struct sys_stream {
    list_link link;
    sys_streams *group;
    CURL *easy;
    struct curl_slist *full_name;  // where to connect to, if the host ends in a dot
    int state;                     // as sys_stream_state
    unsigned how;                  // SYS_STREAM_*
    bool readable, blocked, want_write;
    socket_watch socket;  // once open
    char reason[CURL_ERROR_SIZE];
};

// Closing a stream must not wait for the system's resolver, which may take its time. Older versions of libcurl always do.
#if LIBCURL_VERSION_NUM >= 0x075700
static const CURLoption leave_resolver = CURLOPT_QUICK_EXIT;
#else
static const CURLoption leave_resolver = CURLOPT_NOSIGNAL;  // which is wanted anyway
#endif

static uv_once_t once = UV_ONCE_INIT;
static bool usable;

static void start_libcurl(void) {
    usable = curl_global_init(CURL_GLOBAL_DEFAULT) == 0;
}

// --- What libcurl asks for

static void on_ready(void *user, unsigned events) {
    socket_watch *w = user;
    w->ready |= events;
}

static int watch(socket_watch *w, unsigned events) {
    return sys_loop_watch(w->group->loop, (int)w->fd, events, on_ready, w, &w->watch);
}

static void drop_socket(socket_watch *w) {
    list_remove(&w->link);
    sys_watch_free(w->watch);
    free(w);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_user) {
    sys_streams *g = user;
    socket_watch *w = socket_user;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w != NULL)
            drop_socket(w);
        (void)curl_multi_assign(g->multi, fd, NULL);
        return 0;
    }
    unsigned events =
        ((what & CURL_POLL_IN) != 0 ? SYS_READABLE : 0u) | ((what & CURL_POLL_OUT) != 0 ? SYS_WRITABLE : 0u);
    if (w != NULL) {
        sys_watch_set(w->watch, events);
        return 0;
    }
    w = calloc(1, sizeof *w);
    if (w == NULL)
        return -1;
    w->group = g;
    w->fd = fd;
    if (watch(w, events) != 0) {
        free(w);
        return -1;
    }
    list_push_back(&g->dialling, &w->link);
    (void)curl_multi_assign(g->multi, fd, w);
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *user) {
    sys_streams *g = user;
    (void)multi;
    g->timer = ms < 0 ? TIME_NEVER : sys_now() + (uint64_t)ms * NS_PER_MS;
    return 0;
}

// --- The group

static char *copy(const char *text, bool *failed) {
    if (text == NULL)
        return NULL;
    char *out = strdup(text);
    *failed |= out == NULL;
    return out;
}

// The system's roots in one file. Debian's libcurl is built to read each file of their folder, in which every root is
// three times and this file is, too; that takes four times as long, on the loop, for each dial. From 8.9 on it also keeps
// what it read of a file (for a day, unless told otherwise), but not what it read of a folder. Null: there is none, and
// libcurl reads what it was built to read.
static char *find_bundle(bool *failed) {
    static const char name[] = "/ca-certificates.crt";
    const char *folder = curl_version_info(CURLVERSION_NOW)->capath;
    if (folder == NULL)
        return NULL;
    size_t size = strlen(folder) + sizeof name;
    char *path = malloc(size);
    *failed |= path == NULL;
    if (path == NULL)
        return NULL;
    (void)snprintf(path, size, "%s%s", folder, name);
    if (access(path, R_OK) == 0)
        return path;
    free(path);
    return NULL;
}

int sys_streams_new(sys_loop *l, const sys_streams_config *config, sys_streams **out) {
    bool failed = false;
    uv_once(&once, start_libcurl);
    sys_streams *g = usable ? calloc(1, sizeof *g) : NULL;
    if (g == NULL)
        return usable ? IROH_ERR_NOMEM : IROH_ERR_IO;
    g->loop = l;
    g->timer = TIME_NEVER;
    list_init(&g->streams);
    list_init(&g->dialling);
    g->ca_file = config->ca_file != NULL ? copy(config->ca_file, &failed) : find_bundle(&failed);
    g->proxy = copy(config->proxy, &failed);
    g->multi = curl_multi_init();
    if (failed || g->multi == NULL) {
        sys_streams_free(g);
        return IROH_ERR_NOMEM;
    }
    (void)curl_multi_setopt(g->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(g->multi, CURLMOPT_SOCKETDATA, g);
    (void)curl_multi_setopt(g->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    (void)curl_multi_setopt(g->multi, CURLMOPT_TIMERDATA, g);
    *out = g;
    return 0;
}

void sys_streams_free(sys_streams *g) {
    if (g == NULL)
        return;
    while (!list_empty(&g->streams))
        sys_stream_close(list_entry(g->streams.next, sys_stream, link));
    if (g->multi != NULL)
        (void)curl_multi_cleanup(g->multi);
    while (!list_empty(&g->dialling))
        drop_socket(list_entry(g->dialling.next, socket_watch, link));
    free(g->ca_file);
    free(g->proxy);
    free(g);
}

uint64_t sys_streams_deadline(const sys_streams *g) {
    return g->timer;
}

void sys_streams_prepare(sys_streams *g) {
    for (list_link *l = g->streams.next; l != &g->streams; l = l->next) {
        const sys_stream *s = list_entry(l, sys_stream, link);
        if (s->socket.watch == NULL)
            continue;
        // What is known to be readable is read anyway.
        unsigned events = (s->readable ? 0u : SYS_READABLE) | (s->want_write && s->blocked ? SYS_WRITABLE : 0u);
        sys_watch_set(s->socket.watch, events);
    }
}

// --- Dialling

static const struct {
    CURLcode code;
    int error;
} failures[] = {
    {CURLE_OUT_OF_MEMORY, IROH_ERR_NOMEM},
    {CURLE_COULDNT_RESOLVE_HOST, IROH_ERR_NOT_FOUND},
    {CURLE_COULDNT_RESOLVE_PROXY, IROH_ERR_NOT_FOUND},
    {CURLE_COULDNT_CONNECT, IROH_ERR_REFUSED},
    {CURLE_PROXY, IROH_ERR_REFUSED},
    {CURLE_RECV_ERROR, IROH_ERR_REFUSED},  // the proxy's answer
    {CURLE_SSL_CONNECT_ERROR, IROH_ERR_HANDSHAKE},
    {CURLE_PEER_FAILED_VERIFICATION, IROH_ERR_HANDSHAKE},
    {CURLE_SSL_CACERT_BADFILE, IROH_ERR_HANDSHAKE},
    {CURLE_OPERATION_TIMEDOUT, IROH_ERR_TIMEOUT},
};

static int error_of(CURLcode code) {
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        if (failures[i].code == code)
            return failures[i].error;
    }
    return IROH_ERR_IO;
}

// libcurl looks for HTTP proxies whose URL has no port at 1080.
static void set_proxy_port(CURL *e, const char *proxy) {
    static const char plain[] = "http://";
    if (strstr(proxy, "://") == NULL || strncasecmp(proxy, plain, sizeof plain - 1) == 0)
        (void)curl_easy_setopt(e, CURLOPT_PROXYPORT, 80L);
}

static int set_options(sys_stream *s, const char *url) {
    const sys_streams *g = s->group;
    const char *proxy = (s->how & SYS_STREAM_DIRECT) != 0 || g->proxy == NULL ? "" : g->proxy;
    CURL *e = s->easy;
    bool ok = curl_easy_setopt(e, CURLOPT_URL, url) == CURLE_OK;
    ok &= curl_easy_setopt(e, CURLOPT_PROXY, proxy) == CURLE_OK;
    set_proxy_port(e, proxy);
    ok &= curl_easy_setopt(e, CURLOPT_NOPROXY, "") == CURLE_OK;  // else that of the environment
    ok &= curl_easy_setopt(e, CURLOPT_PRIVATE, s) == CURLE_OK;
    ok &= curl_easy_setopt(e, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK;
    ok &= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
    (void)curl_easy_setopt(e, leave_resolver, 1L);
    (void)curl_easy_setopt(e, CURLOPT_HTTPPROXYTUNNEL, 1L);
    (void)curl_easy_setopt(e, CURLOPT_ERRORBUFFER, s->reason);
    (void)curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)SYS_STREAM_DIAL_MAX);
    (void)curl_easy_setopt(e, CURLOPT_HAPPY_EYEBALLS_TIMEOUT_MS, FAMILY_RACE);
    long families = (s->how & SYS_STREAM_IP4) != 0 ? CURL_IPRESOLVE_V4 : CURL_IPRESOLVE_WHATEVER;
    (void)curl_easy_setopt(e, CURLOPT_IPRESOLVE, families);
    (void)curl_easy_setopt(e, CURLOPT_DNS_CACHE_TIMEOUT, 0L);  // an answer to some ways to dial is none to others
    (void)curl_easy_setopt(e, CURLOPT_SSL_ENABLE_ALPN, 0L);
    (void)curl_easy_setopt(e, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    (void)curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (g->ca_file != NULL) {
        ok &= curl_easy_setopt(e, CURLOPT_CAINFO, g->ca_file) == CURLE_OK;
        // A libcurl that reaches no proxy over TLS does not know this one.
        ok &= curl_easy_setopt(e, CURLOPT_PROXY_CAINFO, g->ca_file) != CURLE_OUT_OF_MEMORY;
        (void)curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
        (void)curl_easy_setopt(e, CURLOPT_PROXY_CAPATH, NULL);
    }
    return ok ? 0 : IROH_ERR_NOMEM;
}

// A name that ends in a dot is looked up as it is, but certificates name the host without.
static int set_full_name(sys_stream *s, const char *host, size_t host_len, uint16_t port) {
    char text[URL_ROOM];
    (void)snprintf(text, sizeof text, "::%.*s:%u", (int)host_len, host, port);
    s->full_name = curl_slist_append(NULL, text);
    return s->full_name != NULL && curl_easy_setopt(s->easy, CURLOPT_CONNECT_TO, s->full_name) == CURLE_OK
               ? 0
               : IROH_ERR_NOMEM;
}

static int begin(sys_stream *s, const char *host, size_t host_len, uint16_t port) {
    char url[URL_ROOM];
    size_t plain_len = host_len > 1 && host[host_len - 1] == '.' ? host_len - 1 : host_len;
    (void)snprintf(url, sizeof url, "%s://%.*s:%u/", (s->how & SYS_STREAM_TLS) != 0 ? "https" : "http", (int)plain_len,
                   host, port);
    s->easy = curl_easy_init();
    if (s->easy == NULL)
        return IROH_ERR_NOMEM;
    int r = set_options(s, url);
    if (r == 0 && plain_len < host_len)
        r = set_full_name(s, host, host_len, port);
    if (r == 0 && curl_multi_add_handle(s->group->multi, s->easy) != CURLM_OK)
        r = IROH_ERR_IO;
    return r;
}

int sys_stream_open(sys_streams *g, unsigned how, const char *host, size_t host_len, uint16_t port, sys_stream **out) {
    if (host_len > HOST_MAX)
        return IROH_ERR_TOO_LARGE;
    sys_stream *s = calloc(1, sizeof *s);
    if (s == NULL)
        return IROH_ERR_NOMEM;
    s->group = g;
    s->how = how;
    s->state = IROH_ERR_AGAIN;
    s->socket.group = g;
    list_init(&s->socket.link);
    list_push_back(&g->streams, &s->link);
    int r = begin(s, host, host_len, port);
    if (r != 0) {
        sys_stream_close(s);
        return r;
    }
    *out = s;
    return 0;
}

void sys_stream_close(sys_stream *s) {
    if (s == NULL)
        return;
    list_remove(&s->link);
    sys_watch_free(s->socket.watch);
    if (s->easy != NULL) {
        (void)curl_multi_remove_handle(s->group->multi, s->easy);
        curl_easy_cleanup(s->easy);
    }
    curl_slist_free_all(s->full_name);
    free(s);
}

// libcurl has let go of the descriptor: from now on we watch it.
static int adopt(sys_stream *s) {
    curl_socket_t fd = CURL_SOCKET_BAD;
    if (curl_easy_getinfo(s->easy, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK || fd == CURL_SOCKET_BAD)
        return IROH_ERR_IO;
    s->socket.fd = fd;
    return watch(&s->socket, SYS_READABLE);
}

static void take_result(sys_streams *g, const CURLMsg *m) {
    char *user = NULL;
    (void)g;
    if (m->msg != CURLMSG_DONE || curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &user) != CURLE_OK)
        return;
    sys_stream *s = (sys_stream *)(void *)user;
    s->state = m->data.result == CURLE_OK ? adopt(s) : error_of(m->data.result);
    if (s->state != 0 && s->reason[0] == '\0')
        (void)snprintf(s->reason, sizeof s->reason, "%s", curl_easy_strerror(m->data.result));
}

// libcurl may drop any descriptor while it handles one, so each is looked for anew.
static socket_watch *next_ready(sys_streams *g) {
    for (list_link *l = g->dialling.next; l != &g->dialling; l = l->next) {
        socket_watch *w = list_entry(l, socket_watch, link);
        if (w->ready != 0)
            return w;
    }
    return NULL;
}

static void serve_libcurl(sys_streams *g) {
    int running;
    socket_watch *w;
    for (int i = 0; i < SOCKETS_PER_TURN && (w = next_ready(g)) != NULL; i++) {
        int mask = ((w->ready & SYS_READABLE) != 0 ? CURL_CSELECT_IN : 0) |
                   ((w->ready & SYS_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0);
        w->ready = 0;
        (void)curl_multi_socket_action(g->multi, w->fd, mask, &running);
    }
    if (g->timer <= sys_now()) {
        g->timer = TIME_NEVER;
        (void)curl_multi_socket_action(g->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
}

void sys_streams_process(sys_streams *g) {
    const CURLMsg *m;
    int left;
    serve_libcurl(g);
    while ((m = curl_multi_info_read(g->multi, &left)) != NULL)
        take_result(g, m);
    for (list_link *l = g->streams.next; l != &g->streams; l = l->next) {
        sys_stream *s = list_entry(l, sys_stream, link);
        if ((s->socket.ready & SYS_READABLE) != 0)
            s->readable = true;
        if ((s->socket.ready & SYS_WRITABLE) != 0)
            s->blocked = false;
        s->socket.ready = 0;
    }
}

// --- An open stream

int sys_stream_state(const sys_stream *s) {
    return s->state;
}

const char *sys_stream_reason(const sys_stream *s) {
    return s->reason;
}

int64_t sys_stream_read(sys_stream *s, void *out, size_t room) {
    size_t n = 0;
    CURLcode code = curl_easy_recv(s->easy, out, room, &n);
    if (code == CURLE_OK)
        return (int64_t)n;
    if (code != CURLE_AGAIN)
        return IROH_ERR_IO;
    s->readable = false;
    return IROH_ERR_AGAIN;
}

int64_t sys_stream_write(sys_stream *s, const void *bytes, size_t len) {
    size_t n = 0;
    CURLcode code = curl_easy_send(s->easy, bytes, len, &n);
    if (code == CURLE_OK && n > 0)
        return (int64_t)n;
    if (code != CURLE_AGAIN && code != CURLE_OK)
        return IROH_ERR_IO;
    s->blocked = true;
    return IROH_ERR_AGAIN;
}

bool sys_stream_readable(const sys_stream *s) {
    return s->readable;
}

void sys_stream_want_write(sys_stream *s, bool wanted) {
    s->want_write = wanted;
}

bool sys_stream_writable(const sys_stream *s) {
    return !s->blocked;
}

int sys_stream_export(sys_stream *s, const char *label, const void *context, size_t context_len, void *out,
                      size_t len) {
    const struct curl_tlssessioninfo *tls = NULL;
    uint8_t early;
    if ((s->how & SYS_STREAM_TLS) == 0)
        return IROH_ERR_UNSUPPORTED;
    // libcurl finds the session of a finished transfer only after the first read. Servers that speak before they are
    // asked are none that we know how to talk to.
    int64_t n = sys_stream_read(s, &early, sizeof early);
    if (n != IROH_ERR_AGAIN)
        return n < 0 ? (int)n : IROH_ERR_PROTOCOL;
    if (curl_easy_getinfo(s->easy, CURLINFO_TLS_SSL_PTR, &tls) != CURLE_OK || tls == NULL || tls->internals == NULL ||
        tls->backend != CURLSSLBACKEND_GNUTLS)
        return IROH_ERR_UNSUPPORTED;
    int r = gnutls_prf_rfc5705(tls->internals, strlen(label), label, context_len, context, len, out);
    return r == 0 ? 0 : IROH_ERR_UNSUPPORTED;
}

addr sys_stream_local(const sys_stream *s) {
    sys_sockaddr local = {.any.sa_family = AF_UNSPEC};
    socklen_t size = sizeof local;
    if (s->socket.watch == NULL || getsockname((int)s->socket.fd, &local.any, &size) != 0)
        return (addr){0};
    return sys_sockaddr_addr(&local);
}
