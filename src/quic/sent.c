#include "quic/sent.h"

#include <assert.h>
#include <stdlib.h>

#include <iroh/error.h>

#include "base/clock.h"
#include "quic/types.h"

static quic_sent_packet *at(const quic_sent *s, uint64_t pn) {
    return &s->ring[pn & (s->capacity - 1)];
}

void quic_sent_init(quic_sent *s) {
    *s = (quic_sent){.last_skipped = QUIC_PN_NONE, .largest_acked = QUIC_PN_NONE, .loss_time = TIME_NEVER};
}

void quic_sent_dispose(quic_sent *s, pool *frames) {
    quic_sent_drop_all(s, frames, NULL, NULL);
}

void quic_sent_follow(quic_sent *s, uint32_t generation) {
    if (s->generation == generation)
        return;
    s->generation = generation;
    s->in_flight = 0;
}

void quic_sent_keep_stamps(quic_sent *s, quic_sent_loss_fn lost, void *user) {
    assert(s->capacity == 0);
    s->lost = lost;
    s->lost_user = user;
}

// --- The ring

static void move_stamps(quic_sent *s, quic_stamp *stamps, uint32_t capacity) {
    for (uint64_t pn = s->base; pn < s->next; pn++)
        stamps[pn & (capacity - 1)] = s->stamps[pn & (s->capacity - 1)];
    free(s->stamps);
    s->stamps = stamps;
}

static int resize(quic_sent *s, uint32_t capacity) {
    quic_sent_packet *ring = malloc(capacity * sizeof *ring);
    quic_stamp *stamps = s->lost != NULL ? calloc(capacity, sizeof *stamps) : NULL;
    if (ring == NULL || (s->lost != NULL && stamps == NULL)) {
        free(ring);
        free(stamps);
        return IROH_ERR_NOMEM;
    }
    if (stamps != NULL)
        move_stamps(s, stamps, capacity);
    for (uint64_t pn = s->base; pn < s->next; pn++)
        ring[pn & (capacity - 1)] = *at(s, pn);
    free(s->ring);
    s->ring = ring;
    s->capacity = capacity;
    return 0;
}

int quic_sent_reserve(quic_sent *s) {
    if (s->next - s->base < s->capacity)
        return 0;
    if (s->capacity > UINT32_MAX / 2)
        return IROH_ERR_NOMEM;
    return resize(s, s->capacity == 0 ? SENT_RING_MIN : 2 * s->capacity);
}

// Steps over what is done with at the low end. Lost packets sent before `old` are forgotten, and all of them when
// nothing is on its way any more: whatever repeated them has arrived before them.
static void trim(quic_sent *s, uint64_t old) {
    uint64_t floor =
        s->largest_acked == QUIC_PN_NONE || s->largest_acked < SENT_LOST_SPAN ? 0 : s->largest_acked - SENT_LOST_SPAN;
    while (s->base < s->next) {
        const quic_sent_packet *p = at(s, s->base);
        bool remembered = p->state == SENT_LOST && s->eliciting > 0 && p->time >= old && s->base >= floor;
        if (p->state == SENT_OUTSTANDING || remembered)
            break;
        s->base++;
    }
    if (s->first < s->base)
        s->first = s->base;
    // Staying large is fine too, so failure does not matter.
    if (s->capacity > SENT_RING_KEEP && s->next - s->base <= SENT_RING_KEEP / 4)
        (void)resize(s, SENT_RING_KEEP);
}

uint64_t quic_sent_oldest(const quic_sent *s) {
    for (uint64_t pn = s->first; s->eliciting > 0 && pn < s->next; pn++) {
        const quic_sent_packet *p = &s->ring[pn & (s->capacity - 1)];
        if (p->state == SENT_OUTSTANDING && (p->flags & SENT_ACK_ELICITING) != 0)
            return p->time;
    }
    return TIME_NEVER;
}

bool quic_sent_full(const quic_sent *s, uint64_t max) {
    return s->next - s->base >= max;
}

// --- Sending

void quic_sent_add(quic_sent *s, uint64_t now, uint16_t size, uint8_t flags, uint32_t generation,
                   quic_sent_frame *frames) {
    assert(s->next - s->base < s->capacity);
    quic_sent_follow(s, generation);
    *at(s, s->next++) = (quic_sent_packet){
        .time = now,
        .frames = frames,
        .size = size,
        .flags = flags,
        .state = SENT_OUTSTANDING,
        .generation = generation,
    };
    if ((flags & SENT_ACK_ELICITING) != 0) {
        s->eliciting++;
        s->last_eliciting_time = now;
    }
    if ((flags & SENT_IN_FLIGHT) != 0)
        s->in_flight += size;
}

quic_stamp *quic_sent_stamp(quic_sent *s) {
    return s->stamps != NULL ? &s->stamps[(s->next - 1) & (s->capacity - 1)] : NULL;
}

int quic_sent_skip(quic_sent *s) {
    int e = quic_sent_reserve(s);
    if (e != 0)
        return e;
    *at(s, s->next) = (quic_sent_packet){.time = s->last_skipped, .state = SENT_SKIPPED};
    s->last_skipped = s->next++;
    return 0;
}

// --- Packets that leave

static bool counts(const quic_sent *s, const quic_sent_packet *p) {
    return (p->flags & SENT_IN_FLIGHT) != 0 && p->generation == s->generation;
}

// No longer outstanding: takes the packet out of the sums.
static void settle(quic_sent *s, const quic_sent_packet *p) {
    s->eliciting -= (p->flags & SENT_ACK_ELICITING) != 0;
    if (counts(s, p))
        s->in_flight -= p->size;
}

static void report(quic_sent_packet *p, uint64_t pn, pool *frames, quic_sent_frame_fn fn, void *user) {
    quic_sent_frame *f = p->frames;
    p->frames = NULL;
    while (f != NULL) {
        quic_sent_frame *next = f->next;
        if (fn != NULL)
            fn(user, f, pn);
        pool_give(frames, f);
        f = next;
    }
}

// --- Acknowledgements

// Whether any range covers a skipped number. Both are walked from the highest down.
static bool covers_skipped(const quic_sent *s, const quic_ack_frame *ack) {
    quic_ack_iter i = {0};
    uint64_t low, high, skipped = s->last_skipped;
    while (skipped != QUIC_PN_NONE && quic_ack_next(ack, &i, &low, &high)) {
        while (skipped != QUIC_PN_NONE && skipped > high)
            skipped = skipped >= s->base ? at(s, skipped)->time : QUIC_PN_NONE;
        if (skipped != QUIC_PN_NONE && skipped >= low)
            return true;
    }
    return false;
}

// One application of an ACK frame.
typedef struct ack_run {
    quic_sent *s;
    pool *frames;
    quic_sent_frame_fn acked;
    void *user;
    quic_ack_result *result;
} ack_run;

// Numbers come from the highest down, so of those sent at one time the first is the latest.
static void take_stamp(const ack_run *run, const quic_sent_packet *p, uint64_t pn) {
    quic_ack_result *r = run->result;
    if (r->stamped && p->time <= r->stamp_time)
        return;
    r->stamped = true;
    r->stamp = run->s->stamps[pn & (run->s->capacity - 1)];
    r->stamp_time = p->time;
}

// The estimates of the path: only packets that were sent to its present address count.
static void count_for_path(const ack_run *run, const quic_sent_packet *p, uint64_t pn, uint64_t largest) {
    quic_ack_result *r = run->result;
    if (p->generation != run->s->generation)
        return;
    if (counts(run->s, p)) {
        r->acked_bytes += p->size;
        if (run->s->stamps != NULL)
            take_stamp(run, p, pn);
    }
    r->acked_ect += (p->flags & SENT_ECT) != 0;
    if (pn == largest) {
        r->largest_newly_acked = true;
        r->largest_time = p->time;
        r->largest_eliciting = (p->flags & SENT_ACK_ELICITING) != 0;
    }
    if ((p->flags & SENT_MTU_PROBE) != 0 && p->size > r->mtu_probe)
        r->mtu_probe = p->size;
    // Numbers come from the highest down.
    if (p->size > r->largest_size) {
        r->largest_size = p->size;
        r->largest_size_pn = pn;
    }
}

static void acknowledge(const ack_run *run, quic_sent_packet *p, uint64_t pn, uint64_t largest) {
    quic_ack_result *r = run->result;
    if (p->state == SENT_LOST) {
        r->spurious += (p->flags & (SENT_ACK_ELICITING | SENT_IN_FLIGHT)) != 0;
        return;
    }
    if (r->acked_packets++ == 0 || p->time > r->latest_time) {
        r->latest_time = p->time;
        r->app_limited = (p->flags & SENT_APP_LIMITED) != 0;
    }
    r->acked_eliciting |= (p->flags & SENT_ACK_ELICITING) != 0;
    count_for_path(run, p, pn, largest);
    settle(run->s, p);
    report(p, pn, run->frames, run->acked, run->user);
}

// Everything in [low, high] is gone afterwards, so each slot that is touched on the way can say so at once.
static void acknowledge_range(const ack_run *run, uint64_t low, uint64_t high, uint64_t largest) {
    quic_sent *s = run->s;
    if (low < s->base)
        low = s->base;
    for (uint64_t end = high + 1; end > low;) {
        uint64_t pn = end - 1;
        quic_sent_packet *p = at(s, pn);
        end = p->state == SENT_GONE ? p->time : pn;
        if (p->state != SENT_GONE)
            acknowledge(run, p, pn, largest);
        p->state = SENT_GONE;
        p->time = end < low ? end : low;
    }
}

int quic_sent_ack(quic_sent *s, const quic_ack_frame *ack, uint32_t generation, pool *frames, quic_sent_frame_fn acked,
                  void *user, quic_ack_result *result) {
    *result = (quic_ack_result){0};
    if (ack->largest >= s->next || covers_skipped(s, ack))
        return QUIC_PROTOCOL_VIOLATION;
    quic_sent_follow(s, generation);
    ack_run run = {.s = s, .frames = frames, .acked = acked, .user = user, .result = result};
    quic_ack_iter i = {0};
    uint64_t low, high;
    while (quic_ack_next(ack, &i, &low, &high) && high >= s->base)
        acknowledge_range(&run, low, high, ack->largest);
    if (s->largest_acked == QUIC_PN_NONE || ack->largest > s->largest_acked)
        s->largest_acked = ack->largest;
    trim(s, 0);
    return 0;
}

// --- Loss

// One pass of loss detection. A stretch is a series of lost packets without an acknowledged one among them.
typedef struct loss_run {
    quic_sent *s;
    pool *frames;
    const quic_loss_listener *listener;
    quic_loss_result *result;
    uint64_t now;
    uint64_t stretch;  // sending time of the first ack-eliciting packet of this stretch
    bool in_stretch;
} loss_run;

static void count_congestion(loss_run *run, const quic_sent_packet *p, uint64_t pn) {
    quic_loss_result *r = run->result;
    r->lost_bytes += p->size;
    if (p->time > r->largest_lost_time)
        r->largest_lost_time = p->time;
    if (p->size >= r->largest_lost_size) {
        r->largest_lost_size = p->size;
        r->largest_lost_pn = pn;
    }
    if ((p->flags & SENT_ACK_ELICITING) == 0)
        return;
    if (!run->in_stretch)
        run->stretch = p->time;
    run->in_stretch = true;
    if (r->last_lost_time == 0 || p->time - run->stretch > r->last_lost_time - r->first_lost_time) {
        r->first_lost_time = run->stretch;
        r->last_lost_time = p->time;
    }
}

static void report_stamped(const loss_run *run, const quic_sent_packet *p, uint64_t pn) {
    const quic_sent *s = run->s;
    quic_rate_loss loss = {
        .now = run->now,
        .sent_time = p->time,
        .pn = pn,
        .size = p->size,
        .stamp = &s->stamps[pn & (s->capacity - 1)],
    };
    s->lost(s->lost_user, &loss);
}

static void report_packet(const loss_run *run, const quic_sent_packet *p, uint64_t pn) {
    const quic_loss_listener *l = run->listener;
    run->result->lost_packets++;
    if (l->packet != NULL)
        l->packet(l->user, p, pn, run->s->largest_acked - pn < SENT_PACKET_THRESHOLD);
}

static void lose(loss_run *run, quic_sent_packet *p, uint64_t pn) {
    quic_loss_result *r = run->result;
    settle(run->s, p);
    p->state = SENT_LOST;
    if ((p->flags & (SENT_ACK_ELICITING | SENT_IN_FLIGHT)) != 0)
        report_packet(run, p, pn);
    if (counts(run->s, p)) {
        if ((p->flags & SENT_MTU_PROBE) == 0) {
            count_congestion(run, p, pn);
            if (run->s->stamps != NULL)
                report_stamped(run, p, pn);
        } else if (p->size > r->mtu_probe) {
            r->mtu_probe = p->size;
        }
    }
    report(p, pn, run->frames, run->listener->frame, run->listener->user);
}

// When the packet is to be given up at the latest; 0: now.
static uint64_t lost_at(const quic_sent *s, const quic_sent_packet *p, uint64_t pn, uint64_t now,
                        uint64_t time_threshold) {
    uint64_t by_time = time_add(p->time, time_threshold);
    return s->largest_acked - pn >= SENT_PACKET_THRESHOLD || by_time <= now ? 0 : by_time;
}

void quic_sent_detect_loss(quic_sent *s, uint64_t now, uint64_t time_threshold, uint32_t generation, pool *frames,
                           const quic_loss_listener *listener, quic_loss_result *result) {
    *result = (quic_loss_result){0};
    quic_sent_follow(s, generation);
    s->loss_time = TIME_NEVER;
    if (s->largest_acked == QUIC_PN_NONE)
        return;
    loss_run run = {.s = s, .frames = frames, .listener = listener, .result = result, .now = now};
    uint64_t first = QUIC_PN_NONE;  // that stays outstanding
    for (uint64_t pn = s->first; pn < s->largest_acked; pn++) {
        quic_sent_packet *p = at(s, pn);
        run.in_stretch &= p->state != SENT_GONE;
        if (p->state != SENT_OUTSTANDING)
            continue;
        uint64_t when = lost_at(s, p, pn, now, time_threshold);
        if (when == 0) {
            lose(&run, p, pn);
            continue;
        }
        if (first == QUIC_PN_NONE)
            first = pn;
        // Acknowledgements alone need no timer to be forgotten.
        if ((p->flags & (SENT_ACK_ELICITING | SENT_IN_FLIGHT)) != 0)
            s->loss_time = time_min(s->loss_time, when);
    }
    if (first != QUIC_PN_NONE)
        s->first = first;
    else if (s->first < s->largest_acked)
        s->first = s->largest_acked;
    uint64_t memory = SENT_LOST_DELAYS * time_threshold;
    trim(s, now > memory ? now - memory : 0);
}

void quic_sent_drop_all(quic_sent *s, pool *frames, quic_sent_frame_fn lost, void *user) {
    for (uint64_t pn = s->first; pn < s->next; pn++)
        report(at(s, pn), pn, frames, lost, user);
    free(s->ring);
    free(s->stamps);
    s->ring = NULL;
    s->stamps = NULL;
    s->capacity = 0;
    s->base = s->first = s->next;
    s->eliciting = s->in_flight = 0;
    s->last_eliciting_time = 0;
    s->loss_time = TIME_NEVER;
}

bool quic_sent_probe_oldest(quic_sent *s, pool *frames, quic_sent_frame_fn lost, void *user) {
    for (uint64_t pn = s->first; pn < s->next; pn++) {
        quic_sent_packet *p = at(s, pn);
        if (p->state != SENT_OUTSTANDING || (p->flags & SENT_ACK_ELICITING) == 0 || p->frames == NULL)
            continue;
        report(p, pn, frames, lost, user);
        return true;
    }
    return false;
}

void quic_sent_probe_all(quic_sent *s, pool *frames, quic_sent_frame_fn lost, void *user) {
    for (uint64_t pn = s->first; pn < s->next; pn++) {
        quic_sent_packet *p = at(s, pn);
        if (p->state == SENT_OUTSTANDING && (p->flags & SENT_ACK_ELICITING) != 0)
            report(p, pn, frames, lost, user);
    }
}
