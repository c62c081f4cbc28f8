// Metrics under the names of the original, in the text form of OpenMetrics, and the figures behind the page for people.
#include <stdio.h>
#include <string.h>

#include <iroh/iroh.h>

#include "relay_server/state.h"

#define ITEM_MAX 256

typedef struct metric {
    const char *name;  // without prefix and without _total
    const char *help;
    bool of_hub;
    size_t at;  // hub: offset in relay_counters; else: COUNT_*
} metric;

#define HUB(field) true, offsetof(relay_counters, field)
#define NEVER false, COUNTERS  // the original has it and never counts

static const metric metrics[] = {
    {"bytes_sent", "Payload bytes of datagram frames sent to clients", HUB(bytes_sent)},
    {"bytes_recv", "Payload bytes of datagram frames received from clients", HUB(bytes_recv)},
    {"send_packets_sent", "Datagram frames sent to clients", HUB(send_packets_sent)},
    {"send_packets_recv", "Datagram frames received from clients", HUB(send_packets_recv)},
    {"send_packets_dropped", "Datagram frames dropped", HUB(send_packets_dropped)},
    {"other_packets_sent", "Packets of other kinds sent", NEVER},
    {"other_packets_recv", "Packets of other kinds received", NEVER},
    {"other_packets_dropped", "Packets of other kinds dropped", NEVER},
    {"got_ping", "Pings received from clients", HUB(got_ping)},
    {"sent_pong", "Pongs sent to clients", HUB(sent_pong)},
    {"unknown_frames", "Frames of unknown type", NEVER},
    {"bytes_rx_ratelimited", "Bytes of reads after which a client had to wait", HUB(bytes_rx_ratelimited)},
    {"conns_rx_ratelimited", "Connections that ever had to wait for their rate limit", HUB(conns_rx_ratelimited)},
    {"accepts", "Relay sessions started", HUB(accepts)},
    {"disconnects", "Relay sessions ended", HUB(disconnects)},
    {"unique_client_keys", "Endpoint ids that connected while they had no connection", HUB(unique_client_keys)},
    {"clients_inactive_added", "Connections displaced by a newer one of their id", HUB(clients_inactive_added)},
    {"clients_inactive_removed", "Displaced connections that ended or became active again",
     HUB(clients_inactive_removed)},
    {"qad_incoming", "Attempts to connect for address discovery", false, COUNT_QAD_INCOMING},
    {"qad_incoming_error", "Attempts of address discovery that failed", false, COUNT_QAD_INCOMING_ERROR},
    {"qad_connections", "Connections of address discovery", false, COUNT_QAD_CONNECTIONS},
    {"qad_connections_closed", "Connections of address discovery that ended", false, COUNT_QAD_CLOSED},
    {"qad_connections_errored", "Connections of address discovery that ended in another way than agreed", false,
     COUNT_QAD_ERRORED},
    {"http_connections", "TCP connections accepted", false, COUNT_HTTP_CONNECTIONS},
    {"http_connections_closed", "TCP connections whose HTTP part ended", false, COUNT_HTTP_CLOSED},
    {"http_connections_errored", "TCP connections whose HTTP part ended in an error", false, COUNT_HTTP_ERRORED},
    // Beyond the original.
    {"sessions_denied", "Clients that were not let in", HUB(denied)},
    {"sessions_timed_out", "Relay sessions that ended for want of a pong or of a handshake", HUB(timed_out)},
    {"sessions_slow", "Relay sessions that ended because the client took nothing", HUB(slow)},
    {"sessions_failed", "Relay sessions that ended in an error of the client", HUB(failed)},
    {"paced_reads", "Reads of clients that send so much that they are read at intervals", false, COUNT_PACED_READS},
    {"connections_refused", "TCP connections closed at once for want of memory", false, COUNT_REFUSED},
};

static uint64_t value_of(const iroh_relay *r, const metric *m, const relay_counters *hubs) {
    uint64_t value;
    if (!m->of_hub)
        return m->at < COUNTERS ? server_count(r, m->at) : 0;
    memcpy(&value, (const char *)hubs + m->at, sizeof value);
    return value;
}

static void put_text(writer *w, const char *text) {
    writer_bytes(w, text, strlen(text));
}

void metrics_write(writer *w, const iroh_relay *r) {
    char lines[3 * ITEM_MAX];
    relay_counters hubs;
    server_hub_counters(r, &hubs);
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        const metric *m = &metrics[i];
        (void)snprintf(lines, sizeof lines,
                       "# HELP relayserver_%s %s.\n# TYPE relayserver_%s counter\nrelayserver_%s_total %llu\n", m->name,
                       m->help, m->name, m->name, (unsigned long long)value_of(r, m, &hubs));
        put_text(w, lines);
    }
    put_text(w, "# EOF\n");
}

void status_write(writer *w, const iroh_relay *r) {
    char text[2 * ITEM_MAX];
    iroh_relay_stats s;
    iroh_relay_stats_get(r, &s);
    (void)snprintf(text, sizeof text,
                   "{\"version\":\"%s\",\"uptime_ms\":%llu,\"connections\":%llu,\"clients\":%llu,\"accepts\":%llu,"
                   "\"datagrams_in\":%llu,\"datagrams_out\":%llu,\"datagrams_dropped\":%llu,\"bytes_in\":%llu,"
                   "\"bytes_out\":%llu}",
                   iroh_version(), (unsigned long long)s.uptime_ms, (unsigned long long)s.connections,
                   (unsigned long long)s.clients, (unsigned long long)s.accepts, (unsigned long long)s.datagrams_in,
                   (unsigned long long)s.datagrams_out, (unsigned long long)s.datagrams_dropped,
                   (unsigned long long)s.bytes_in, (unsigned long long)s.bytes_out);
    put_text(w, text);
}
