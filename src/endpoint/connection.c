// Connections: waiting for the handshake and the end, closing, counting references, information.
#include <stdlib.h>
#include <string.h>

#include "endpoint/state.h"

int connection_error(const iroh_connection *c) {
    if (c->core == NULL)
        return IROH_ERR_CLOSED;
    if (!quic_conn_closed(c->core))
        return 0;
    const quic_close_info *info = quic_conn_close_info(c->core);
    return info->error != 0 ? info->error : IROH_ERR_NOMEM;  // no memory for the reason itself
}

// --- Waiting

static int64_t handshake_over(void *arg) {
    const iroh_connection *c = arg;
    if (c->core != NULL && quic_conn_connected(c->core))
        return 0;
    int r = connection_error(c);
    return r != 0 ? r : IROH_ERR_AGAIN;
}

int connection_finish_dial(iroh_connection *c, uint64_t until) {
    if (until == 0 || quic_conn_can_send_early(c->core))
        return 0;
    int r = (int)wait_for(c->ep, &c->waiters, IROH_POLL_CONNECTED, until, handshake_over, c);
    if (r != 0)
        connection_unref(c);
    return r;
}

int iroh_connection_handshake(iroh_connection *c, int timeout_ms) {
    if (c == NULL)
        return IROH_ERR_ARG;
    endpoint_enter(c->ep);
    uint64_t until = wait_until(timeout_ms);
    int r = (int)wait_for(c->ep, &c->waiters, IROH_POLL_CONNECTED, until, handshake_over, c);
    endpoint_leave(c->ep);
    return r;
}

static int64_t ended(void *arg) {
    return connection_error(arg) != 0 ? 0 : IROH_ERR_AGAIN;
}

int iroh_connection_closed(iroh_connection *c, int timeout_ms) {
    if (c == NULL)
        return IROH_ERR_ARG;
    endpoint_enter(c->ep);
    int r = (int)wait_for(c->ep, &c->waiters, IROH_POLL_CLOSED, wait_until(timeout_ms), ended, c);
    endpoint_leave(c->ep);
    return r;
}

// --- Ending

int iroh_connection_close(iroh_connection *c, uint64_t code, const void *reason, size_t reason_len) {
    if (c == NULL || code > CODE_MAX || (reason == NULL && reason_len > 0))
        return IROH_ERR_ARG;
    endpoint_enter(c->ep);
    if (c->core != NULL) {
        quic_conn_close(c->core, code, reason, reason_len, sys_now());
        driver_flush(c->ep);  // the program may end at once
    }
    endpoint_leave(c->ep);
    return 0;
}

void connection_unref(iroh_connection *c) {
    if (--c->refs == 0)
        connection_drop(c);
}

iroh_connection *iroh_connection_ref(iroh_connection *c) {
    if (c == NULL)
        return NULL;
    endpoint_enter(c->ep);
    c->refs++;
    endpoint_leave(c->ep);
    return c;
}

void iroh_connection_free(iroh_connection *c) {
    if (c == NULL)
        return;
    iroh_endpoint *ep = c->ep;
    endpoint_enter(ep);
    ep->refs++;
    connection_unref(c);
    if (ep->core != NULL)
        driver_flush(ep);
    endpoint_leave_for_good(ep);
}

// --- Information

int iroh_connection_early(const iroh_connection *c) {
    if (c == NULL)
        return IROH_ERR_ARG;
    endpoint_enter(c->ep);
    int r = c->core != NULL ? quic_conn_early_accepted(c->core) : IROH_ERR_CLOSED;
    if (r == IROH_ERR_AGAIN && connection_error(c) != 0)
        r = connection_error(c);
    endpoint_leave(c->ep);
    return r;
}

bool iroh_connection_resumed(const iroh_connection *c) {
    if (c == NULL)
        return false;
    endpoint_enter(c->ep);
    bool resumed = c->core != NULL && quic_conn_resumed(c->core);
    endpoint_leave(c->ep);
    return resumed;
}

int iroh_connection_close_info(const iroh_connection *c, iroh_close_info *out) {
    if (c == NULL || out == NULL)
        return IROH_ERR_ARG;
    memset(out, 0, sizeof *out);
    endpoint_enter(c->ep);
    out->error = connection_error(c);
    if (c->core != NULL && out->error != 0) {
        const quic_close_info *info = quic_conn_close_info(c->core);
        out->by_peer = info->by_peer;
        out->application = info->application;
        out->code = info->code;
        out->frame_type = info->frame_type;
        out->reason_len = info->reason_len;
        memcpy(out->reason, info->reason, info->reason_len);
    }
    endpoint_leave(c->ep);
    return 0;
}

int iroh_connection_remote_id(const iroh_connection *c, iroh_public_key *out) {
    if (c == NULL || out == NULL)
        return IROH_ERR_ARG;
    endpoint_enter(c->ep);
    int r = c->core != NULL ? 0 : IROH_ERR_CLOSED;
    const uint8_t *key = r == 0 ? quic_conn_peer_key(c->core) : NULL;
    if (key != NULL)
        memcpy(out->bytes, key, sizeof out->bytes);
    else if (r == 0)
        r = IROH_ERR_AGAIN;
    endpoint_leave(c->ep);
    return r;
}

int iroh_connection_alpn(const iroh_connection *c, void *out, size_t room) {
    if (c == NULL || (out == NULL && room > 0))
        return IROH_ERR_ARG;
    size_t len = 0;
    endpoint_enter(c->ep);
    int r = c->core != NULL ? 0 : IROH_ERR_CLOSED;
    const uint8_t *alpn = r == 0 ? quic_conn_alpn(c->core, &len) : NULL;
    if (r == 0 && alpn == NULL)
        r = IROH_ERR_AGAIN;
    else if (r == 0 && len > room)
        r = IROH_ERR_TOO_LARGE;
    else if (r == 0)
        memcpy(out, alpn, len);
    endpoint_leave(c->ep);
    return r == 0 ? (int)len : r;
}

bool iroh_connection_is_client(const iroh_connection *c) {
    if (c == NULL)
        return false;
    endpoint_enter(c->ep);
    bool client = c->core != NULL && quic_conn_is_client(c->core);
    endpoint_leave(c->ep);
    return client;
}

uint64_t iroh_connection_stable_id(const iroh_connection *c) {
    return c != NULL ? c->id : UINT64_MAX;
}

int iroh_connection_remote(const iroh_connection *c, char *out, size_t room) {
    char text[IROH_PATH_TEXT];
    if (c == NULL || out == NULL)
        return IROH_ERR_ARG;
    endpoint_enter(c->ep);
    bool there = c->core != NULL;
    addr a = there ? quic_conn_remote(c->core) : (addr){0};
    size_t len = paths_text(c->ep, &a, text);
    endpoint_leave(c->ep);
    if (!there)
        return IROH_ERR_CLOSED;
    if (len >= room)
        return IROH_ERR_TOO_LARGE;
    memcpy(out, text, len + 1);
    return (int)len;
}

int iroh_connection_export_keying_material(const iroh_connection *c, const void *label, size_t label_len,
                                           const void *context, size_t context_len, void *out, size_t len) {
    if (c == NULL || out == NULL || (label == NULL && label_len > 0) || (context == NULL && context_len > 0))
        return IROH_ERR_ARG;
    endpoint_enter(c->ep);
    int r =
        c->core != NULL ? quic_conn_export(c->core, label, label_len, context, context_len, out, len) : IROH_ERR_CLOSED;
    endpoint_leave(c->ep);
    return r;
}

int iroh_connection_stats_get(const iroh_connection *c, iroh_connection_stats *out) {
    quic_conn_stats s;
    if (c == NULL || out == NULL)
        return IROH_ERR_ARG;
    memset(out, 0, sizeof *out);
    endpoint_enter(c->ep);
    bool there = c->core != NULL;
    if (there)
        quic_conn_stats_get(c->core, &s);
    endpoint_leave(c->ep);
    if (!there)
        return IROH_ERR_CLOSED;
    *out = (iroh_connection_stats){
        .rtt_us = s.rtt.smoothed / NS_PER_US,
        .rtt_min_us = s.rtt.min / NS_PER_US,
        .rtt_variation_us = s.rtt.variation / NS_PER_US,
        .congestion_window = s.window,
        .bytes_in_flight = s.in_flight,
        .congestion_events = s.congestion_events,
        .lost_packets = s.lost_packets,
        .lost_bytes = s.lost_bytes,
        .spurious_losses = s.spurious,
        .packets_sent = s.packets_sent,
        .packets_received = s.packets_received,
        .bytes_sent = s.bytes_sent,
        .bytes_received = s.bytes_received,
        .datagrams_sent = s.datagrams_sent,
        .datagrams_received = s.datagrams_received,
        .key_updates = s.key_updates,
        .mtu_probes_sent = s.mtu_probes,
        .mtu_probes_lost = s.mtu_probes_lost,
        .black_holes = s.black_holes,
        .streams_opened = s.streams_opened,
        .streams_accepted = s.streams_accepted,
        .mtu = s.mtu,
        .cipher_suite = s.suite,
    };
    return 0;
}

// --- Changing it

int iroh_connection_set_max_streams(iroh_connection *c, bool bidi, uint64_t count) {
    if (c == NULL || count > UINT64_C(1) << 60)  // RFC 9000, section 4.6
        return IROH_ERR_ARG;
    endpoint_enter(c->ep);
    int r = connection_error(c);
    if (r == 0)
        quic_conn_set_max_streams(c->core, bidi, count);
    endpoint_leave(c->ep);
    return r;
}

int iroh_connection_update_keys(iroh_connection *c) {
    if (c == NULL)
        return IROH_ERR_ARG;
    endpoint_enter(c->ep);
    int r = connection_error(c);
    if (r == 0)
        r = quic_conn_update_keys(c->core, sys_now());
    endpoint_leave(c->ep);
    return r;
}
