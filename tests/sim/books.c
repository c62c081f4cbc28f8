// A second account of what connections count: each path is looked at after every event, so that what it had counted is
// known once it is gone. No counter of a path ever falls, and a connection's are always the sums over its paths, gone ones
// included.
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "quic/conn_state.h"
#include "world.h"

static const struct {
    const char *name;
    size_t of_path, of_conn;  // where it stands in quic_path and quic_conn_stats
} counters[] = {
    {"congestion events", offsetof(quic_path, cc.events), offsetof(quic_conn_stats, congestion_events)},
    {"lost packets", offsetof(quic_path, lost_packets), offsetof(quic_conn_stats, lost_packets)},
    {"lost bytes", offsetof(quic_path, lost_bytes), offsetof(quic_conn_stats, lost_bytes)},
    {"spurious losses", offsetof(quic_path, spurious), offsetof(quic_conn_stats, spurious)},
    {"bytes sent", offsetof(quic_path, bytes_out), offsetof(quic_conn_stats, bytes_sent)},
    {"bytes received", offsetof(quic_path, bytes_in), offsetof(quic_conn_stats, bytes_received)},
    {"datagrams sent", offsetof(quic_path, datagrams_out), offsetof(quic_conn_stats, datagrams_sent)},
    {"datagrams received", offsetof(quic_path, datagrams_in), offsetof(quic_conn_stats, datagrams_received)},
    {"MTU probes", offsetof(quic_path, mtu_probes), offsetof(quic_conn_stats, mtu_probes)},
    {"MTU probes lost", offsetof(quic_path, mtu_probes_lost), offsetof(quic_conn_stats, mtu_probes_lost)},
    {"black holes", offsetof(quic_path, black_holes), offsetof(quic_conn_stats, black_holes)},
};

#define COUNTERS (sizeof counters / sizeof *counters)

typedef struct path_account {
    uint32_t id;
    uint64_t counts[COUNTERS];
} path_account;

typedef struct sim_book {
    const quic_conn *conn;
    quic_cid scid;  // tells connections apart that had the same memory one after the other
    path_account paths[CONN_PATHS_MAX];
    size_t path_count;
    uint64_t gone[COUNTERS];  // of paths that are no more
} sim_book;

static uint64_t count_at(const void *object, size_t offset) {
    uint64_t count;
    memcpy(&count, (const uint8_t *)object + offset, sizeof count);
    return count;
}

static sim_book *book_of(sim_world *w, const quic_conn *c) {
    sim_book *b = NULL;
    for (size_t i = 0; i < w->book_count && b == NULL; i++)
        b = w->books[i].conn == c ? &w->books[i] : NULL;
    if (b == NULL) {
        w->books = realloc(w->books, (w->book_count + 1) * sizeof *w->books);
        if (w->books == NULL)
            abort();
        b = &w->books[w->book_count++];
        *b = (sim_book){0};
    }
    if (b->conn != c || !quic_cid_equal(&b->scid, &c->scid))
        *b = (sim_book){.conn = c, .scid = c->scid};
    return b;
}

static const quic_path *path_with(const quic_conn *c, uint32_t id) {
    for (size_t i = 0; i < c->path_count; i++) {
        if (c->paths[i]->id == id)
            return c->paths[i];
    }
    return NULL;
}

// What was noted of a path that has gone since is what it had counted.
static void check_old_paths(sim_world *w, sim_book *b, const quic_conn *c) {
    for (size_t i = 0; i < b->path_count; i++) {
        const path_account *a = &b->paths[i];
        const quic_path *p = path_with(c, a->id);
        for (size_t k = 0; k < COUNTERS; k++) {
            if (p == NULL)
                b->gone[k] += a->counts[k];
            else if (count_at(p, counters[k].of_path) < a->counts[k])
                sim_fail(w, "path %u: fewer %s than before", a->id, counters[k].name);
        }
    }
}

static void note_paths(sim_book *b, const quic_conn *c) {
    b->path_count = c->path_count;
    for (size_t i = 0; i < c->path_count; i++) {
        b->paths[i].id = c->paths[i]->id;
        for (size_t k = 0; k < COUNTERS; k++)
            b->paths[i].counts[k] = count_at(c->paths[i], counters[k].of_path);
    }
}

void sim_check_sums(sim_world *w, const quic_conn *c) {
    quic_conn_stats stats;
    sim_book *b = book_of(w, c);
    check_old_paths(w, b, c);
    note_paths(b, c);
    quic_conn_stats_get(c, &stats);
    for (size_t k = 0; k < COUNTERS; k++) {
        uint64_t sum = b->gone[k];
        for (size_t i = 0; i < b->path_count; i++)
            sum += b->paths[i].counts[k];
        uint64_t said = count_at(&stats, counters[k].of_conn);
        if (said != sum)
            sim_fail(w, "%s: the connection says %llu, its paths %llu", counters[k].name, (unsigned long long)said,
                     (unsigned long long)sum);
    }
}

void sim_books_dispose(sim_world *w) {
    free(w->books);
    w->books = NULL;
    w->book_count = 0;
}
