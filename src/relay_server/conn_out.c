// Writing: blocks come from the session's queue, are sealed where they lie if the connection has TLS, and go out many at a
// time.
#include <string.h>

#include <iroh/error.h>

#include "relay_server/state.h"

static void append(conn *c, relay_block *b) {
    b->next = NULL;
    if (c->out_last != NULL)
        c->out_last->next = b;
    else
        c->out = b;
    c->out_last = b;
    c->out_count++;
}

bool conn_out_raw(conn *c, const void *bytes, size_t len) {
    const uint8_t *p = bytes;
    while (len > 0) {
        relay_block *b = relay_queue_blank(&c->session.queue);
        if (b == NULL)
            return false;
        size_t n = len < RELAY_BLOCK_ROOM ? len : RELAY_BLOCK_ROOM;
        memcpy(b->bytes + b->start, p, n);
        b->end = b->start + (uint32_t)n;
        append(c, b);
        p += n;
        len -= n;
    }
    return true;
}

bool conn_put(conn *c, const void *bytes, size_t len) {
    static const relay_queue_limits limits = {UINT32_MAX, UINT32_MAX};
    const uint8_t *p = bytes;
    while (len > 0) {
        size_t n = len < RELAY_BLOCK_ROOM ? len : RELAY_BLOCK_ROOM;
        if (relay_queue_push(&c->session.queue, false, p, n, &limits) != 0)
            return false;
        p += n;
        len -= n;
    }
    return true;
}

static bool renew_key(conn *c) {
    uint8_t room[TLS_RECORD_SMALL], *start;
    int len = tls_record_put_update(&c->tls->record, room, &start);
    return len > 0 && conn_out_raw(c, start, (size_t)len);
}

static bool seal(conn *c, relay_block *b) {
    uint8_t *start;
    int len = tls_record_seal(&c->tls->record, TLS_RECORD_DATA, b->bytes + b->start, b->end - b->start, &start);
    if (len < 0)
        return false;
    b->start = (uint32_t)(start - b->bytes);
    b->end = b->start + (uint32_t)len;
    return true;
}

// Takes blocks until a write is full. False: the connection cannot go on.
static bool fill(conn *c) {
    bool sealed = c->tls != NULL && c->tls->ready;
    while (c->out_count < OUT_BLOCKS && (c->tls == NULL || sealed)) {
        if (sealed && c->tls->record.update_wanted && !renew_key(c))
            return false;
        relay_block *b = relay_queue_take(&c->session.queue);
        if (b == NULL)
            return true;
        append(c, b);
        if (sealed && !seal(c, b))
            return false;
    }
    return true;
}

static int write_out(const conn *c) {
    sys_slice slices[OUT_BLOCKS];
    size_t count = 0;
    for (const relay_block *b = c->out; b != NULL && count < OUT_BLOCKS; b = b->next)
        slices[count++] = (sys_slice){b->bytes + b->start, b->end - b->start};
    return sys_tcp_write(c->fd, slices, count);
}

static void pop(conn *c) {
    relay_block *b = c->out;
    c->out = b->next;
    if (c->out == NULL)
        c->out_last = NULL;
    c->out_count--;
    relay_queue_done(&c->session.queue, b);
}

// Forgets what was written; whether that was everything.
static bool written(conn *c, size_t len) {
    while (c->out != NULL && len >= c->out->end - c->out->start) {
        len -= c->out->end - c->out->start;
        pop(c);
    }
    if (c->out != NULL)
        c->out->start += (uint32_t)len;
    return c->out == NULL;
}

void conn_flush(conn *c) {
    bool all = true, progress = false;
    if (c->dead)
        return;
    while (all) {
        int n = fill(c) ? 0 : IROH_ERR_CRYPTO;
        if (n == 0 && c->out == NULL)
            break;
        if (n == 0)
            n = write_out(c);
        if (n < 0 && n != IROH_ERR_AGAIN) {
            c->failed = true;
            conn_drop(c);
            return;
        }
        progress = progress || n > 0;
        all = n > 0 && written(c, (size_t)n);
    }
    c->writing = !all;
    if (c->tls != NULL && progress)
        conn_tls_used(c);
    if (c->phase == CONN_RELAY)
        relay_session_wrote(&c->session, all, progress, loop_now(c->loop));
    conn_watch(c);
}

bool conn_out_empty(const conn *c) {
    return c->out == NULL && !relay_queue_pending(&c->session.queue);
}

void conn_out_clear(conn *c) {
    while (c->out != NULL)
        pop(c);
}

void conn_out_alert(conn *c, uint8_t alert) {
    uint8_t room[TLS_RECORD_SMALL], *start;
    if (!c->tls->ready || !conn_out_empty(c))
        return;
    int len = tls_record_put_alert(&c->tls->record, alert, room, &start);
    if (len > 0 && conn_out_raw(c, start, (size_t)len))
        conn_flush(c);
}
