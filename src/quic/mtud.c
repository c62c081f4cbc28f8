// The search: halve the interval between what passes and what may pass; when a half is not worth a probe any more, the
// end of the interval itself gets one, because it is the likeliest answer. Sizes above Ethernet's are no interval: paths
// that carry jumbo frames mostly carry all of the limit, and others should not pay for the hope.
#include "quic/mtud.h"

#include "base/clock.h"

#define PROBE_LOSSES 3  // of one size, until it counts as too large
#define SEARCH_INTERVAL (600 * NS_PER_S)
#define BLACK_HOLE_PAUSE (60 * NS_PER_S)
#define SUSPICIOUS_MAX 3  // bursts that may be lost without a black hole

static uint16_t at_least_minimum(uint16_t size) {
    return size > MTUD_MIN ? size : MTUD_MIN;
}

static bool worth_searching(uint16_t low, uint16_t high) {
    return high >= low + MTUD_STEP;
}

static bool is_jumbo(uint16_t size) {
    return size > MTUD_MAX_DEFAULT;
}

// The end of the interval that is searched from the present size on. A path that carries less than Ethernet does not
// get a probe above it.
static uint16_t goal(const quic_mtud *m) {
    return is_jumbo(m->upper) && m->current < MTUD_MAX_DEFAULT ? MTUD_MAX_DEFAULT : m->upper;
}

void quic_mtud_init(quic_mtud *m, uint16_t upper) {
    *m = (quic_mtud){
        .current = MTUD_MIN,
        .upper = at_least_minimum(upper),
        .low = MTUD_MIN,
        .high = MTUD_MIN,
        .next_search = TIME_NEVER,
    };
}

// Begins when its time has come, with the first probe.
static void schedule(quic_mtud *m, uint64_t at) {
    m->searching = false;
    m->next_search = worth_searching(m->current, goal(m)) ? at : TIME_NEVER;
}

void quic_mtud_start(quic_mtud *m, uint64_t now) {
    if (!m->searching)
        schedule(m, now);
}

uint16_t quic_mtud_next_probe(const quic_mtud *m, uint64_t now) {
    if (m->probe != 0 || (!m->searching && now < m->next_search))
        return 0;
    uint16_t low = m->searching ? m->low : m->current;
    uint16_t high = m->searching ? m->high : goal(m);
    uint16_t middle = (uint16_t)((low + high) / 2);
    if (is_jumbo(high))
        return high;
    return !worth_searching(low, middle) && high == goal(m) ? high : middle;
}

void quic_mtud_probe_sent(quic_mtud *m, uint16_t size) {
    m->probe = size;
    if (m->searching)
        return;
    m->searching = true;
    m->next_search = TIME_NEVER;
    m->losses = 0;
    m->low = m->current;
    m->high = goal(m);
}

static void narrowed(quic_mtud *m, uint64_t now) {
    m->probe = 0;
    m->losses = 0;
    if (m->searching && !worth_searching(m->low, m->high))
        schedule(m, time_add(now, SEARCH_INTERVAL));
}

bool quic_mtud_probe_acked(quic_mtud *m, uint64_t now, uint16_t size) {
    if (size > m->upper || size <= m->current || (size != m->probe && !m->searching)) {
        // Of another time: before the limit sank, a larger one passed, or a black hole opened.
        if (size == m->probe)
            narrowed(m, now);
        return false;
    }
    m->current = size;
    m->low = size;
    m->suspicious = 0;
    // All that Ethernet carries: the next interval begins at once.
    if (m->searching && size == MTUD_MAX_DEFAULT)
        m->high = m->upper;
    narrowed(m, now);
    return true;
}

void quic_mtud_probe_lost(quic_mtud *m, uint64_t now, uint16_t size) {
    if (m->probe == 0 || size != m->probe)
        return;
    m->probe = 0;
    if (++m->losses < PROBE_LOSSES && !is_jumbo(size))
        return;
    if (is_jumbo(size))
        m->high = m->low;
    else if (size <= m->high)
        m->high = (uint16_t)(size - 1);
    narrowed(m, now);
}

void quic_mtud_acked(quic_mtud *m, uint64_t pn, uint16_t size) {
    if (size < m->current)
        return;
    if (pn > m->delivered_size_pn)
        m->delivered_size_pn = pn;
    if (pn > m->burst_pn)
        m->suspicious = 0;
}

static void fall_back(quic_mtud *m, uint64_t now) {
    m->current = MTUD_MIN;
    m->probe = 0;
    m->losses = 0;
    m->suspicious = 0;
    schedule(m, time_add(now, BLACK_HOLE_PAUSE));
}

bool quic_mtud_lost(quic_mtud *m, uint64_t now, uint64_t pn, uint16_t size) {
    // A smaller one was sent before the size grew: a path that shrinks loses those of the present size as well.
    if (size < m->current || m->current <= MTUD_MIN || pn < m->delivered_size_pn)
        return false;
    // What follows on a counted loss without a gap belongs to the same burst.
    bool same = m->suspicious > 0 && pn <= m->burst_pn + 1;
    if (pn > m->burst_pn)
        m->burst_pn = pn;
    if (same || ++m->suspicious <= SUSPICIOUS_MAX)
        return false;
    fall_back(m, now);
    return true;
}

void quic_mtud_set_upper(quic_mtud *m, uint16_t upper) {
    m->upper = at_least_minimum(upper);
    if (m->current > m->upper)
        m->current = m->upper;
    if (m->searching) {
        m->low = m->current;
        m->high = goal(m);
        m->losses = 0;
        if (!worth_searching(m->low, m->high))
            schedule(m, TIME_NEVER);
    } else if (m->next_search != TIME_NEVER) {
        schedule(m, m->next_search);
    }
}

uint64_t quic_mtud_deadline(const quic_mtud *m) {
    return m->searching ? TIME_NEVER : m->next_search;
}
