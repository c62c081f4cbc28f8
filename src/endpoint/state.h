// The inside of the public API, shared by the files of src/endpoint/ only.
//
// One mutex per endpoint guards the QUIC core and everything here. A call of the program acts on the core directly,
// under the lock; nothing is handed to another thread but bytes to send, which leave at the latest when a call is about
// to wait. The loop (driver.c) is run by the endpoint's own thread, or by whichever call waits when there is none.
//
// Handles outlive the endpoint: when it is freed first, what is left of them answers IROH_ERR_CLOSED.
//   config.c      checks the program's settings and turns them into the core's
//   endpoint.c    binding, closing, freeing, information
//   driver.c      the loop: receiving, timers, sending
//   events.c      what the core reports, told to the handles that wait for it
//   wait.c        sleeping until a handle has news
//   dial.c, incoming.c, connection.c, datagram.c, stream.c, stream_io.c, poll.c   the calls
//   direct.c      the endpoint's own addresses
//   network.c     changes of the machine's network
//   paths.c       the ways to each peer; path_events.c: what became of a connection's paths
//   online.c      the relays that the program wants, and the home relay; relay_io.c: the bytes of their connections
//   reports.c     what is found out about the network by asking relays
//   diary.c       key log and qlog files
#ifndef ENDPOINT_STATE_H
#define ENDPOINT_STATE_H

#include <stdatomic.h>

#include <uv.h>

#include <iroh/iroh.h>

#include "base/clock.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "endpoint/blocks.h"
#include "endpoint/sessions.h"
#include "net/netwatch.h"
#include "net/relays.h"
#include "net/remote.h"
#include "net/reporter.h"
#include "quic/endpoint.h"
#include "sys/loop.h"
#include "sys/netmon.h"
#include "sys/stream.h"
#include "sys/udp.h"

#define SOCKETS_MAX 16
#define CODE_MAX ((UINT64_C(1) << 62) - 1)  // application error codes

// What a wait is for, besides IROH_POLL_*.
enum {
    WAIT_DATAGRAM_ROOM = 1 << 16,
    WAIT_DRAINED = 1 << 17,
    WAIT_ONLINE = 1 << 18,
    WAIT_REPORT = 1 << 19,
    WAIT_ANY = -1
};

// What a thread sleeps on. It belongs to the endpoint for as long as that lives, so that it can be rung without the lock.
typedef struct bell {
    list_link link;  // in iroh_endpoint.bells while nobody sleeps on it
    uv_cond_t cond;
} bell;

// One sleeping call. It lives on the stack of the call.
typedef struct waiter {
    list_link told;  // in iroh_endpoint.fired until it was told
    bool fired;      // something that it waits for happened
    int wake_fd;     // written to when fired; -1: the bell rings
    bell *bell;      // null: it sleeps in another way
} waiter;

// Its place in the list of one handle.
typedef struct wait_node {
    list_link link;
    waiter *waiter;
    unsigned events;  // IROH_POLL_*, WAIT_*
    bool takes;       // what happened is taken away by whoever is told: of these one is enough
} wait_node;

typedef struct endpoint_socket {
    sys_udp *udp;
    sys_watch *watch;
    addr local;       // as bound
    bool wildcard;    // bound to no particular address
    bool fixed_port;  // the program chose it
    unsigned ready;   // SYS_*; of the loop's thread
} endpoint_socket;

// A peer, from when it is dialled or connects until a while after its last connection.
typedef struct endpoint_remote {
    remote remote;
    heap_item timer;  // in iroh_endpoint.remote_timers
} endpoint_remote;

// Who decides on attempts to connect. Until the program says, they wait.
enum { ACCEPT_UNDECIDED, ACCEPT_ALL, ACCEPT_BY_PROGRAM };

struct iroh_endpoint {
    uv_mutex_t lock;
    size_t refs;          // the program's, and one for each handle
    quic_endpoint *core;  // null: freed
    bool closed;
    uint64_t close_by;  // when iroh_endpoint_close stops waiting
    logger log;
    iroh_secret_key secret;
    iroh_public_key id;
    session_cache sessions, tokens;
    int keylog_fd;   // -1: none
    char *qlog_dir;  // null: none

    list_link conns;       // every iroh_connection
    list_link acceptable;  // those that iroh_endpoint_accept gives out, by `queue`
    list_link incoming;    // every iroh_incoming
    list_link waiters;
    list_link fired;  // waiters to be told when the lock is given back
    list_link bells;
    int poll_pipe[2];    // for the next iroh_poll that needs one, -1: none
    list_link followed;  // of path_events: connections whose paths the program follows
    atomic_int tellers;  // threads that gave the lock back and are still waking others
    size_t unclaimed, max_unclaimed;
    int accepting;  // ACCEPT_*
    bool accepts;   // there are protocols to accept
    uint64_t next_id;

    // The loop.
    bool own_thread, stopping;
    bool foreign;  // the program watches iroh_endpoint_fd
    uv_thread_t thread;
    sys_loop *loop;
    uint64_t now;      // of the latest round
    uint64_t alarm;    // the loop's deadline
    uint64_t armed;    // the sleeping loop acts at this time by itself; 0: it is awake, or was woken
    size_t queued;     // bytes queued since the latest flush
    unsigned pushes;   // flushes for the sake of latency since a call last waited
    bool watch_stale;  // a socket is full and the loop does not know yet
    bool roomy;        // every socket keeps what comes during a pause
    unsigned bulk;     // rounds in a row that brought much and emptied the sockets
    size_t moved;      // bytes that came and went since the latest round
    bool busy;         // they were many: nobody sleeps at once
    unsigned direct;   // rounds since the loop itself was last asked
    size_t socket_count;
    endpoint_socket sockets[SOCKETS_MAX];
    blocks rx;
    uint8_t *tx;                   // SYS_UDP_BATCH bytes
    endpoint_socket *full_socket;  // has not taken all of `rest` yet; null: nothing waits in `tx`
    sys_udp_batch rest;
    size_t rest_at;      // offset in `tx`
    uint64_t reopen_at;  // when a broken socket may be opened anew

    // Relays and paths.
    entropy random;
    bool no_relays;  // the program wants direct paths only
    bool online;     // the home relay was connected at the latest look
    char *ca_file, *proxy;
    relays relays;
    sys_streams *streams;  // null: none was needed yet
    map remotes;           // of endpoint_remote, by the first bytes of their ids
    heap remote_timers;
    remote_locals locals;  // our direct addresses, as the peers know them
    bool locals_known;     // else nobody needs to know

    // Net reports.
    bool makes_reports, report_https, report_captive;
    struct endpoint_reports *reports;  // null: no relay to ask was there yet

    // The machine's network.
    bool watches_network;
    netwatch netwatch;
    sys_netstate network;  // at the latest look
    sys_netmon *netmon;    // null: the system tells nothing
};

typedef struct path_events path_events;

struct iroh_connection {
    iroh_endpoint *ep;
    quic_conn *core;  // null: the endpoint was freed
    list_link all;
    list_link queue;
    list_link waiters;
    list_link streams;         // every iroh_stream
    endpoint_remote *peer;     // null: the handshake is not complete, or it is closed
    remote_conn path;          // its place there
    path_events *path_events;  // null: nobody follows its paths
    uint64_t id;
    size_t refs;   // the program's, and one for each stream handle
    bool claimed;  // the program has it, or will get it from the call that made it
};

struct iroh_stream {
    iroh_connection *conn;
    quic_stream *core;  // null: the endpoint was freed
    list_link all;
    list_link waiters;
    uint64_t id;
};

struct iroh_incoming {
    iroh_endpoint *ep;
    quic_incoming *core;  // null: the endpoint was freed
    list_link all;
};

// --- wait.c

void endpoint_enter(iroh_endpoint *ep);  // takes the lock
void endpoint_leave(iroh_endpoint *ep);  // tells waiters, wakes the loop if it must act sooner, gives the lock back

// Gives a reference back together with the lock; the last one frees the endpoint.
void endpoint_leave_for_good(iroh_endpoint *ep);

// Marks the waiters of a handle that wait for any of `events`: all but, of those that take away what happened, one.
// WAIT_ANY marks them all. They run when the lock is free.
void wait_fire(iroh_endpoint *ep, list_link *waiters, unsigned events);

// With the lock held, like all of these. `wake_fd`: what to write a byte to when fired, or -1. 0 or IROH_ERR_NOMEM.
int waiter_init(waiter *w, iroh_endpoint *ep, int wake_fd);
void waiter_reset(waiter *w);
void waiter_dispose(waiter *w, iroh_endpoint *ep);

// Returns when no thread is still waking others; none starts to while the lock is held.
void endpoint_settle(iroh_endpoint *ep);

// Sends what is queued, then gives up the lock until the waiter fired (true) or the time came (false).
bool wait_sleep(iroh_endpoint *ep, waiter *w, uint64_t until);

// The time at which a call with this timeout gives up: 0 does not wait, TIME_NEVER waits for ever.
uint64_t wait_until(int timeout_ms);
// What is left of it for poll(2) and the like: -1 for ever, rounded up.
int wait_left_ms(uint64_t until);

// Calls `attempt` until it gives something else than IROH_ERR_AGAIN; between calls sleeps until one of `events` happens
// to the handle. Gives IROH_ERR_TIMEOUT when the time came, IROH_ERR_AGAIN when it may not wait.
int64_t wait_for(iroh_endpoint *ep, list_link *waiters, unsigned events, uint64_t until, int64_t (*attempt)(void *),
                 void *arg);

// The same for an attempt that takes one of several things away. Whoever got one and knows of more calls wait_fire for
// the next in line.
int64_t wait_to_take(iroh_endpoint *ep, list_link *waiters, unsigned events, uint64_t until, int64_t (*attempt)(void *),
                     void *arg);

// --- poll.c

void poll_close_pipe(int pipe[static 2]);  // what is open of it

// --- driver.c

int driver_init(iroh_endpoint *ep);  // the loop and the watches of the sockets
int driver_start(iroh_endpoint *ep);
void driver_stop(iroh_endpoint *ep);

// One turn of the loop: waits at most `timeout_ms` without the lock, then does what is due. 0 or IROH_ERR_IO.
int driver_turn(iroh_endpoint *ep, int timeout_ms);
// The same without the loop, for a caller that knows which sockets are ready. False: it is the loop's turn.
bool driver_turn_directly(iroh_endpoint *ep);
// While much comes in: lets it gather for a moment. With the lock held, which is given back meanwhile.
void driver_gather(iroh_endpoint *ep);
// Makes iroh_endpoint_fd readable when there is something to do.
void driver_arm(iroh_endpoint *ep);

// Hands what is queued to the sockets, as far as congestion control, pacing and the sockets allow.
void driver_flush(iroh_endpoint *ep);

// `bytes` were queued on the connection. They go at once when they are many, or when `urgent` (a message is complete)
// and nothing went for that reason since a call last waited; a program that sends several messages in a row sends them
// in one batch.
void driver_push(iroh_endpoint *ep, quic_conn *c, size_t bytes, bool urgent);

// When the core wants to act next, ns.
uint64_t driver_deadline(const iroh_endpoint *ep);

// --- events.c

// Tells handles what the core reports, and accepts attempts to connect if that is what the program wants.
void events_drain(iroh_endpoint *ep);
void events_drain_streams(iroh_connection *c);

// A handle for `core` with one reference; null when out of memory.
iroh_connection *connection_new(iroh_endpoint *ep);
void connection_attach(iroh_connection *c, quic_conn *core);
// Removes the handle from the endpoint and frees it. Under the lock; the endpoint's reference count falls, which never
// frees it.
void connection_drop(iroh_connection *c);

// --- connection.c

// Gives a reference back; the last one drops the connection.
void connection_unref(iroh_connection *c);
int connection_error(const iroh_connection *c);  // why it is closed, 0: open
// Takes a connection that was just dialled through the rest of its handshake.
int connection_finish_dial(iroh_connection *c, uint64_t until);

// --- stream_io.c

// The connection's or endpoint's error, or 0; to be asked before the core, which does not know of it.
int stream_error(const iroh_stream *s);
bool stream_ready_to_read(const iroh_stream *s);
bool stream_ready_to_write(iroh_stream *s);
bool stream_ready_finished(const iroh_stream *s);

// --- direct.c

// At most `room` of them: their number, or IROH_ERR_IO.
int direct_list(const iroh_endpoint *ep, addr *out, size_t room);
int direct_add(const iroh_endpoint *ep, iroh_addr *out);

// --- online.c

int online_configure(iroh_endpoint *ep, const iroh_endpoint_config *config);  // the errors of iroh_endpoint_bind
int online_add(const iroh_endpoint *ep, iroh_addr *out);
void online_leave_removed_home(iroh_endpoint *ep);  // if it was removed: for any that is configured

// --- reports.c

int reports_open(iroh_endpoint *ep, const iroh_endpoint_config *config);  // IROH_ERR_NOMEM
void reports_stop(iroh_endpoint *ep);                                     // closes its connections
void reports_close(iroh_endpoint *ep);                                    // before the core and the streams
void reports_request(iroh_endpoint *ep, report_reason reason);
const report *reports_last(const iroh_endpoint *ep);  // null: there is none
uint64_t reports_deadline(const iroh_endpoint *ep);
void reports_tick(iroh_endpoint *ep, uint64_t now);  // by the loop
// Of a connection that is no program's.
void reports_on_event(iroh_endpoint *ep, quic_conn *core, uint32_t events);

// --- relay_io.c

int relay_io_streams(iroh_endpoint *ep);  // makes sure that ep->streams is there: IROH_ERR_NOMEM, IROH_ERR_IO

void relay_io_process(iroh_endpoint *ep);  // by the loop, after it has waited
void relay_io_flush(iroh_endpoint *ep);    // writes what waits, as far as sockets take it
void relay_io_close(iroh_endpoint *ep);    // says goodbye and frees everything

// The address from which the relay is connected; ADDR_NONE: it is not.
addr relay_io_local(const net_relay *r);

// --- network.c

int network_open(iroh_endpoint *ep, bool wanted);  // IROH_ERR_NOMEM
void network_close(iroh_endpoint *ep);             // before the loop
void network_changed(iroh_endpoint *ep, bool major);
uint64_t network_deadline(const iroh_endpoint *ep);
void network_tick(iroh_endpoint *ep, uint64_t now);  // by the loop

// --- paths.c

void paths_init(iroh_endpoint *ep);
void paths_dispose(iroh_endpoint *ep);                                        // no connection is in it any more
endpoint_remote *paths_peer(iroh_endpoint *ep, const uint8_t id[static 32]);  // made if new; null: out of memory
void paths_connected(iroh_connection *c);                                     // its handshake is complete
void paths_news(iroh_connection *c);                                          // its paths have events
void paths_left(iroh_connection *c);                                          // it is closed, or given up
void paths_look_at_locals(iroh_endpoint *ep, uint64_t now);                   // whether our addresses changed
void paths_begin_rounds(iroh_endpoint *ep, uint64_t now);                     // for peers that may be found better
uint64_t paths_deadline(const iroh_endpoint *ep);
void paths_tick(iroh_endpoint *ep, uint64_t now);
size_t paths_text(const iroh_endpoint *ep, const addr *a, char out[static IROH_PATH_TEXT]);  // its length

iroh_path paths_describe(const iroh_connection *c, const quic_path_info *p);

// --- path_events.c

void path_events_look(iroh_connection *c);           // after news of its paths
void path_events_look_at_all(iroh_endpoint *ep);     // whether other paths are in use
bool path_events_waiting(const iroh_connection *c);  // iroh_connection_path_event would give one
void path_events_free(iroh_connection *c);

// --- diary.c

int diary_open(iroh_endpoint *ep, const iroh_endpoint_config *config);  // IROH_ERR_IO, IROH_ERR_NOMEM
void diary_close(iroh_endpoint *ep);
void diary_keylog(void *user, const char *line);
quic_qlog *diary_qlog(void *user, quic_role role, const quic_cid *odcid);

// --- config.c

#define ALPNS_MAX 256

bool config_quic_port_possible(int port);  // of a relay

// 0, IROH_ERR_ARG.
int config_check(const iroh_endpoint_config *config);
int config_alpns(const iroh_slice *names, size_t count, tls_alpn out[static ALPNS_MAX]);
const char *config_proxy(const iroh_endpoint_config *config);  // the one to use; null: none
void config_translate(const iroh_endpoint_config *config, quic_endpoint_config *out);

#endif
