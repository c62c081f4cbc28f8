// TLS on a connection: first the handshake, then records. The handshake's state is kept until the first request, which may
// ask for keying material, and goes then.
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/wipe.h"
#include "relay_server/state.h"

int conn_tls_new(conn *c) {
    relay_loop *l = c->loop;
    if (l->handshake_count == HANDSHAKES_MAX)
        conn_drop(list_entry(l->handshakes.next, conn, phase_link));
    c->tls = calloc(1, sizeof *c->tls);
    if (c->tls == NULL)
        return IROH_ERR_NOMEM;
    list_push_back(&l->handshakes, &c->phase_link);
    l->handshake_count++;
    return web_handshake_new(l->certificate, &c->tls->handshake);
}

// Its state is no longer needed.
static void leave_handshake(conn *c) {
    web_handshake_free(c->tls->handshake);
    c->tls->handshake = NULL;
    if (list_linked(&c->phase_link)) {
        list_remove(&c->phase_link);
        c->loop->handshake_count--;
    }
}

void conn_tls_forget(conn *c) {
    if (c->tls != NULL)
        leave_handshake(c);
}

static void drop_carry(conn_tls *t) {
    free(t->carry);
    t->carry = NULL;
    t->carry_len = 0;
}

void conn_tls_free(conn *c) {
    if (c->tls == NULL)
        return;
    leave_handshake(c);
    list_remove(&c->busy_link);
    drop_carry(c->tls);
    if (c->tls->ready)
        tls_record_dispose(&c->tls->record);
    free(c->tls);
    c->tls = NULL;
}

// --- Expanded keys come and go

void conn_tls_used(conn *c) {
    list_remove(&c->busy_link);
    list_push_back(&c->loop->busy, &c->busy_link);
    c->tls->used = loop_now(c->loop);
}

uint64_t conn_tls_rest_at(const relay_loop *l) {
    return list_empty(&l->busy) ? TIME_NEVER
                                : time_add(list_entry(l->busy.next, conn, busy_link)->tls->used, TLS_REST_AFTER);
}

void conn_tls_rest(relay_loop *l, uint64_t now) {
    while (conn_tls_rest_at(l) <= now) {
        conn *c = list_entry(list_pop_front(&l->busy), conn, busy_link);
        if (c->tls->ready)
            (void)tls_record_rest(&c->tls->record);
    }
}

// --- The handshake

static tls_record_secret secret_of(const web_secret *s) {
    tls_record_secret out = {.seq = s->seq};
    memcpy(out.secret, s->secret, sizeof out.secret);
    memcpy(out.iv, s->iv, sizeof out.iv);
    return out;
}

static bool take_over(conn *c) {
    web_secrets secrets;
    if (web_handshake_secrets(c->tls->handshake, &secrets) != 0)
        return false;
    tls_record_secret read = secret_of(&secrets.read), write = secret_of(&secrets.write);
    tls_record_init(&c->tls->record, secrets.suite, secrets.old, &read, &write);
    c->tls->ready = true;
    c->phase = CONN_HTTP;
    wipe(&secrets, sizeof secrets);
    wipe(&read, sizeof read);
    wipe(&write, sizeof write);
    return true;
}

// False: the connection is gone.
static bool shake_hands(conn *c, uint8_t **bytes, size_t *len) {
    const uint8_t *at = *bytes;
    size_t before = *len, out_len;
    int r = web_handshake_receive(c->tls->handshake, &at, len);
    *bytes += before - *len;
    const uint8_t *out = web_handshake_output(c->tls->handshake, &out_len);
    bool sent = conn_out_raw(c, out, out_len);
    if (sent)
        conn_flush(c);
    if (!c->dead && (r < 0 || !sent || (r == 1 && !take_over(c)))) {
        c->failed = true;
        conn_drop(c);
    }
    return !c->dead;
}

// --- Records

static bool keep(conn_tls *t, const uint8_t *bytes, size_t len) {
    if (len == 0)
        return true;
    t->carry = malloc(len);
    if (t->carry == NULL)
        return false;
    memcpy(t->carry, bytes, len);
    t->carry_len = len;
    return true;
}

static void on_record_error(conn *c, int error) {
    if (error == IROH_ERR_FINISHED && c->phase == CONN_RELAY) {
        relay_session_eof(&c->session, loop_now(c->loop));
        return;
    }
    c->failed = error != IROH_ERR_FINISHED;
    if (c->failed && c->tls->record.alert != TLS_ALERT_CLOSE_NOTIFY)
        conn_out_alert(c, c->tls->record.alert);
    if (!c->dead)
        conn_drop(c);
}

static void open_records(conn *c, uint8_t *bytes, size_t len) {
    uint8_t *data;
    size_t data_len;
    int r = 1;
    conn_tls_used(c);
    while (r > 0 && !c->dead && c->phase != CONN_LINGER) {
        r = tls_record_open(&c->tls->record, &bytes, &len, &data, &data_len);
        if (r > 0)
            conn_input(c, data, data_len);
    }
    if (c->dead || r > 0)
        return;
    if (r < 0 || !keep(c->tls, bytes, len))
        on_record_error(c, r < 0 ? r : IROH_ERR_NOMEM);
    else if (c->tls->record.update_wanted)
        conn_flush(c);
}

// What is left of the read before goes in front of the bytes: there is always room for a record.
void conn_tls_input(conn *c, uint8_t *bytes, size_t len) {
    conn_tls *t = c->tls;
    if (t->carry_len > 0) {
        bytes -= t->carry_len;
        len += t->carry_len;
        memcpy(bytes, t->carry, t->carry_len);
        drop_carry(t);
    }
    if (!t->ready && !shake_hands(c, &bytes, &len))
        return;
    if (t->ready)
        open_records(c, bytes, len);
}
