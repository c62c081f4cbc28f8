// The relays that an endpoint knows: those it was configured with, one of which is its home, and those that addresses of
// peers name. Each has a number for good, which is the scope of ADDR_RELAY addresses, and a connection only while there
// is use for it.
//
// The home relay is where peers find this endpoint: it is kept connected. It is chosen by somebody who knows latencies
// (relays_await, relays_prefer); without such a one all configured relays are dialled at the start, and the first that
// answers is home, as the nearest. When the home relay is lost and another configured one answers before it does, home
// moves there.
//
// A datagram for a peer goes over the relay that its address names if there is a connection, else over any relay from
// which that peer was heard, else the named one is dialled.
//
// Pure state. The shell moves the bytes of each net_relay.client as relay/client.h says, and hands what that reports to
// relays_on_event. `attention` says that the shell has something to do.
#ifndef NET_RELAYS_H
#define NET_RELAYS_H

#include "base/addr.h"
#include "base/log.h"
#include "relay/client.h"

#define RELAYS_MAX 64           // that one endpoint knows of
#define RELAYS_BLOCKS 1024      // blocks that may wait to be written, over all relays
#define RELAY_ROUTES_KNOWN 128  // peers remembered for each relay; the oldest are forgotten
#define RELAYS_HOME_PATIENCE 3  // failures of the home relay in a row, then others are dialled
#define RELAY_SEGMENT_MAX 1472  // larger datagrams are not sent in batches: some receivers would stop reading

typedef struct net_relay {
    relay_client client;  // once `live`
    bool live;
    bool configured;     // may become home
    uint16_t quic_port;  // of its QUIC address discovery; 0: it has none
    char *url;           // normal form, terminated
    size_t url_len;
    char *token;                  // null: none
    uint8_t (*routes)[RELAY_ID];  // peers heard from here; null: none yet
    unsigned route_count, route_next;
    void *stream;                // the shell's
    bool dials_ip4, ip4_failed;  // likewise: the latest dial is, or was, to IPv4 addresses alone, and came to nothing
    // Why the latest attempt failed, in the words of the resolver, the proxy or TLS; empty: nobody said. The shell's.
    char trouble[RELAY_DENIAL_MAX];
} net_relay;

typedef struct relays {
    net_relay *list[RELAYS_MAX];
    size_t count;
    int home;       // its number; -1: none
    bool awaiting;  // relays_prefer is to say which
    uint8_t seed[32];
    const entropy *random;
    const logger *log;
    relay_blocks blocks;
    bool attention;
    uint64_t sent, received;              // datagrams
    uint64_t bytes_sent, bytes_received;  // of them
    uint64_t home_changes;
} relays;

// `random` and `log` are borrowed; `log` may be null.
void relays_init(relays *t, const uint8_t seed[static 32], const entropy *random, const logger *log);
void relays_dispose(relays *t);  // the shell has closed the streams and is done with all blocks

// The number of the relay with this URL, which is added if it is new. `configured` relays get the token (null: none) and
// are dialled. IROH_ERR_SYNTAX, IROH_ERR_ARG (token), IROH_ERR_LIMIT (RELAYS_MAX), IROH_ERR_NOMEM.
int relays_add(relays *t, const char *url, size_t len, bool configured, const char *token, uint64_t now);

// A configured relay is one no longer: a number, or IROH_ERR_NOT_FOUND, IROH_ERR_SYNTAX. What is connected stays so until
// it rests, and a home relay that has a successor stays home until relays_prefer names it.
int relays_remove(relays *t, const char *url, size_t len, uint64_t now);

// How many are configured: their numbers in the order of their URLs.
size_t relays_configured(const relays *t, int out[static RELAYS_MAX]);

// Before the first one is configured: none is dialled or home until relays_prefer says which, or relays_prefer_any that
// nobody knows.
void relays_await(relays *t);
void relays_prefer_any(relays *t, uint64_t now);

// Relay `number` is the best home. It becomes home, unless it is out of reach while the home relay, still configured, is
// not.
void relays_prefer(relays *t, int number, uint64_t now);

// The home relay, or the one that is to become it: null without configured relays, and while a choice is awaited.
const net_relay *relays_home(const relays *t);
bool relays_online(const relays *t);  // the home relay is connected

// The address of peer `id` behind relay `number`.
addr relays_address(int number, const uint8_t id[static RELAY_ID]);
const char *relays_url(const relays *t, const addr *a);  // null when it is no address of one of them

// Queues a datagram, or several of `segment` bytes each but the last. What does not fit is lost, as on any network.
void relays_send(relays *t, const addr *to, uint8_t ecn, size_t segment, const uint8_t *bytes, size_t len,
                 uint64_t now);

// What a client reported. True for datagrams: `from` is then their sender's address.
bool relays_on_event(relays *t, size_t number, const relay_client_event *event, addr *from, uint64_t now);

uint64_t relays_deadline(const relays *t);  // 0: at once, since there is something for the shell
void relays_tick(relays *t, uint64_t now);

// The machine's network changed: connections are tested at once.
void relays_network_changed(relays *t, uint64_t now);

// Says goodbye to all. What is queued can still be written.
void relays_close(relays *t, uint64_t now);

#endif
