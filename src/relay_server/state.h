// The relay server as its own files see it.
//
//   server.c    start, stop, reload, what is known of all loops    mailbox.c   letters between threads
//   loop.c      one thread: its turns, its letters                 parcel.c    what hubs tell each other
//   listener.c  who comes in                                       conn.c      one TCP connection: reading, phases, its end
//   http.c      requests and answers                               conn_out.c  writing
//   page.c      the page for people                                conn_tls.c  TLS on a connection
//   metrics.c   the page for Prometheus                            callback.c  asking a web server who may use the relay
//   file.c      the configuration file                             qad.c       QUIC address discovery
//   pace.c      whether a client is read at intervals              rounds.c    reading those that are
//
// A loop owns its connections and its hub; no other thread touches them. What others may read of a loop are its counters.
#ifndef RELAY_SERVER_STATE_H
#define RELAY_SERVER_STATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uv.h>

#include <iroh/relay.h>

#include "base/addr.h"
#include "base/bucket.h"
#include "base/entropy.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/log.h"
#include "relay/access.h"
#include "relay/hub.h"
#include "relay/session.h"
#include "relay_server/mailbox.h"
#include "relay_server/pace.h"
#include "relay_server/parcel.h"
#include "sys/loop.h"
#include "sys/tcp.h"
#include "tls/web_server.h"
#include "web/http_head.h"
#include "web/tls_record.h"

#define SERVER_THREADS_MAX 64
#define ESTABLISH_TIMEOUT (30 * NS_PER_S)  // from accept to the upgrade; and between requests of a connection
#define LINGER_TIMEOUT (2 * NS_PER_S)      // after our last byte, for the peer to close
#define HANDSHAKES_MAX 1024                // TLS handshakes of one loop at a time; beyond, the oldest is dropped
#define READ_ROOM 131072                   // bytes of one read
#define READ_HTTP 16384                    // before the upgrade
#define OUT_BLOCKS SYS_SLICES_MAX          // blocks of one write
#define ACCEPT_PAUSE (100 * NS_PER_MS)     // when there is no room for more connections
#define ACCEPT_COST 1000                   // units of relay_loop.accepts for each connection
#define STOP_TIMEOUT (3 * NS_PER_S)        // for peers to take what is left and to close
#define TLS_REST_AFTER (2 * NS_PER_S)      // without records, then expanded keys are given back
#define HTTP_TOKEN_MAX 4096                // bytes of a client's token

typedef struct relay_loop relay_loop;
typedef struct conn conn;

// What a listener serves.
enum { SERVES_ALL = 0, SERVES_CAPTIVE, SERVES_METRICS };

// Counted by each loop beside its hub (relay_counters), read by all.
enum {
    COUNT_HTTP_CONNECTIONS,
    COUNT_HTTP_CLOSED,
    COUNT_HTTP_ERRORED,
    COUNT_QAD_INCOMING,
    COUNT_QAD_INCOMING_ERROR,
    COUNT_QAD_CONNECTIONS,
    COUNT_QAD_CLOSED,
    COUNT_QAD_ERRORED,
    COUNT_PACED_READS,  // reads in rounds
    COUNT_REFUSED,      // connections that were closed at once for want of room
    COUNTERS
};

#define HUB_COUNTERS (sizeof(relay_counters) / sizeof(uint64_t))

typedef struct listener {
    relay_loop *loop;
    int fd;  // -1: none
    sys_watch *watch;
    bool tls;
    int serves;
} listener;

enum { LISTEN_HTTP = 0, LISTEN_HTTPS, LISTEN_METRICS, LISTENERS };

enum { LETTER_PARCEL = 1, LETTER_STOP, LETTER_CERTIFICATE, LETTER_VERDICT };

typedef struct letter_certificate {
    letter letter;
    web_certificate *certificate;  // a reference
} letter_certificate;

// The answer of the callback for one connection.
typedef struct letter_verdict {
    letter letter;
    uint64_t conn;  // its number
    bool allow;
} letter_verdict;

// Clients that are read at the same interval.
typedef struct pace_round {
    list_link conns;  // conn.round_link
    uint64_t at;      // ns, when they are next; TIME_NEVER: there are none
} pace_round;

struct relay_loop {
    iroh_relay *server;
    uint32_t number;
    sys_loop *sys;
    uv_thread_t thread;
    bool running;        // the thread is
    letter stop_letter;  // lies here, so that stopping needs no memory
    mailbox mailbox;
    _Atomic(unsigned) pending;  // parcels on their way here
    outbox *outboxes;           // one for each loop; the own one is not used
    entropy random;
    relay_hub hub;
    web_certificate *certificate;  // null: none
    listener listeners[LISTENERS];
    bucket accepts;
    heap timers;               // conn.timer
    uint64_t accept_at;        // ns, when paused; TIME_NEVER: not paused
    list_link conns;           // conn.link
    list_link dead;            // conn.link, to be freed at the end of the turn
    list_link handshakes;      // conn.phase_link, the oldest first
    list_link asked;           // conn.phase_link, whose access the callback decides
    list_link busy;            // conn.busy_link: with expanded keys, least recently used first
    pace_round rounds[PACES];  // by pace; the first, of those that are watched, is not used
    size_t conn_count, handshake_count;
    uint64_t conn_numbers;  // given out
    uint64_t now;           // of this turn; 0: not read yet, see loop_now
    uint64_t stop_by;       // ns; 0: runs
    uint64_t reload_at;     // ns, when the certificate files are read again; only of the first loop
    uint64_t date_second;
    char date[32];    // IMF-fixdate of date_second
    struct qad *qad;  // null: none
    uint64_t counters[COUNTERS];
    // What other threads read.
    _Atomic(uint64_t) shown[COUNTERS + HUB_COUNTERS];
    _Atomic(uint64_t) shown_conns, shown_clients;
    uint8_t room[TLS_RECORD_MAX + READ_ROOM];  // where everything is read into
};

struct iroh_relay {
    iroh_relay_config config;  // texts are owned
    relay_access access;       // read only
    logger log;
    uint64_t started;     // ns
    uint64_t wall_start;  // unix time, ns
    addr bound[LISTENERS];
    addr quic_bound;
    char texts[LISTENERS + 1][ADDR_TEXT_MAX];  // of bound and quic_bound
    relay_loop **loops;
    uint32_t loop_count;
    size_t conns_per_loop;
    struct callback *callback;  // null: none
    uv_mutex_t reload_lock;     // readings of the certificate files come one at a time
    web_certificate *certificate;
};

// --- conn.c

enum {
    CONN_HANDSHAKE = 0,  // TLS
    CONN_HTTP,
    CONN_RELAY,
    CONN_LINGER,  // all is said: waits for the peer to close, reading what it still sends
};

// What a connection has until its upgrade.
typedef struct http_state {
    uint8_t *head;  // bytes of the request so far
    size_t len, room;
    http_scan scan;
    bool closing;  // after what is queued
} http_state;

typedef struct conn_tls {
    web_handshake *handshake;  // null: free'd after the first request
    tls_record record;
    bool ready;      // `record` is
    uint64_t used;   // ns, last time that it was
    uint8_t *carry;  // the beginning of a record whose rest was not there yet
    size_t carry_len;
} conn_tls;

struct conn {
    relay_session session;  // its queue carries everything that is written
    relay_loop *loop;
    sys_watch *watch;
    int fd;
    uint8_t phase, serves;
    bool failed;   // in its HTTP phase
    bool writing;  // waits for the socket to take more
    bool dead;     // freed at the end of the turn
    uint64_t number;
    addr remote;
    list_link link, phase_link, busy_link, round_link;
    pace pace;  // how often it is read, as a client
    heap_item timer;
    conn_tls *tls;     // null: plain
    http_state *http;  // null after the upgrade
    char *token;       // that the client presented, until access is decided; null: none
    size_t token_len;
    relay_block *out, *out_last;  // taken from the queue, not yet written
    unsigned out_count;
};

void conn_accept(listener *l, int fd, const addr *remote);
void conn_timer(conn *c, uint64_t now);
void conn_end(conn *c);                 // closes it once everything that can be written at once is
void conn_drop(conn *c);                // closes it now
void conn_do(conn *c, unsigned wants);  // RELAY_WANTS_*
void conn_verdict(conn *c, bool allow);
conn *conn_find_asked(relay_loop *l, uint64_t number);  // null: it has gone meanwhile
void conn_watch(conn *c);                               // sets what the socket is watched for
size_t conn_read(conn *c);                              // reads once, if it is to be read: how many bytes

// --- rounds.c

void rounds_init(relay_loop *l);
uint64_t rounds_at(const relay_loop *l);                   // ns, the next; TIME_NEVER
void rounds_run(relay_loop *l, uint64_t now);              // reads those whose time has come
void rounds_read(conn *c, uint32_t frames, size_t bytes);  // a client was read: datagram frames and bytes
void rounds_leave(conn *c);                                // it is watched from now on

// --- conn_out.c

void conn_flush(conn *c);                                   // writes what is queued, as far as the socket takes it
bool conn_put(conn *c, const void *bytes, size_t len);      // queues bytes before the relay session; false: no room
bool conn_out_empty(const conn *c);                         // all that was queued is written
void conn_out_clear(conn *c);                               // forgets what was taken from the queue
bool conn_out_raw(conn *c, const void *bytes, size_t len);  // to be written as they are, before what is queued
void conn_out_alert(conn *c, uint8_t alert);                // TLS: behind all that is queued, if it can be written now

// --- conn_tls.c

// Decrypts `len` bytes as read, and hands on what they carry.
void conn_tls_input(conn *c, uint8_t *bytes, size_t len);
int conn_tls_new(conn *c);  // 0, IROH_ERR_*
void conn_tls_free(conn *c);
void conn_tls_forget(conn *c);                    // no keying material is wanted of the handshake any more
void conn_tls_used(conn *c);                      // keeps its expanded keys for a while
void conn_tls_rest(relay_loop *l, uint64_t now);  // gives back those of connections that have been quiet
uint64_t conn_tls_rest_at(const relay_loop *l);   // when there are some, ns

// --- conn.c, for both kinds of connection: plain bytes came

void conn_input(conn *c, uint8_t *bytes, size_t len);

// --- http.c

void http_input(conn *c, uint8_t *bytes, size_t len);
void http_free(conn *c);

// --- page.c, metrics.c: write the body of an answer

void status_write(writer *w, const iroh_relay *r);
void metrics_write(writer *w, const iroh_relay *r);

// Looks up a file of the page: its content and type; null: there is none.
typedef struct page_file {
    const char *path, *type, *content;
} page_file;
const page_file *page_find(const http_text *path);

// --- listener.c

int listeners_open(relay_loop *l);
void listeners_close(relay_loop *l);
void listeners_resume(relay_loop *l, uint64_t now);

// --- loop.c

int loop_new(iroh_relay *r, uint32_t number, relay_loop **out);
int loop_start(relay_loop *l);
void loop_free(relay_loop *l);
const char *loop_date(relay_loop *l);
uint64_t loop_now(relay_loop *l);  // read once a turn
void loop_begin(relay_loop *l);  // to be called before anything that came from outside is looked at: takes the letters
void loop_do(relay_loop *l);     // does what the hub wants: writes above all
void loop_send(relay_loop *l);   // tells the other loops what there is to tell

// --- server.c

void server_reload_due(iroh_relay *r);

// Sums over all loops.
uint64_t server_count(const iroh_relay *r, size_t counter);
void server_hub_counters(const iroh_relay *r, relay_counters *out);

// --- callback.c

// Asks about a client; a letter with the verdict comes.
bool callback_ask(struct callback *cb, relay_loop *l, uint64_t number, const uint8_t id[static RELAY_ID]);
int callback_new(iroh_relay *r, struct callback **out);
void callback_free(struct callback *cb);

// --- qad.c

// `bind` may have port 0; *bound is what it became. IROH_ERR_BIND (with errno set), IROH_ERR_UNSUPPORTED, IROH_ERR_NOMEM,
// IROH_ERR_CRYPTO.
int qad_new(relay_loop *l, const addr *bind, addr *bound, struct qad **out);
void qad_free(struct qad *q);  // tells clients; null is ignored
void qad_turn(struct qad *q, uint64_t now);
uint64_t qad_deadline(const struct qad *q);

#endif
