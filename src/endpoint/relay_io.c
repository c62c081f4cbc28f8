// Moves the bytes of the endpoint's relay connections between their state machines (net/relays.h) and streams.
//
// Streams are opened, closed and read by the loop alone. Whoever has the lock may write, so that datagrams leave with
// the call that made them; what then remains for the loop is noted in relays.attention.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "endpoint/state.h"
#include "sys/stream.h"

#define READS 8  // from one relay in a row

// The shell's half of a relay.
typedef struct relay_stream {
    sys_stream *stream;
    relay_block *block;  // being written; null: none
} relay_stream;

static relay_stream *half_of(const net_relay *r) {
    return r->stream;
}

static void close_stream(net_relay *r) {
    relay_stream *half = half_of(r);
    if (half == NULL)
        return;
    if (half->block != NULL)
        relay_queue_done(&r->client.queue, half->block);
    sys_stream_close(half->stream);
    free(half);
    r->stream = NULL;
}

static void lost(iroh_endpoint *ep, net_relay *r, int error) {
    const char *reason = half_of(r) != NULL ? sys_stream_reason(half_of(r)->stream) : "";
    (void)snprintf(r->trouble, sizeof r->trouble, "%s", reason);
    if (log_on(&ep->log, LOG_DEBUG)) {
        log_line(&ep->log, LOG_DEBUG, "relay %.200s: %s%s%s", r->url, iroh_strerror(error),
                 reason[0] != '\0' ? ": " : "", reason);
    }
    relay_client_lost(&r->client, error, sys_now());
    close_stream(r);
}

addr relay_io_local(const net_relay *r) {
    bool open = r->stream != NULL && sys_stream_state(half_of(r)->stream) == 0;
    return open ? sys_stream_local(half_of(r)->stream) : (addr){0};
}

// --- Dialling

int relay_io_streams(iroh_endpoint *ep) {
    const sys_streams_config config = {.ca_file = ep->ca_file, .proxy = ep->proxy};
    return ep->streams != NULL ? 0 : sys_streams_new(ep->loop, &config, &ep->streams);
}

// Where UDP passes over IPv4 only, IPv6 is rarely better for TCP, and waiting for it takes time. It is tried all the same
// when IPv4 has failed.
static bool ip4_alone(const iroh_endpoint *ep, const net_relay *r) {
    const report *last = reports_last(ep);
    return last != NULL && last->udp4 && !last->udp6 && !r->ip4_failed;
}

static int open_stream(iroh_endpoint *ep, net_relay *r) {
    const relay_target *t = &r->client.target;
    int error = relay_io_streams(ep);
    if (error != 0)
        return error;
    relay_stream *half = calloc(1, sizeof *half);
    if (half == NULL)
        return IROH_ERR_NOMEM;
    r->dials_ip4 = ip4_alone(ep, r);
    unsigned how = (t->tls ? SYS_STREAM_TLS : 0) | (r->dials_ip4 ? SYS_STREAM_IP4 : 0);
    error = sys_stream_open(ep->streams, how, t->host.p, t->host.len, t->port, &half->stream);
    if (error != 0) {
        free(half);
        return error;
    }
    r->stream = half;
    return 0;
}

static void dial(iroh_endpoint *ep, net_relay *r) {
    close_stream(r);
    relay_client_dialling(&r->client, sys_now());
    int error = open_stream(ep, r);
    if (error != 0)
        lost(ep, r, error);
}

// Once the way is open. The keying material spares the relay a challenge.
static void dialled(iroh_endpoint *ep, net_relay *r) {
    uint8_t exported[RELAY_EXPORT];
    sys_stream *s = half_of(r)->stream;
    int error = sys_stream_state(s);
    if (error == IROH_ERR_AGAIN)
        return;
    r->ip4_failed = error != 0 && r->dials_ip4;
    if (error != 0) {
        lost(ep, r, error);
        return;
    }
    r->trouble[0] = '\0';
    error = sys_stream_export(s, RELAY_EXPORT_LABEL, ep->id.bytes, sizeof ep->id.bytes, exported, sizeof exported);
    if (error == 0 || error == IROH_ERR_UNSUPPORTED)
        relay_client_connected(&r->client, error == 0 ? exported : NULL, sys_now());
    else
        lost(ep, r, error);
}

// --- Bytes

static bool has_connection(const net_relay *r) {
    int state = relay_client_state(&r->client);
    return r->stream != NULL && state >= RELAY_CLIENT_UPGRADING && state <= RELAY_CLIENT_CLOSING;
}

// False when nothing more can be written now.
static bool write_block(net_relay *r, bool *progress) {
    relay_stream *half = half_of(r);
    if (half->block == NULL)
        half->block = relay_queue_take(&r->client.queue);
    relay_block *b = half->block;
    if (b == NULL)
        return false;
    int64_t n = sys_stream_write(half->stream, b->bytes + b->start, b->end - b->start);
    if (n < 0)
        return false;
    *progress = true;
    b->start += (uint32_t)n;
    if (b->start < b->end)
        return true;
    half->block = NULL;
    relay_queue_done(&r->client.queue, b);
    return true;
}

// What fails here is found out by reading, which the loop does.
static void write_out(iroh_endpoint *ep, net_relay *r) {
    bool progress = false;
    relay_stream *half = half_of(r);
    if (!sys_stream_writable(half->stream))
        return;
    while (write_block(r, &progress)) {}
    bool all = half->block == NULL && !relay_queue_pending(&r->client.queue);
    relay_client_wrote(&r->client, all, progress, sys_now());
    sys_stream_want_write(half->stream, !all);
    ep->watch_stale |= !all;
}

static void deliver(iroh_endpoint *ep, const relay_frame *f, const addr *from) {
    quic_datagram d = {.remote = *from};
    uint64_t now = sys_now();
    size_t segment = f->segment > 0 ? f->segment : f->len;
    for (size_t at = 0; at < f->len; at += segment) {
        // The bytes are ours: those of the read, or of the decoder, which is done with them.
        d.bytes = (uint8_t *)(uintptr_t)f->data + at;
        d.len = f->len - at < segment ? f->len - at : segment;
        quic_endpoint_receive(ep->core, &d, now);
    }
}

// False when the connection is over.
static bool feed(iroh_endpoint *ep, size_t number, uint8_t *bytes, size_t len) {
    net_relay *r = ep->relays.list[number];
    relay_client_event event;
    addr from;
    int more;
    while ((more = relay_client_receive(&r->client, &bytes, &len, sys_now(), &event)) > 0) {
        if (relays_on_event(&ep->relays, number, &event, &from, sys_now()))
            deliver(ep, &event.frame, &from);
    }
    return more == 0;
}

static void read_in(iroh_endpoint *ep, size_t number) {
    net_relay *r = ep->relays.list[number];
    for (int i = 0; i < READS && r->stream != NULL && sys_stream_readable(half_of(r)->stream); i++) {
        int64_t n = sys_stream_read(half_of(r)->stream, blocks_room(&ep->rx), SYS_UDP_BATCH);
        if (n == IROH_ERR_AGAIN)
            return;
        if (n <= 0)
            lost(ep, r, n == 0 ? IROH_ERR_PEER_CLOSED : (int)n);
        else if (relay_client_state(&r->client) != RELAY_CLIENT_CLOSING &&
                 !feed(ep, number, blocks_room(&ep->rx), (size_t)n))
            close_stream(r);
    }
}

// --- The loop's turn

static void serve(iroh_endpoint *ep, size_t number) {
    net_relay *r = ep->relays.list[number];
    if (relay_client_state(&r->client) == RELAY_CLIENT_DIALLING && r->stream != NULL)
        dialled(ep, r);
    if (has_connection(r))
        read_in(ep, number);
    if (has_connection(r))
        write_out(ep, r);
    int state = relay_client_state(&r->client);
    if (state == RELAY_CLIENT_CLOSING && r->stream != NULL && half_of(r)->block == NULL &&
        !relay_queue_pending(&r->client.queue))
        lost(ep, r, 0);
    else if (state == RELAY_CLIENT_WAIT || state == RELAY_CLIENT_CLOSED)
        close_stream(r);
    else if (state == RELAY_CLIENT_DIAL)
        dial(ep, r);
}

// A connection still has bytes that may be there without the descriptor saying so.
static bool wants_turn(const net_relay *r) {
    int state = relay_client_state(&r->client);
    bool idle = state == RELAY_CLIENT_WAIT || state == RELAY_CLIENT_CLOSED;
    return state == RELAY_CLIENT_DIAL || (r->stream != NULL && (idle || sys_stream_readable(half_of(r)->stream)));
}

static void note_attention(iroh_endpoint *ep) {
    ep->relays.attention = false;
    for (size_t i = 0; i < ep->relays.count; i++)
        ep->relays.attention |= ep->relays.list[i]->live && wants_turn(ep->relays.list[i]);
}

void relay_io_process(iroh_endpoint *ep) {
    if (ep->streams != NULL)
        sys_streams_process(ep->streams);
    for (size_t i = 0; i < ep->relays.count; i++) {
        if (ep->relays.list[i]->live)
            serve(ep, i);
    }
    note_attention(ep);
    bool online = relays_online(&ep->relays);
    if (online && !ep->online)
        wait_fire(ep, &ep->waiters, WAIT_ONLINE);
    ep->online = online;
}

void relay_io_flush(iroh_endpoint *ep) {
    if (!ep->relays.attention)
        return;
    for (size_t i = 0; i < ep->relays.count; i++) {
        if (ep->relays.list[i]->live && has_connection(ep->relays.list[i]))
            write_out(ep, ep->relays.list[i]);
    }
    note_attention(ep);
}

void relay_io_close(iroh_endpoint *ep) {
    relays_close(&ep->relays, sys_now());
    relay_io_flush(ep);
    for (size_t i = 0; i < ep->relays.count; i++)
        close_stream(ep->relays.list[i]);
    relays_dispose(&ep->relays);
    sys_streams_free(ep->streams);
    ep->streams = NULL;
}
