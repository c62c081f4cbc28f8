#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "quic_peer.h"
#include "sys/loop.h"

static const tls_alpn alpn = {(const uint8_t *)"interop/echo/0", 14};

static void *must(void *memory) {
    if (memory == NULL)
        abort();
    return memory;
}

static const char *text_of(const addr *a, char out[static ADDR_TEXT_MAX]) {
    addr_format(a, out);
    return out;
}

// --- Streams

static qp_transfer *transfer_add(quic_peer *p, quic_conn *c, quic_stream *s) {
    qp_transfer *t = must(calloc(1, sizeof *t));
    t->conn = c;
    t->stream = s;
    list_push_back(&p->transfers, &t->link);
    return t;
}

static void transfer_end(qp_transfer *t, const char *failure) {
    if (failure != NULL)
        printf("{\"event\": \"failed\", \"text\": \"%s\"}\n", failure);
    else if (t->mine)
        printf("{\"event\": \"echoed\", \"bytes\": %" PRIu64 "}\n", t->size);
    quic_stream_release(t->stream);
    list_remove(&t->link);
    free(t);
}

// Sends more of the pattern. 0, IROH_ERR_AGAIN or an error.
static int send_pattern(quic_peer *p, qp_transfer *t) {
    while (t->sent < t->size) {
        uint64_t left = t->size - t->sent;
        int n = quic_stream_write(t->stream, pattern_at(&p->data, t->sent), left < QP_HELD ? (size_t)left : QP_HELD);
        if (n < 0)
            return n;
        t->sent += (uint64_t)n;
    }
    if (!t->out_ended)
        quic_stream_finish(t->stream);
    t->out_ended = true;
    return 0;
}

static int compare_pattern(quic_peer *p, qp_transfer *t) {
    for (;;) {
        int n = quic_stream_read(t->stream, t->held, sizeof t->held);
        if (n < 0)
            return n;
        if (n == 0)
            return t->got == t->size ? 0 : IROH_ERR_TRUNCATED;
        if (!pattern_matches(&p->data, t->got, t->held, (size_t)n))
            return IROH_ERR_SYNTAX;
        t->got += (uint64_t)n;
        if (t->got >= t->size / 2 && !t->half_told) {
            printf("{\"event\": \"half\"}\n");
            t->half_told = true;
        }
    }
}

static int echo(qp_transfer *t) {
    for (;;) {
        if (t->held_at == t->held_len && !t->in_ended) {
            int n = quic_stream_read(t->stream, t->held, sizeof t->held);
            if (n < 0)
                return n;
            t->held_len = (size_t)n;
            t->held_at = 0;
            t->in_ended = n == 0;
        }
        if (t->in_ended)
            return quic_stream_finish(t->stream);
        int n = quic_stream_write(t->stream, t->held + t->held_at, t->held_len - t->held_at);
        if (n < 0)
            return n;
        t->held_at += (size_t)n;
    }
}

static void transfer_pump(quic_peer *p, qp_transfer *t) {
    int r = 0;
    if (t->mine) {
        r = send_pattern(p, t);
        if (r == 0 || r == IROH_ERR_AGAIN)
            r = compare_pattern(p, t);
    } else {
        r = echo(t);
    }
    if (r != IROH_ERR_AGAIN)
        transfer_end(t, r == 0 ? NULL : iroh_error_name(r));
}

static void pump_all(quic_peer *p, quic_conn *c) {
    uint8_t events;
    while (quic_streams_next_event(quic_conn_streams(c), &events) != NULL)
        continue;
    for (list_link *l = p->transfers.next, *next; l != &p->transfers; l = next) {
        next = l->next;
        qp_transfer *t = list_entry(l, qp_transfer, link);
        if (t->conn == c)
            transfer_pump(p, t);
    }
    quic_conn_wake(c);
}

int quic_peer_echo(quic_peer *p, quic_conn *c, uint64_t size) {
    quic_stream *s;
    int r = quic_streams_open(quic_conn_streams(c), true, &s);
    if (r != 0)
        return r;
    qp_transfer *t = transfer_add(p, c, s);
    t->mine = true;
    t->size = size;
    pump_all(p, c);
    return 0;
}

// --- Events

static void tell_connected(const quic_conn *c) {
    char remote[ADDR_TEXT_MAX];
    addr a = quic_conn_remote(c);
    const qp_conn *extra = quic_conn_user(c);
    int early = quic_conn_early_accepted(c);
    printf("{\"event\": \"connected\", \"remote\": \"%s\", \"multipath\": %s, \"nat\": %s, \"early\": ",
           text_of(&a, remote), quic_conn_has_multipath(c) ? "true" : "false",
           quic_conn_has_nat_traversal(c) ? "true" : "false");
    if (!quic_conn_is_client(c))
        printf("{\"validated\": %s}}\n", extra->validated ? "true" : "false");
    else
        printf("%s}\n", early == 1 ? "\"accepted\"" : early == 0 ? "\"rejected\"" : "null");
}

static void tell_candidates(const quic_conn *c) {
    addr all[32];
    size_t n = quic_conn_candidates(c, all, 32);
    printf("{\"event\": \"candidates\", \"addresses\": [");
    for (size_t i = 0; i < n && i < 32; i++) {
        char text[ADDR_TEXT_MAX];
        printf("%s\"%s\"", i > 0 ? ", " : "", text_of(&all[i], text));
    }
    printf("]}\n");
}

static void tell_path(const quic_conn *c, const quic_path_event *e) {
    char text[ADDR_TEXT_MAX];
    text_of(&e->address, text);
    switch (e->kind) {
    case PATH_EVENT_ESTABLISHED:
        printf("{\"event\": \"established\", \"path\": %" PRIu32 ", \"remote\": \"%s\"}\n", e->path, text);
        break;
    case PATH_EVENT_ABANDONED:
        printf("{\"event\": \"abandoned\", \"path\": %" PRIu32 ", \"by_peer\": %s, \"code\": %" PRIu64 "}\n", e->path,
               e->by_peer ? "true" : "false", e->code);
        break;
    case PATH_EVENT_GONE:
        printf("{\"event\": \"gone\", \"path\": %" PRIu32 "}\n", e->path);
        break;
    case PATH_EVENT_STATUS:
        printf("{\"event\": \"status\", \"path\": %" PRIu32 ", \"status\": \"%s\"}\n", e->path,
               e->status == PATH_BACKUP ? "backup" : "available");
        break;
    case PATH_EVENT_OBSERVED:
        printf("{\"event\": \"observed\", \"path\": %" PRIu32 ", \"address\": \"%s\"}\n", e->path, text);
        break;
    case PATH_EVENT_CANDIDATES:
        tell_candidates(c);
        break;
    }
}

static void tell_closed(const quic_close_info *info) {
    const char *kind = info->by_peer ? (info->application ? "application" : "transport") : "local";
    if (info->error == IROH_ERR_IDLE)
        kind = "timeout";
    else if (info->error == IROH_ERR_STATELESS)
        kind = "reset";
    printf("{\"event\": \"closed\", \"close\": {\"kind\": \"%s\", \"code\": %" PRIu64 ", \"reason\": \"%.*s\", "
           "\"error\": \"%s\"}}\n",
           kind, info->code, (int)info->reason_len, (const char *)info->reason, iroh_error_name(info->error));
}

static void end_conn(quic_peer *p, quic_conn *c) {
    tell_closed(quic_conn_close_info(c));
    for (list_link *l = p->transfers.next, *next; l != &p->transfers; l = next) {
        next = l->next;
        qp_transfer *t = list_entry(l, qp_transfer, link);
        if (t->conn != c)
            continue;
        list_remove(&t->link);
        free(t);
    }
    free(quic_conn_user(c));
    if (p->conn == c)
        p->conn = NULL;
    quic_conn_release(c, sys_now());
}

static void take_session(quic_peer *p, quic_conn *c) {
    size_t len;
    uint8_t *session = quic_conn_take_session(c, &len);
    if (session == NULL)
        return;
    free(p->session);
    p->session = session;
    p->session_len = len;
}

static void take_token(quic_peer *p, quic_conn *c) {
    size_t len;
    uint8_t *token = quic_conn_take_token(c, &len);
    if (token == NULL)
        return;
    free(p->token);
    p->token = token;
    p->token_len = len;
}

static void conn_events(quic_peer *p, quic_conn *c, uint32_t events) {
    quic_path_event e;
    quic_stream *s;
    if ((events & CONN_CONNECTED) != 0)
        tell_connected(c);
    while ((events & CONN_PATH) != 0 && quic_conn_next_path_event(c, &e))
        tell_path(c, &e);
    if ((events & CONN_SESSION) != 0)
        take_session(p, c);
    if ((events & CONN_TOKEN) != 0)
        take_token(p, c);
    while ((events & CONN_INCOMING_BIDI) != 0 && (s = quic_streams_accept(quic_conn_streams(c), true)) != NULL)
        (void)transfer_add(p, c, s);
    if ((events & CONN_CLOSED) != 0)
        end_conn(p, c);
    else if ((events & (CONN_STREAMS | CONN_INCOMING_BIDI | CONN_OPENABLE)) != 0)
        pump_all(p, c);
}

static void take_incoming(quic_peer *p) {
    quic_incoming *in;
    while ((in = quic_endpoint_next_incoming(p->core)) != NULL) {
        bool validated = quic_incoming_validated(in);
        quic_conn *c;
        if (p->args.retry && !validated) {
            (void)quic_incoming_retry(in, sys_now());
        } else if (quic_incoming_accept(in, sys_now(), &c) == 0) {
            qp_conn *extra = must(calloc(1, sizeof *extra));
            extra->validated = validated;
            quic_conn_set_user(c, extra);
            p->conn = c;
        }
    }
}

void quic_peer_events(quic_peer *p) {
    uint32_t events;
    quic_conn *c;
    take_incoming(p);
    while ((c = quic_endpoint_next_event(p->core, &events)) != NULL)
        conn_events(p, c, events);
}

// --- Dialling

int quic_peer_connect(quic_peer *p, uint64_t early) {
    if (early > 0 && p->session == NULL)
        return IROH_ERR_NOT_FOUND;
    quic_connect_config config = {
        .remotes = &p->args.remote,
        .remote_count = 1,
        .peer_key = p->peer_key,
        .alpns = &alpn,
        .alpn_count = 1,
        .session = p->session,
        .session_len = p->session_len,
        .early = early > 0,
        .token = p->token,
        .token_len = p->token_len,
    };
    quic_conn *c;
    int r = quic_endpoint_connect(p->core, &config, sys_now(), &c);
    free(p->session);
    free(p->token);
    p->session = p->token = NULL;
    p->session_len = p->token_len = 0;
    if (r != 0)
        return r;
    quic_conn_set_user(c, must(calloc(1, sizeof(qp_conn))));
    p->conn = c;
    if (early == 0)
        return 0;
    return quic_conn_can_send_early(c) ? quic_peer_echo(p, c, early) : IROH_ERR_NOT_FOUND;
}
