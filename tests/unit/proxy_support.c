#include "proxy_support.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base64.h"

#define STEP_MS 20     // between looks whether to stop
#define ROOM 16384     // bytes passed on at once
#define HEAD_MAX 4096  // of a request

// One client, over TLS if `session` is there.
typedef struct client {
    proxy *p;
    int fd, far;  // far: the target; -1: none yet
    gnutls_session_t session;
} client;

static bool stopped(proxy *p) {
    uv_mutex_lock(&p->lock);
    bool stop = p->stop;
    uv_mutex_unlock(&p->lock);
    return stop;
}

// --- Bytes

static bool wait_for(client *c, int fd) {
    struct pollfd f = {.fd = fd, .events = POLLIN};
    while (!stopped(c->p)) {
        if (poll(&f, 1, STEP_MS) > 0)
            return true;
    }
    return false;
}

static ssize_t client_read(client *c, void *out, size_t room) {
    ssize_t n;
    do {
        bool pending = c->session != NULL && gnutls_record_check_pending(c->session) > 0;
        if (!pending && !wait_for(c, c->fd))
            return -1;
        n = c->session != NULL ? gnutls_record_recv(c->session, out, room) : read(c->fd, out, room);
    } while (c->session != NULL && (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED));
    return n;
}

static bool client_write(client *c, const void *bytes, size_t len) {
    for (const char *p = bytes; len > 0;) {
        ssize_t n = c->session != NULL ? gnutls_record_send(c->session, p, len) : send(c->fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static bool read_exactly(client *c, uint8_t *out, size_t len) {
    for (size_t got = 0; got < len;) {
        ssize_t n = client_read(c, out + got, len - got);
        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    return true;
}

// --- Tunnels

static void count(client *c, const char *host, unsigned port, bool open) {
    uv_mutex_lock(&c->p->lock);
    (void)snprintf(c->p->target, sizeof c->p->target, "%s:%u", host, port);
    c->p->tunnels += open;
    c->p->refused += !open;
    uv_mutex_unlock(&c->p->lock);
}

static bool reach(client *c, const char *host, unsigned port) {
    char service[8];
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    (void)snprintf(service, sizeof service, "%u", port);
    // What tests run listens on IPv4, whichever address comes first for a name on this machine.
    if (strcmp(host, "::1") == 0)
        host = "127.0.0.1";
    if (c->p->refusal != 0 || getaddrinfo(host, service, &hints, &found) != 0)
        return false;
    c->far = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = c->far >= 0 && connect(c->far, found->ai_addr, found->ai_addrlen) == 0;
    freeaddrinfo(found);
    return ok;
}

static bool pass_there(client *c, char *room) {
    ssize_t n = client_read(c, room, ROOM);
    for (ssize_t at = 0; at < n;) {
        ssize_t sent = send(c->far, room + at, (size_t)(n - at), MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
    }
    return n > 0;
}

static bool pass_back(client *c, char *room) {
    ssize_t n = read(c->far, room, ROOM);
    return n > 0 && client_write(c, room, (size_t)n);
}

static void pass_on(client *c) {
    static const short any = POLLIN | POLLHUP | POLLERR;
    char room[ROOM];
    bool open = true;
    while (open && !stopped(c->p)) {
        struct pollfd both[2] = {{.fd = c->fd, .events = POLLIN}, {.fd = c->far, .events = POLLIN}};
        bool pending = c->session != NULL && gnutls_record_check_pending(c->session) > 0;
        (void)poll(both, 2, pending ? 0 : STEP_MS);
        if (pending || (both[0].revents & any) != 0)
            open = pass_there(c, room);
        if (open && (both[1].revents & any) != 0)
            open = pass_back(c, room);
    }
}

// --- HTTP

static bool http_may_pass(const proxy *p, const char *head) {
    char wanted[512], encoded[256];
    if (p->login == NULL)
        return true;
    base64_encode(BASE64_PADDED, p->login, strlen(p->login), encoded);
    (void)snprintf(wanted, sizeof wanted, "Proxy-Authorization: Basic %.*s\r\n",
                   (int)BASE64_PADDED_LEN(strlen(p->login)), encoded);
    return strstr(head, wanted) != NULL;
}

static bool http_answer(client *c, int status, const char *fields) {
    char answer[512];
    (void)snprintf(answer, sizeof answer, "HTTP/1.1 %d Said\r\n%s\r\n", status, fields);
    return client_write(c, answer, strlen(answer));
}

// Passes the request on with the path alone, or answers it.
static bool http_forward(client *c, const char *host, unsigned port, const char *path, const char *fields) {
    char request[HEAD_MAX + 512];
    if (strcmp(path, "generate_204") == 0) {
        (void)snprintf(request, sizeof request, "X-Iroh-Response: response ts_%s\r\n", host);
        (void)http_answer(c, 204, request);
        return false;
    }
    if (!reach(c, host, port)) {
        (void)http_answer(c, 502, "");
        return false;
    }
    int len = snprintf(request, sizeof request, "GET /%s HTTP/1.1%s", path, fields);
    return send(c->far, request, (size_t)len, MSG_NOSIGNAL) == len;
}

static bool http_get(client *c, const char *head) {
    char host[200], path[200];
    unsigned port = 80;
    if (sscanf(head, "GET http://%199[^:/]:%u/%199[^ ] HTTP/1.1", host, &port, path) != 3 &&
        sscanf(head, "GET http://%199[^:/]/%199[^ ] HTTP/1.1", host, path) != 2)
        return false;
    uv_mutex_lock(&c->p->lock);
    c->p->forwarded++;
    uv_mutex_unlock(&c->p->lock);
    return http_forward(c, host, port, path, strstr(head, "\r\n"));
}

static bool http_connect(client *c, const char *head) {
    char host[200];
    unsigned port;
    if (sscanf(head, "CONNECT %199[^:]:%u HTTP/1.1", host, &port) != 2)
        return false;
    bool open = reach(c, host, port);
    count(c, host, port, open);
    return http_answer(c, open ? 200 : 502, "") && open;
}

static bool http_open(client *c) {
    char head[HEAD_MAX] = "";
    size_t len = 0;
    while (strstr(head, "\r\n\r\n") == NULL) {
        if (len + 1 == sizeof head || client_read(c, head + len, 1) != 1)
            return false;
        head[++len] = '\0';
    }
    if (c->p->refusal != 0 || !http_may_pass(c->p, head)) {
        count(c, "", 0, false);
        (void)http_answer(c, c->p->refusal != 0 ? c->p->refusal : 407, "Proxy-Authenticate: Basic realm=\"test\"\r\n");
        return false;
    }
    return strncmp(head, "GET ", 4) == 0 ? http_get(c, head) : http_connect(c, head);
}

// --- SOCKS 5 (RFC 1928, RFC 1929)

static bool socks_login(client *c) {
    uint8_t head[2], name[256] = {0}, one[1], word[256] = {0};
    char login[600];
    if (!read_exactly(c, head, 2) || !read_exactly(c, name, head[1]) || !read_exactly(c, one, 1) ||
        !read_exactly(c, word, one[0]))
        return false;
    (void)snprintf(login, sizeof login, "%s:%s", (char *)name, (char *)word);
    bool ok = strcmp(login, c->p->login) == 0;
    const uint8_t answer[2] = {1, ok ? 0 : 1};
    return client_write(c, answer, sizeof answer) && ok;
}

static bool socks_greet(client *c) {
    uint8_t head[2], methods[256];
    uint8_t wanted = c->p->login != NULL ? 2 : 0;
    if (!read_exactly(c, head, 2) || head[0] != 5 || !read_exactly(c, methods, head[1]))
        return false;
    bool offered = memchr(methods, wanted, head[1]) != NULL;
    const uint8_t answer[2] = {5, offered ? wanted : 0xff};
    return client_write(c, answer, sizeof answer) && offered && (wanted == 0 || socks_login(c));
}

static bool socks_open(client *c) {
    enum { IP4 = 1, NAME = 3, IP6 = 4 };
    uint8_t head[4], len, host[256] = {0}, port[2];
    char name[260];
    if (!socks_greet(c)) {
        count(c, "", 0, false);
        return false;
    }
    if (!read_exactly(c, head, 4) || head[0] != 5 || head[1] != 1)
        return false;
    if (head[3] != IP4 && head[3] != NAME && head[3] != IP6)
        return false;
    len = head[3] == IP4 ? 4 : 16;
    if ((head[3] == NAME && !read_exactly(c, &len, 1)) || !read_exactly(c, host, len) || !read_exactly(c, port, 2))
        return false;
    if (head[3] != NAME)
        (void)inet_ntop(head[3] == IP4 ? AF_INET : AF_INET6, host, name, sizeof name);
    else
        (void)snprintf(name, sizeof name, "%s", (char *)host);
    unsigned number = (unsigned)(port[0] << 8 | port[1]);
    bool open = reach(c, name, number);
    count(c, name, number, open);
    const uint8_t answer[10] = {5, (uint8_t)(open ? 0 : c->p->refusal != 0 ? c->p->refusal : 1), 0, 1};
    return client_write(c, answer, sizeof answer) && open;
}

// --- Its life

static bool secure(client *c) {
    if (c->p->tls == NULL)
        return true;
    gnutls_init(&c->session, GNUTLS_SERVER | GNUTLS_NO_SIGNAL);
    gnutls_set_default_priority(c->session);
    gnutls_credentials_set(c->session, GNUTLS_CRD_CERTIFICATE, c->p->tls);
    gnutls_transport_set_int(c->session, c->fd);
    int r;
    do {
        if (!wait_for(c, c->fd))
            return false;
        r = gnutls_handshake(c->session);
    } while (r < 0 && !gnutls_error_is_fatal(r));
    return r == 0;
}

static void serve(void *user) {
    client *c = user;
    if (secure(c) && (c->p->socks ? socks_open(c) : http_open(c)))
        pass_on(c);
    if (c->session != NULL)
        gnutls_deinit(c->session);
    if (c->far >= 0)
        close(c->far);
    close(c->fd);
    free(c);
}

static void accept_all(void *user) {
    proxy *p = user;
    struct pollfd f = {.fd = p->listener, .events = POLLIN};
    while (!stopped(p)) {
        if (poll(&f, 1, STEP_MS) <= 0 || p->client_count == PROXY_CLIENTS)
            continue;
        client *c = malloc(sizeof *c);
        *c = (client){.p = p, .fd = accept(p->listener, NULL, NULL), .far = -1};
        if (c->fd < 0 || uv_thread_create(&p->clients[p->client_count], serve, c) != 0)
            abort();
        p->client_count++;
    }
}

void proxy_start(proxy *p) {
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(p->port)};
    const int on = 1;
    socklen_t size = sizeof at;
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(p->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(p->listener, PROXY_CLIENTS), 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&at, &size), 0);
    p->port = ntohs(at.sin_port);
    assert_int_equal(uv_mutex_init(&p->lock), 0);
    assert_int_equal(uv_thread_create(&p->thread, accept_all, p), 0);
}

void proxy_stop(proxy *p) {
    uv_mutex_lock(&p->lock);
    p->stop = true;
    uv_mutex_unlock(&p->lock);
    uv_thread_join(&p->thread);
    for (int i = 0; i < p->client_count; i++)
        uv_thread_join(&p->clients[i]);
    uv_mutex_destroy(&p->lock);
    close(p->listener);
}

int proxy_tunnels(proxy *p) {
    uv_mutex_lock(&p->lock);
    int n = p->tunnels;
    uv_mutex_unlock(&p->lock);
    return n;
}

int proxy_forwarded(proxy *p) {
    uv_mutex_lock(&p->lock);
    int n = p->forwarded;
    uv_mutex_unlock(&p->lock);
    return n;
}

int proxy_refused(proxy *p) {
    uv_mutex_lock(&p->lock);
    int n = p->refused;
    uv_mutex_unlock(&p->lock);
    return n;
}
