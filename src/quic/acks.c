#include "quic/acks.h"

#include "base/clock.h"
#include "quic/frame.h"

#define ECN_COUNTS 3

void quic_acks_init(quic_acks *a) {
    *a = (quic_acks){
        .received = RANGES_INIT,
        .largest = QUIC_PN_NONE,
        .deadline = TIME_NEVER,
        .ack_largest_sent = QUIC_PN_NONE,
    };
}

void quic_acks_dispose(quic_acks *a) {
    ranges_dispose(&a->received);
}

bool quic_acks_is_duplicate(const quic_acks *a, uint64_t pn) {
    return pn < a->floor || ranges_contains(&a->received, pn);
}

// --- Receiving

// Forgets ranges until there is room for one more.
static void make_room(quic_acks *a) {
    while (ranges_count(&a->received) > ACKS_RANGES_MAX) {
        a->floor = ranges_items(&a->received)->end;
        ranges_drop_first(&a->received);
    }
}

// The lowest number in [from, to) that has not arrived, or `to`.
static uint64_t first_missing(const quic_acks *a, uint64_t from, uint64_t to) {
    if (from >= to)
        return to;
    uint64_t missing = time_max(from, a->floor);
    const range *r = ranges_items(&a->received);
    for (size_t i = 0; i < ranges_count(&a->received) && r[i].start <= missing; i++)
        missing = time_max(missing, r[i].end);
    return missing < to ? missing : to;
}

// Whether the packet, which is recorded already, shows a gap worth telling at once (RFC 9000, section 13.2.1; ack
// frequency draft, section 6.2). `before` is next_eliciting without it.
static bool out_of_order(const quic_acks *a, uint64_t pn, uint64_t before, uint32_t threshold) {
    if (threshold == 0)
        return false;
    if (threshold == 1)
        return pn < before || first_missing(a, before, pn) < pn;
    // Missing numbers up to here could be told lost from the latest ACK.
    uint64_t reported = 0;
    if (a->ack_largest_sent != QUIC_PN_NONE && a->ack_largest_sent + 1 > threshold)
        reported = a->ack_largest_sent + 1 - threshold;
    uint64_t top = a->next_eliciting - 1;
    return top >= threshold && first_missing(a, reported, top) <= top - threshold;
}

static void count_ecn(quic_acks *a, uint8_t ecn) {
    a->ect0 += ecn == QUIC_ECN_ECT0;
    a->ect1 += ecn == QUIC_ECN_ECT1;
    a->ce += ecn == QUIC_ECN_CE;
}

int quic_acks_receive(quic_acks *a, uint64_t pn, bool eliciting, uint8_t ecn, uint64_t now,
                      const quic_ack_policy *policy) {
    int e = ranges_add(&a->received, pn, pn + 1);
    if (e != 0)
        return e;
    make_room(a);
    count_ecn(a, ecn);
    if (a->largest == QUIC_PN_NONE || pn > a->largest) {
        a->largest = pn;
        a->largest_time = now;
    }
    if (!eliciting) {
        a->others++;
        return 0;
    }
    uint64_t before = a->next_eliciting;
    a->next_eliciting = time_max(before, pn + 1);
    a->eliciting++;
    bool at_once =
        a->eliciting > policy->threshold || ecn == QUIC_ECN_CE || out_of_order(a, pn, before, policy->reordering);
    a->deadline = at_once ? 0 : time_min(a->deadline, time_add(now, policy->max_delay));
    return 0;
}

// --- Sending

void quic_acks_force(quic_acks *a) {
    a->deadline = 0;
}

bool quic_acks_pending(const quic_acks *a, uint64_t now) {
    return a->largest != QUIC_PN_NONE && a->deadline <= now;
}

bool quic_acks_useful(const quic_acks *a) {
    return a->largest != QUIC_PN_NONE && (a->eliciting > 0 || a->others > ACKS_OTHERS_MAX || a->deadline == 0);
}

static uint64_t encoded_delay(const quic_acks *a, uint64_t now, unsigned exponent) {
    uint64_t delay = now > a->largest_time ? (now - a->largest_time) / NS_PER_US >> exponent : 0;
    return delay <= VARINT_MAX ? delay : VARINT_MAX;
}

// Gap and length of range `i` as they stand behind range `i + 1` (RFC 9000, section 19.3.1).
static void pair_of(const range *r, size_t i, uint64_t *gap, uint64_t *length) {
    *gap = r[i + 1].start - r[i].end - 1;
    *length = r[i].end - r[i].start - 1;
}

// How many ranges, from the newest down, fit beside `fixed` bytes of other fields; 0: not even one.
static size_t ranges_that_fit(const quic_acks *a, size_t fixed, size_t room) {
    const range *r = ranges_items(&a->received);
    size_t count = ranges_count(&a->received), i = count - 1;
    uint64_t gap, length;
    fixed += varint_size(r[i].end - r[i].start - 1);
    if (fixed > room)
        return 0;
    for (; i > 0; i--) {
        pair_of(r, i - 1, &gap, &length);
        fixed += varint_size(gap) + varint_size(length);
        if (fixed > room)
            break;
    }
    return count - i;
}

static void write_ranges(const quic_acks *a, writer *w, size_t count) {
    const range *r = ranges_items(&a->received);
    size_t i = ranges_count(&a->received) - 1;
    uint64_t gap, length;
    writer_varint(w, count - 1);
    writer_varint(w, r[i].end - r[i].start - 1);
    for (; count > 1; count--) {
        pair_of(r, --i, &gap, &length);
        writer_varint(w, gap);
        writer_varint(w, length);
    }
}

bool quic_acks_write(quic_acks *a, writer *w, uint64_t now, unsigned exponent, bool multipath, uint32_t path) {
    if (a->largest == QUIC_PN_NONE || w->failed)
        return false;
    const uint64_t ecn[ECN_COUNTS] = {a->ect0, a->ect1, a->ce};
    bool with_ecn = (a->ect0 | a->ect1 | a->ce) != 0;
    uint64_t type = multipath ? FRAME_PATH_ACK : FRAME_ACK;
    type += with_ecn;
    uint64_t delay = encoded_delay(a, now, exponent);
    // All fields but the ranges; the range count is below 64.
    size_t fixed = varint_size(type) + (multipath ? varint_size(path) : 0) + varint_size(a->largest) +
                   varint_size(delay) + varint_size(ACKS_RANGES_MAX - 1);
    for (size_t i = 0; with_ecn && i < ECN_COUNTS; i++)
        fixed += varint_size(ecn[i]);
    size_t count = ranges_that_fit(a, fixed, writer_left(w));
    if (count == 0)
        return false;
    writer_varint(w, type);
    if (multipath)
        writer_varint(w, path);
    writer_varint(w, a->largest);
    writer_varint(w, delay);
    write_ranges(a, w, count);
    for (size_t i = 0; with_ecn && i < ECN_COUNTS; i++)
        writer_varint(w, ecn[i]);
    a->eliciting = a->others = 0;
    a->deadline = TIME_NEVER;
    a->ack_largest_sent = a->largest;
    return true;
}

void quic_acks_confirmed(quic_acks *a, uint64_t largest) {
    if (a->largest == QUIC_PN_NONE || largest < a->floor)
        return;
    uint64_t end = largest < a->largest ? largest + 1 : a->largest;
    // Cutting from 0 splits nothing, so it needs no memory.
    (void)ranges_remove(&a->received, 0, end);
    a->floor = time_max(a->floor, end);
}
