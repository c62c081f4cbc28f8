// Requests on their way in, and what is told about them.
#include <stdlib.h>

#include "blobs/provider.h"

#define FIRST_ROOM 256  // bytes; most requests are shorter

static int tell_event(provider_stream *s, int kind, uint64_t index, const iroh_hash *hash, uint64_t size, int error) {
    const provider_connection *c = s->connection;
    const iroh_provider_config *config = &c->provider->config;
    if (config->event == NULL)
        return 0;
    int type = s->request.type;
    iroh_provider_event e = {
        .kind = kind,
        .peer = c->peer,
        .connection = iroh_connection_stable_id(c->handle),
        .stream = iroh_stream_id(s->handle),
        .request = type == PROTO_GET       ? IROH_SERVE_GET
                   : type == PROTO_OBSERVE ? IROH_SERVE_OBSERVE
                   : type == PROTO_PUSH    ? IROH_SERVE_PUSH
                                           : IROH_SERVE_GET_MANY,
        .hashes = (const iroh_hash *)(const void *)s->request.hashes,
        .hash_count = s->request.count,
        .index = index,
        .hash = hash != NULL ? *hash : (iroh_hash){{0}},
        .size = size,
        .bytes = s->bytes,
        .error = error,
    };
    return config->event(config->user, &e);
}

int provider_tell(provider_stream *s, int kind, uint64_t index, const iroh_hash *hash, uint64_t size, int error) {
    int r = tell_event(s, kind, index, hash, size, error);
    return r < 0 ? r : 0;
}

int provider_tell_blob(provider_stream *s, uint64_t count, uint64_t index, const iroh_hash *hash, uint64_t size) {
    int kind = count > s->blobs ? IROH_PROVIDER_BLOB : IROH_PROVIDER_PROGRESS;
    s->blobs = count;
    int r = tell_event(s, kind, index, hash, size, 0);
    return kind == IROH_PROVIDER_PROGRESS || r < 0 ? r : 0;
}

// What is asked for and allowed is begun.
static int begin(provider_stream *s) {
    static const struct {
        int type;
        unsigned serve;
        provider_step *start;
    } rows[] = {{PROTO_GET, IROH_SERVE_GET, provider_send_start},
                {PROTO_GET_MANY, IROH_SERVE_GET_MANY, provider_send_start},
                {PROTO_OBSERVE, IROH_SERVE_OBSERVE, provider_observe_start},
                {PROTO_PUSH, IROH_SERVE_PUSH, provider_push_start}};
    iroh_provider *p = s->connection->provider;
    s->begun = true;
    if (p->request_count++ >= p->config.max_requests)
        return IROH_ERR_LIMIT;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].type != s->request.type)
            continue;
        if ((p->config.serve & rows[i].serve) == 0)
            return IROH_ERR_ACCESS;
        int r = provider_tell(s, IROH_PROVIDER_REQUEST, 0, NULL, 0, 0);
        return r == 0 ? rows[i].start(s) : r;
    }
    return IROH_ERR_SYNTAX;
}

static int make_room(provider_stream *s) {
    if (s->len < s->room)
        return 0;
    size_t room = s->room == 0 ? FIRST_ROOM : s->room * 4;
    if (room > PROTO_MESSAGE_MAX + 1)
        room = PROTO_MESSAGE_MAX + 1;  // one more than a request may have shows that it has more
    if (s->len == room)
        return IROH_ERR_TOO_LARGE;
    uint8_t *body = realloc(s->body, room);
    if (body == NULL)
        return IROH_ERR_NOMEM;
    s->body = body;
    s->room = room;
    return 0;
}

// A push says how long its body is: 1 when it is there, 0 when more is needed.
static int push_complete(provider_stream *s) {
    postcard p = postcard_of(s->body + 1, s->len - 1);
    uint64_t len = postcard_u64(&p);
    if (p.error == IROH_ERR_TRUNCATED)
        return 0;
    if (p.error != 0 || len > PROTO_MESSAGE_MAX - 16)
        return p.error != 0 ? p.error : IROH_ERR_TOO_LARGE;
    if (reader_left(&p.in) < len)
        return 0;
    s->data = (size_t)(p.in.p - s->body) + (size_t)len;
    int r = proto_request_read(PROTO_PUSH, p.in.p, (size_t)len, &s->request);
    return r == 0 ? 1 : r;
}

int provider_receive(provider_stream *s) {
    for (;;) {
        int r = make_room(s);
        if (r != 0)
            return r;
        int64_t n = iroh_stream_read(s->handle, s->body + s->len, s->room - s->len, 0);
        if (n == IROH_ERR_AGAIN)
            return 0;
        if (n < 0)
            return (int)n;
        s->len += (size_t)n;
        if (s->len == 0)
            return IROH_ERR_TRUNCATED;
        if (s->body[0] == PROTO_PUSH) {
            r = push_complete(s);
            if (r == 0 && n == 0)
                r = IROH_ERR_TRUNCATED;
        } else if (n == 0) {
            r = proto_request_read(s->body[0], s->body + 1, s->len - 1, &s->request);
            r = r == 0 ? 1 : r;
        }
        if (r != 0)
            return r == 1 ? begin(s) : r;
    }
}
