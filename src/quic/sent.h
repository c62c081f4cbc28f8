// Sent packets of one packet number space, and what each carried, until acknowledged or lost (RFC 9002, section 6 and
// appendix A).
//
// A ring indexed by packet number: adding is O(1), an acknowledgement touches only the numbers it newly covers, and
// memory follows the packets in flight. Numbers that were skipped on purpose stay as markers, so that a peer that
// acknowledges blindly is found out; the latest one is remembered even when the ring has moved on. A lost packet stays
// as a marker for a while, because a late acknowledgement tells that it was not lost at all. Recording is split from
// building: the packet builder chains `quic_sent_frame`s while it writes and hands the chain over with the packet.
//
// A path whose congestion controller measures delivery rates asks for a stamp beside each packet; they live in a ring of
// their own, so that others do not pay for them.
//
// Every run of numbers that are done with knows where it begins, so that an acknowledgement, which repeats what earlier
// ones said, steps over such a run at once.
#ifndef QUIC_SENT_H
#define QUIC_SENT_H

#include "base/pool.h"
#include "quic/frame.h"
#include "quic/rate.h"

// What must happen when the packet is acknowledged or lost; one per retransmittable frame.
typedef struct quic_sent_frame {
    struct quic_sent_frame *next;
    uint64_t type;    // FRAME_*, STREAM without flag bits
    uint64_t id;      // stream id; sequence of connection ids; path id; ACK: largest acknowledged
    uint64_t offset;  // STREAM, CRYPTO: first byte; others: the value that was announced
    uint32_t len;     // STREAM, CRYPTO: bytes
    bool fin;         // STREAM
} quic_sent_frame;

enum {
    SENT_ACK_ELICITING = 1,
    SENT_IN_FLIGHT = 2,  // counts for congestion control
    SENT_MTU_PROBE = 4,  // its loss says nothing about congestion
    SENT_ECT = 8,
    SENT_APP_LIMITED = 16,
    SENT_EARLY = 32,  // 0-RTT
};

typedef struct quic_sent_packet {
    uint64_t time;            // ns; SENT_GONE: a number from which on all up to this one are gone;
                              // SENT_SKIPPED: the number skipped before it, QUIC_PN_NONE: none
    quic_sent_frame *frames;  // owned
    uint16_t size;            // bytes of the packet, tag included
    uint8_t flags;            // SENT_*
    uint8_t state;            // SENT_GONE.. below
    uint32_t generation;      // of the path when it was sent: older ones do not count for the new address
} quic_sent_packet;

enum { SENT_GONE = 0, SENT_SKIPPED = 1, SENT_OUTSTANDING = 2, SENT_LOST = 3 };

#define SENT_RING_MIN 16         // slots of a new ring
#define SENT_RING_KEEP 256       // slots that an idle space may keep
#define SENT_LOST_DELAYS 4       // a lost packet is remembered until it is this many time thresholds old,
#define SENT_LOST_SPAN 4096      // or this far below the largest acknowledged
#define SENT_PACKET_THRESHOLD 3  // RFC 9002, section 6.1.1

// Called for each lost packet that has a stamp and counts as lost_bytes do, in rising order.
typedef void (*quic_sent_loss_fn)(void *user, const quic_rate_loss *loss);

typedef struct quic_sent {
    quic_sent_packet *ring;
    quic_stamp *stamps;      // beside the ring, null: none are kept
    quic_sent_loss_fn lost;  // null: no stamps are wanted
    void *lost_user;
    uint32_t capacity;             // power of two, or 0
    uint32_t generation;           // latest one seen; in_flight counts its packets only
    uint64_t base;                 // lowest number in the ring
    uint64_t first;                // no packet below it is outstanding; base..next
    uint64_t next;                 // number of the next packet to be sent
    uint64_t last_skipped;         // QUIC_PN_NONE: none; may be below base
    uint64_t largest_acked;        // QUIC_PN_NONE: none
    uint64_t last_eliciting_time;  // ns when the latest ack-eliciting packet was sent, 0: none
    uint64_t loss_time;  // when the earliest outstanding packet will be declared lost by time, TIME_NEVER: none
    uint64_t eliciting;  // ack-eliciting packets outstanding
    uint64_t in_flight;  // bytes outstanding that count for congestion control, of this generation
} quic_sent;

void quic_sent_init(quic_sent *s);
void quic_sent_dispose(quic_sent *s, pool *frames);  // frees everything without reporting it

// The path's generation changed: bytes in flight to the old address no longer count. The functions below that take a
// generation do this by themselves.
void quic_sent_follow(quic_sent *s, uint32_t generation);

// Keeps a stamp beside each packet from now on, which must be before the first one is sent, and reports each loss.
void quic_sent_keep_stamps(quic_sent *s, quic_sent_loss_fn lost, void *user);

// Makes room for one more packet; after it one quic_sent_add cannot fail. 0 or IROH_ERR_NOMEM.
int quic_sent_reserve(quic_sent *s);

// Records packet number s->next, which then grows by one. Takes the frame chain. Packets that are neither
// ack-eliciting nor in flight are recorded too, so that acknowledging them is legal, but cost nothing later.
void quic_sent_add(quic_sent *s, uint64_t now, uint16_t size, uint8_t flags, uint32_t generation,
                   quic_sent_frame *frames);

// Where the stamp of the packet that was added last goes: to be filled in at once if the packet is in flight. Null when
// none are kept.
quic_stamp *quic_sent_stamp(quic_sent *s);

// Leaves number s->next out on purpose. 0 or IROH_ERR_NOMEM.
int quic_sent_skip(quic_sent *s);

// What an acknowledgement brought. Packets that had been declared lost are not among the newly acknowledged.
typedef struct quic_ack_result {
    uint64_t acked_packets;    // newly acknowledged
    uint64_t acked_bytes;      // of them, counted for congestion control and sent in the current generation
    uint64_t acked_ect;        // newly acknowledged packets that were sent with ECT in the current generation
    bool acked_eliciting;      // at least one was ack-eliciting
    bool largest_newly_acked;  // the frame's largest number was among them, and of the current generation
    uint64_t largest_time;     // when that one was sent: an RTT sample if acked_eliciting (RFC 9002, section 5.1)
    bool largest_eliciting;
    uint64_t latest_time;      // latest sending time among the newly acknowledged
    bool app_limited;          // the latest of them was sent while the application limited the rate
    uint64_t spurious;         // packets acknowledged after they had been declared lost
    uint64_t mtu_probe;        // size of the largest acknowledged MTU probe, 0: none; current generation
    uint64_t largest_size;     // size of the largest acknowledged packet, 0: none; current generation
    uint64_t largest_size_pn;  // the highest number of that size
    bool stamped;              // at least one of acked_bytes has a stamp:
    quic_stamp stamp;          // of the one that was sent latest,
    uint64_t stamp_time;       // at this time
} quic_ack_result;

// Called for each frame of a packet that was acknowledged or lost, before it is freed.
typedef void (*quic_sent_frame_fn)(void *user, const quic_sent_frame *f, uint64_t pn);

// Applies a decoded ACK frame. 0, or QUIC_PROTOCOL_VIOLATION when it covers a number that was never sent (or was
// skipped); then nothing was changed. `*result` is overwritten.
int quic_sent_ack(quic_sent *s, const quic_ack_frame *ack, uint32_t generation, pool *frames, quic_sent_frame_fn acked,
                  void *user, quic_ack_result *result);

// What loss detection found. Packets that neither elicit nor are in flight are forgotten silently.
typedef struct quic_loss_result {
    uint64_t lost_packets;                     // of any kind and generation
    uint64_t lost_bytes;                       // counted for congestion control (no MTU probes), current generation
    uint64_t largest_lost_time;                // latest sending time among those: starts a congestion event
    uint64_t first_lost_time, last_lost_time;  // longest span between two ack-eliciting ones of those, without an
                                               // acknowledged packet between them (RFC 9002, section 7.6)
    uint64_t mtu_probe;                        // size of a lost MTU probe, 0: none; current generation
    uint64_t largest_lost_size;                // among those of lost_bytes
    uint64_t largest_lost_pn;                  // the highest number of that size
} quic_loss_result;

// Who wants to know what was lost: each packet that counts in lost_packets, in rising order, and after it its frames. Either
// may be null. `by_time`: not because SENT_PACKET_THRESHOLD later ones arrived.
typedef struct quic_loss_listener {
    void (*packet)(void *user, const quic_sent_packet *p, uint64_t pn, bool by_time);
    quic_sent_frame_fn frame;
    void *user;
} quic_loss_listener;

// Declares lost what is 3 packets or `time_threshold` ns older than the largest acknowledged, and sets loss_time
// (RFC 9002, section 6.1). `*result` is overwritten.
void quic_sent_detect_loss(quic_sent *s, uint64_t now, uint64_t time_threshold, uint32_t generation, pool *frames,
                           const quic_loss_listener *listener, quic_loss_result *result);

// Declares everything outstanding lost (keys discarded, 0-RTT rejected, path gone, Retry) and gives the memory back.
// Nothing counts as congestion. `lost` may be null: then the frames are only freed.
void quic_sent_drop_all(quic_sent *s, pool *frames, quic_sent_frame_fn lost, void *user);

// Offers the frames of the oldest outstanding ack-eliciting packet for a probe: they are reported through `lost` as if
// lost, while the packet stays outstanding without frames. False when there is none with frames.
bool quic_sent_probe_oldest(quic_sent *s, pool *frames, quic_sent_frame_fn lost, void *user);

// The same for all of them at once: another path is to carry what they carried.
void quic_sent_probe_all(quic_sent *s, pool *frames, quic_sent_frame_fn lost, void *user);

// When the oldest outstanding ack-eliciting packet was sent, ns; TIME_NEVER: there is none.
uint64_t quic_sent_oldest(const quic_sent *s);

// True when `max` or more numbers are remembered, from the oldest outstanding packet to the next: back-pressure for
// memory, for a peer that never acknowledges it.
bool quic_sent_full(const quic_sent *s, uint64_t max);

#endif
