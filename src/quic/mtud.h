// Datagram packetization layer path MTU discovery of one path (RFC 8899; RFC 9000, section 14.3): a binary search by
// padded PING packets up to what Ethernet carries, one probe of the limit itself where that is larger (jumbo frames, the
// loopback device), and a black hole detector that falls back to the minimum.
#ifndef QUIC_MTUD_H
#define QUIC_MTUD_H

#include <stdbool.h>
#include <stdint.h>

#define MTUD_MIN 1200
#define MTUD_MAX_DEFAULT 1452  // Ethernet's 1500 less IPv6 and UDP
#define MTUD_JUMBO_MIN 2048    // where they begin
#define MTUD_MAX_JUMBO 8848    // what jumbo frames carry in a tunnel or a cloud's network: 8896 less IPv6 and UDP
#define MTUD_STEP 20           // the search ends when less than this is to be gained

typedef struct quic_mtud {
    uint16_t current;    // bytes of UDP payload that are known to pass
    uint16_t upper;      // largest to try: min(own limit, peer's max_udp_payload_size)
    uint16_t low, high;  // search interval: low passes, high + 1 does not (or is not allowed)
    uint16_t probe;      // size of the probe in flight, 0: none
    uint8_t losses;      // of this size
    bool searching;
    uint64_t next_search;  // ns: when the search starts (again), TIME_NEVER: not
    // Black hole detection: bursts of losses of packets above the minimum without a later delivery of their size.
    uint8_t suspicious;          // bursts
    uint64_t burst_pn;           // number of the latest loss counted
    uint64_t delivered_size_pn;  // highest number delivered with `current` bytes
} quic_mtud;

void quic_mtud_init(quic_mtud *m, uint16_t upper);  // limits below MTUD_MIN count as MTUD_MIN

// After the handshake is confirmed and the path validated, and whenever there is reason to hope again. Does nothing
// while a search runs or when less than MTUD_STEP is to be gained.
void quic_mtud_start(quic_mtud *m, uint64_t now);

// The size of a probe to send now, 0: none.
uint16_t quic_mtud_next_probe(const quic_mtud *m, uint64_t now);
void quic_mtud_probe_sent(quic_mtud *m, uint16_t size);
// A probe arrived: true when `current` grew. Lost: the third time in a row the size counts as too large; above
// MTUD_MAX_DEFAULT the first time, since such a size is only a guess.
bool quic_mtud_probe_acked(quic_mtud *m, uint64_t now, uint16_t size);
void quic_mtud_probe_lost(quic_mtud *m, uint64_t now, uint16_t size);

// Feed of ordinary packets: the largest acknowledged size and its number; a loss of `size` bytes with number `pn`. When an
// acknowledgement brings both, the delivery comes first.
void quic_mtud_acked(quic_mtud *m, uint64_t pn, uint16_t size);
// True when a black hole was found: `current` is MTUD_MIN again, the search pauses for 60 s.
bool quic_mtud_lost(quic_mtud *m, uint64_t now, uint64_t pn, uint16_t size);

// The peer's limit became known. A running search starts over within it; one that is done is not resumed by it.
void quic_mtud_set_upper(quic_mtud *m, uint16_t upper);
uint64_t quic_mtud_deadline(const quic_mtud *m);  // ns of the next search, TIME_NEVER: none

#endif
