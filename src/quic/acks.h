// What we received in one packet number space and when to say so (RFC 9000, section 13.2; ack frequency draft).
//
// Exactly the packets that arrived are acknowledged: peers skip numbers on purpose. At most ACKS_RANGES_MAX ranges are
// kept, the oldest are forgotten; numbers below the forgotten ones count as duplicates.
#ifndef QUIC_ACKS_H
#define QUIC_ACKS_H

#include "base/bytes.h"
#include "base/ranges.h"
#include "quic/types.h"

#define ACKS_RANGES_MAX 64
#define ACKS_OTHERS_MAX 10  // packets that do not elicit, after more of which an ACK is worth adding

typedef struct quic_acks {
    ranges received;            // at most ACKS_RANGES_MAX
    uint64_t floor;             // numbers below count as received
    uint64_t largest;           // QUIC_PN_NONE: nothing yet; always in `received`
    uint64_t largest_time;      // ns, when `largest` arrived
    uint64_t next_eliciting;    // one past the largest ack-eliciting number, 0: none yet
    uint64_t ect0, ect1, ce;    // packets by codepoint, over the life of the space
    uint32_t eliciting;         // ack-eliciting packets since the last ACK was sent
    uint32_t others;            // packets that do not elicit since then
    uint64_t deadline;          // when an ACK must go, TIME_NEVER: none pending; 0: at once
    uint64_t ack_largest_sent;  // largest in the latest ACK sent, QUIC_PN_NONE: none
} quic_acks;

// When to acknowledge: per connection, from defaults or the peer's ACK_FREQUENCY.
typedef struct quic_ack_policy {
    uint32_t threshold;  // ack-eliciting packets that may go unacknowledged; exceeding it acks at once
    uint32_t
        reordering;  // 0: ignore, 1: at every gap and late packet, n: at gaps of n (ack frequency draft, section 6.2)
    uint64_t max_delay;  // ns
} quic_ack_policy;

void quic_acks_init(quic_acks *a);
void quic_acks_dispose(quic_acks *a);

bool quic_acks_is_duplicate(const quic_acks *a, uint64_t pn);

// Records a packet that was opened and is no duplicate, and settles when to acknowledge it: at once when the policy, a
// gap or a congestion mark says so, else within max_delay; never for a packet that does not elicit. `ecn` is QUIC_ECN_*.
// 0 or IROH_ERR_NOMEM with nothing changed.
int quic_acks_receive(quic_acks *a, uint64_t pn, bool eliciting, uint8_t ecn, uint64_t now,
                      const quic_ack_policy *policy);

// IMMEDIATE_ACK: an ACK is due at once, or as soon as anything has been received.
void quic_acks_force(quic_acks *a);

// True when an ACK must be sent now, in a packet of its own if need be.
bool quic_acks_pending(const quic_acks *a, uint64_t now);

// True when an ACK has something to say, so that it is worth adding to a packet that is sent anyway.
bool quic_acks_useful(const quic_acks *a);

// Writes ACK (or PATH_ACK for `path` when `multipath`), with ECN counts if there are any; as many of the newest ranges
// as fit. Its delay is the time since the largest number arrived, in units of 2^exponent us. Marks it as sent. False, and
// nothing written or changed, when nothing was received or not even one range fits.
bool quic_acks_write(quic_acks *a, writer *w, uint64_t now, unsigned exponent, bool multipath, uint32_t path);

// An ACK of ours up to `largest` was acknowledged: ranges at or below it need no repeating, and what is missing among
// them counts as a duplicate should it still come. The largest number received stays, for the ACKs to come.
void quic_acks_confirmed(quic_acks *a, uint64_t largest);

#endif
