// Clients that are not watched but read at intervals, all of one interval in one round: see pace.h.
#include "relay_server/state.h"

#define READS_AT_ONCE 8     // of one client in a round, each as large as it can be
#define READ_BETWEEN 65536  // bytes after which a round pauses to write, so that they are still in the cache

void rounds_init(relay_loop *l) {
    for (int i = 0; i < PACES; i++) {
        list_init(&l->rounds[i].conns);
        l->rounds[i].at = TIME_NEVER;
    }
}

uint64_t rounds_at(const relay_loop *l) {
    uint64_t at = TIME_NEVER;
    for (int i = PACE_SLOWEST; i < PACES; i++)
        at = time_min(at, l->rounds[i].at);
    return at;
}

static size_t read_one(conn *c) {
    size_t sum = 0, len = READ_ROOM;
    for (int i = 0; i < READS_AT_ONCE && len == READ_ROOM; i++) {
        len = conn_read(c);
        sum += len;
        c->loop->counters[COUNT_PACED_READS]++;
    }
    return sum;
}

// Reading one may change its pace, and may make any of them go.
static void run(relay_loop *l, int at) {
    size_t unwritten = 0;
    list_link due;
    list_init(&due);
    list_insert_before(&l->rounds[at].conns, &due);
    list_remove(&l->rounds[at].conns);
    for (list_link *link; (link = list_pop_front(&due)) != NULL;) {
        list_push_back(&l->rounds[at].conns, link);
        unwritten += read_one(list_entry(link, conn, round_link));
        if (unwritten >= READ_BETWEEN) {
            loop_do(l);
            unwritten = 0;
        }
    }
}

void rounds_run(relay_loop *l, uint64_t now) {
    for (int i = PACE_SLOWEST; i < PACES; i++) {
        if (l->rounds[i].at > now)
            continue;
        run(l, i);
        l->rounds[i].at = list_empty(&l->rounds[i].conns) ? TIME_NEVER : pace_next(i, now);
    }
}

static void join(conn *c) {
    pace_round *r = &c->loop->rounds[c->pace.at];
    list_remove(&c->round_link);
    if (c->pace.at == PACE_WATCHED)
        return;
    list_push_back(&r->conns, &c->round_link);
    if (r->at == TIME_NEVER)
        r->at = pace_next(c->pace.at, loop_now(c->loop));
}

// A client that has to wait for its rate limit is watched when it is read again.
void rounds_read(conn *c, uint32_t frames, size_t bytes) {
    if (c->dead || !relay_session_reads(&c->session))
        rounds_leave(c);
    else if (pace_read(&c->pace, frames, bytes, loop_now(c->loop)))
        join(c);
}

void rounds_leave(conn *c) {
    if (c->pace.at == PACE_WATCHED)
        return;
    pace_init(&c->pace, loop_now(c->loop));
    list_remove(&c->round_link);
}
