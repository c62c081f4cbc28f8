// All streams of one connection: opening and accepting, both halves of the state machine (RFC 9000, section 3), flow
// control of stream and connection (section 4), and which stream sends next.
//
// The connection feeds frames in and asks for frames; the application side reads and writes. Events are collected on
// the streams themselves and drained with quic_streams_next_event. A stream object lives until both halves are
// finished and the application has released it.
#ifndef QUIC_STREAMS_H
#define QUIC_STREAMS_H

#include "base/list.h"
#include "base/map.h"
#include "quic/builder.h"
#include "quic/params.h"
#include "quic/recvbuf.h"
#include "quic/sendbuf.h"

// What happened to a stream since the last look; bits in quic_stream.events.
enum {
    STREAM_READABLE = 1,  // data, the end, or a reset can be read
    STREAM_WRITABLE = 2,  // quic_stream_write had said IROH_ERR_AGAIN and would now take bytes
    STREAM_STOPPED = 4,   // the peer stopped reading: stop_code
    STREAM_FINISHED = 8,  // the peer acknowledged everything including the end (or the reset): send_done
};

// Which queue of the sending half a stream is in.
enum {
    STREAM_IDLE = 0,
    STREAM_READY = 1,    // in the ring of its priority
    STREAM_BLOCKED = 2,  // has only new data, and the connection's limit is reached
};

// Control frames that wait to be sent; bits in quic_stream.control.
enum {
    STREAM_SEND_RESET = 1,
    STREAM_SEND_STOP = 2,
    STREAM_SEND_MAX_DATA = 4,
};

#define STREAM_SIZE_UNKNOWN UINT64_MAX
#define STREAM_WRITE_AHEAD 262144  // bytes that a stream may buffer beyond what the peer lets it send

typedef struct quic_streams quic_streams;

typedef struct quic_stream {
    uint64_t id;
    quic_streams *owner;
    void *user;               // the application's
    list_link event;          // in quic_streams.events while `events` is not 0 and the application knows the stream
    list_link control_link;   // in quic_streams.control while `control` is not 0
    list_link ready;          // ring of the ready streams of one priority, or in quic_streams.blocked
    list_link level;          // in quic_streams.levels: only the stream of the ring whose turn it is
    list_link waiting;        // in quic_streams.want_write while it waits for send_buffer_max
    int32_t priority;         // higher sends first
    uint8_t events;           // STREAM_READABLE..
    uint8_t control;          // STREAM_SEND_*
    uint8_t queue;            // STREAM_IDLE..
    bool has_send, has_recv;  // which halves exist
    bool accepted;            // the application knows it: own streams from the start
    bool released;            // the application gave it up
    bool rejected;            // went with rejected 0-RTT: in quic_streams.rejected by `ready`, no longer in the map

    // Sending half.
    bool fin;       // the application finished: out.end is the end
    bool fin_sent;  // the end is on its way or arrived
    bool fin_acked;
    bool reset;         // RESET_STREAM replaces everything not acknowledged; `out` is empty
    bool stopped;       // STOP_SENDING came: nothing is sent until the application resets or releases
    bool want_write;    // quic_stream_write said IROH_ERR_AGAIN
    bool send_done;     // the peer has everything, the end or the reset included
    uint64_t send_max;  // peer's limit on the offset that may be sent
    uint64_t reset_code, stop_code;
    quic_sendbuf out;

    // Receiving half. It is over when final_size is known and in.read has reached it.
    bool recv_reset;       // RESET_STREAM came: recv_reset_code
    bool stop_wanted;      // the application stopped it: what comes is counted and dropped
    uint64_t recv_max;     // limit that we announced
    uint64_t recv_window;  // bytes beyond the read offset that we allow
    uint64_t final_size;   // STREAM_SIZE_UNKNOWN
    uint64_t recv_reset_code;
    uint64_t recv_stop_code;
    quic_recvbuf in;
} quic_stream;

struct quic_streams {
    quic_role role;
    map by_id;
    quic_chunks chunks;    // memory of all buffers
    list_link levels;      // one stream of each priority that has ready ones, highest first
    list_link blocked;     // streams that wait for the connection's limit
    list_link control;     // streams with control frames to send
    list_link events;      // streams with events to report
    list_link want_write;  // streams that wait for send_buffer_max
    list_link rejected;    // streams of rejected 0-RTT that the application still holds
    // [0] bidirectional, [1] unidirectional; numbers are sequences (id >> 2), limits are counts.
    uint64_t next_local[2];      // the next own stream
    uint64_t max_local[2];       // peer's limit on own streams
    uint64_t next_remote[2];     // lowest not yet opened by the peer
    uint64_t next_accept[2];     // lowest not yet handed to the application; below next_remote: one waits
    uint64_t max_remote[2];      // limit that we announced
    uint64_t window_remote[2];   // concurrent peer streams that we allow
    uint64_t closed_remote[2];   // peer streams finished and released so far
    bool max_streams_wanted[2];  // MAX_STREAMS should be sent
    bool blocked_wanted[2];      // STREAMS_BLOCKED should be sent
    uint64_t blocked_at[2];      // limit at which the latest one was reported, UINT64_MAX: none
    uint64_t peer_window_bidi_local, peer_window_bidi_remote, peer_window_uni;  // peer's initial stream windows
    uint64_t recv_window;                                                       // our stream window, bytes
    uint64_t send_max;                                                          // connection: peer's limit
    uint64_t send_used;                                                         // connection: new bytes sent
    uint64_t recv_max;                                                          // connection: our limit
    uint64_t recv_used;  // connection: sum of the highest offsets received
    uint64_t recv_read;  // connection: bytes handed out or discarded
    uint64_t recv_conn_window;
    bool max_data_wanted;
    const quic_lender *lender;  // of the datagram that is being read; null: what streams keep of it, they copy
    uint64_t send_buffered;     // bytes held in all send buffers
    uint64_t send_buffer_max;   // quic_stream_write says IROH_ERR_AGAIN beyond it
};

typedef struct quic_streams_config {
    quic_role role;
    uint64_t streams_bidi, streams_uni;   // concurrent peer streams allowed
    uint64_t stream_window, conn_window;  // bytes we allow
    uint64_t send_buffer;                 // bytes, over all streams
    uint64_t map_seed[2];
} quic_streams_config;

void quic_streams_init(quic_streams *s, const quic_streams_config *config);
void quic_streams_dispose(quic_streams *s);  // frees every stream, whoever holds it

// Frees spare memory of buffers; for a connection that went idle. Without any stream it happens by itself.
void quic_streams_trim(quic_streams *s);

// Changes how many streams the peer may have open at once; what was announced already stays allowed.
void quic_streams_set_window(quic_streams *s, bool bidi, uint64_t count);

// The peer's limits, when its transport parameters come (or are remembered for 0-RTT; limits only ever grow).
void quic_streams_set_peer(quic_streams *s, const quic_params *peer);

// 0-RTT was rejected: nothing of it may be acknowledged or lost any more, and ids and limits start at 0 again until
// quic_streams_set_peer. Streams that the application holds answer IROH_ERR_REJECTED_0RTT to everything, and have the
// events READABLE and WRITABLE, until they are released.
void quic_streams_reject_early(quic_streams *s);

// --- application side: results are 0, a count, or IROH_ERR_*

// Opens a stream. IROH_ERR_AGAIN at the peer's limit (STREAMS_BLOCKED goes out), IROH_ERR_NOMEM.
int quic_streams_open(quic_streams *s, bool bidi, quic_stream **out);

// The next stream that the peer opened, null when there is none.
quic_stream *quic_streams_accept(quic_streams *s, bool bidi);

// Takes as many bytes as the buffers allow (send_buffered < send_buffer_max, and at most STREAM_WRITE_AHEAD beyond the
// peer's limit on the stream, so that one stalled stream does not hold all the memory): their number > 0;
// IROH_ERR_AGAIN, then STREAM_WRITABLE comes; IROH_ERR_STOPPED; IROH_ERR_CLOSED after finish or reset; IROH_ERR_NOMEM.
// len 0 returns 0. IROH_ERR_ARG from this and the others when the stream has no such half.
int quic_stream_write(quic_stream *st, const void *bytes, size_t len);
// Takes all of the lent bytes (quic_sendbuf_lend) where quic_stream_write would take one: 0 or the same errors, with which
// the bytes stay the caller's.
int quic_stream_lend(quic_stream *st, const quic_loan *loan, uint32_t len);
// True when quic_stream_write would not say IROH_ERR_AGAIN; else STREAM_WRITABLE comes.
bool quic_stream_can_write(quic_stream *st);
int quic_stream_finish(quic_stream *st);                // 0, IROH_ERR_CLOSED, IROH_ERR_STOPPED
int quic_stream_reset(quic_stream *st, uint64_t code);  // 0; later calls change nothing: IROH_ERR_CLOSED

// Bytes read > 0; 0 at the end of the stream (each time); IROH_ERR_AGAIN; IROH_ERR_RESET (recv_reset_code);
// IROH_ERR_CLOSED after stop; IROH_ERR_ARG for len 0. Windows open as the application reads.
int quic_stream_read(quic_stream *st, void *out, size_t len);

// Discards what is buffered and what comes. 0, or IROH_ERR_CLOSED: stopped, reset or read to the end before.
int quic_stream_stop(quic_stream *st, uint64_t code);

// The application is done with it: an unfinished sending half is finished (reset with the stop code if the peer
// stopped), an unread receiving half is stopped with code 0. The pointer is dead afterwards.
void quic_stream_release(quic_stream *st);

void quic_stream_set_priority(quic_stream *st, int32_t priority);

// Streams with events, one at a time; its events are returned and cleared. Null when there are none. A peer's stream
// reports events only once it was accepted; those from before wait until then.
quic_stream *quic_streams_next_event(quic_streams *s, uint8_t *events);

// --- connection side: results are 0 or a transport error code (QUIC_*)

int quic_streams_on_stream(quic_streams *s, const quic_frame *f);
int quic_streams_on_reset(quic_streams *s, const quic_frame *f);
int quic_streams_on_stop_sending(quic_streams *s, const quic_frame *f);
int quic_streams_on_max_data(quic_streams *s, const quic_frame *f);
int quic_streams_on_max_stream_data(quic_streams *s, const quic_frame *f);
int quic_streams_on_max_streams(quic_streams *s, const quic_frame *f);
int quic_streams_on_blocked(quic_streams *s,
                            const quic_frame *f);  // DATA_BLOCKED, STREAM_DATA_BLOCKED, STREAMS_BLOCKED

// True when a peer stream of the kind waits to be accepted.
bool quic_streams_incoming(const quic_streams *s, bool bidi);

// True when any frame waits. Cheap: called for every packet.
bool quic_streams_want_send(const quic_streams *s);

// Adds control frames (RESET_STREAM, STOP_SENDING, MAX_*, STREAMS_BLOCKED), then STREAM frames until the packet is full
// or nothing waits. The last STREAM frame that fills the packet has no length. Round robin: a stream that sent goes to
// the end of its priority after each packet.
void quic_streams_write_control(quic_streams *s, quic_builder *b);
void quic_streams_write_data(quic_streams *s, quic_builder *b);

// A frame that quic_streams_write_* noted was acknowledged or lost. Types it does not know are ignored.
void quic_streams_acked(quic_streams *s, const quic_sent_frame *f);
void quic_streams_lost(quic_streams *s, const quic_sent_frame *f);

#endif
