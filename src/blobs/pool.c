#include "blobs/pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"

struct conn_use {
    list_link link;  // in pool->open while it can be found, else in pool->past until the last one gives it back
    iroh_public_key id;
    iroh_connection *handle;
    size_t users;
    bool connected;
    int error;       // why it is over; 0 while it is not
    uint64_t since;  // ns: when dialling began, or the last one gave it back
};

struct conn_pool {
    conn_pool_config config;
    pthread_mutex_t lock;  // of all that follows
    list_link open, past;
    size_t count, dialling;  // in `open`
};

int conn_pool_new(const conn_pool_config *config, conn_pool **out) {
    conn_pool *p = calloc(1, sizeof *p);
    *out = p;
    if (p == NULL)
        return IROH_ERR_NOMEM;
    p->config = *config;
    pthread_mutex_init(&p->lock, NULL);
    list_init(&p->open);
    list_init(&p->past);
    return 0;
}

static conn_use *use_of(list_link *l) {
    return list_entry(l, conn_use, link);
}

static void drop(conn_pool *p, conn_use *u, const char *reason) {
    p->config.drop(p->config.user, u->handle, reason);
    list_remove(&u->link);
    free(u);
}

// From now on nobody finds it.
static void forget(conn_pool *p, conn_use *u, int error) {
    if (u->error != 0)
        return;
    u->error = error;
    p->count--;
    p->dialling -= !u->connected;
    list_remove(&u->link);
    list_push_back(&p->past, &u->link);
}

void conn_pool_free(conn_pool *p) {
    if (p == NULL)
        return;
    list_link *lists[] = {&p->open, &p->past};
    for (size_t i = 0; i < 2; i++) {
        while (!list_empty(lists[i])) {
            conn_use *u = use_of(lists[i]->next);
            drop(p, u, u->users == 0 ? "unused" : "drop");
        }
    }
    pthread_mutex_destroy(&p->lock);
    free(p);
}

// Looks at a connection that may have ended, or come about, by itself.
static int refresh(conn_pool *p, conn_use *u, uint64_t now) {
    if (u->error != 0)
        return u->error;
    int r = p->config.state(p->config.user, u->handle);
    if (r == 0 && !u->connected) {
        u->connected = true;
        p->dialling--;
        r = p->config.greet != NULL ? p->config.greet(p->config.user, u->handle) : 0;
    } else if (r == IROH_ERR_AGAIN && now >= time_add(u->since, p->config.dial_ns)) {
        r = IROH_ERR_TIMEOUT;
    }
    if (r != 0 && r != IROH_ERR_AGAIN)
        forget(p, u, r);
    return r;
}

static conn_use *find(conn_pool *p, const iroh_public_key *id, uint64_t now) {
    for (list_link *l = p->open.next; l != &p->open; l = l->next) {
        conn_use *u = use_of(l);
        if (iroh_public_key_compare(&u->id, id) != 0)
            continue;
        int r = refresh(p, u, now);
        if (r == 0 || r == IROH_ERR_AGAIN)
            return u;
        if (u->users == 0)
            drop(p, u, "unused");
        return NULL;
    }
    return NULL;
}

static conn_use *longest_idle(const conn_pool *p) {
    conn_use *found = NULL;
    for (list_link *l = p->open.next; l != &p->open; l = l->next) {
        conn_use *u = use_of(l);
        if (u->users == 0 && (found == NULL || u->since < found->since))
            found = u;
    }
    return found;
}

static void close_idle(conn_pool *p, conn_use *u) {
    forget(p, u, IROH_ERR_CLOSED);
    drop(p, u, "unused");
}

// Gives up what is idle for too long: when the next will be.
static uint64_t reap(conn_pool *p, uint64_t now) {
    uint64_t due = TIME_NEVER;
    list_link *next;
    for (list_link *l = p->open.next; l != &p->open; l = next) {
        conn_use *u = use_of(l);
        uint64_t end = time_add(u->since, p->config.idle_ns);
        next = l->next;
        if (u->users > 0)
            continue;
        if (end <= now)
            close_idle(p, u);
        else
            due = time_min(due, end);
    }
    return due;
}

static int make_room(conn_pool *p) {
    if (p->dialling >= p->config.max_dialling)
        return IROH_ERR_LIMIT;
    if (p->count < p->config.max)
        return 0;
    conn_use *u = longest_idle(p);
    if (u == NULL)
        return IROH_ERR_LIMIT;
    close_idle(p, u);
    return 0;
}

static int dial(conn_pool *p, const iroh_addr *to, uint64_t now, conn_use **out) {
    int r = make_room(p);
    if (r != 0)
        return r;
    conn_use *u = calloc(1, sizeof *u);
    if (u == NULL)
        return IROH_ERR_NOMEM;
    u->id = iroh_addr_id(to);
    u->since = now;
    list_init(&u->link);
    r = p->config.dial(p->config.user, to, &u->handle);
    if (r != 0) {
        free(u);
        return r;
    }
    list_push_back(&p->open, &u->link);
    p->count++;
    p->dialling++;
    *out = u;
    return 0;
}

int conn_pool_take(conn_pool *p, const iroh_addr *to, uint64_t now, conn_use **out) {
    iroh_public_key id = iroh_addr_id(to);
    pthread_mutex_lock(&p->lock);
    (void)reap(p, now);
    *out = find(p, &id, now);
    int r = *out != NULL ? 0 : dial(p, to, now, out);
    if (r == 0)
        (*out)->users++;
    pthread_mutex_unlock(&p->lock);
    return r;
}

void conn_pool_give(conn_pool *p, conn_use *u, bool broken, uint64_t now) {
    if (u == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    if (broken)
        forget(p, u, IROH_ERR_CLOSED);
    u->users--;
    // What is still being dialled was wanted by nobody else.
    if (u->users == 0 && (u->error != 0 || !u->connected)) {
        const char *reason = u->error != 0 ? "unused" : "discarded";
        forget(p, u, IROH_ERR_CLOSED);
        drop(p, u, reason);
    } else if (u->users == 0) {
        u->since = now;
    }
    pthread_mutex_unlock(&p->lock);
}

int conn_pool_check(conn_pool *p, conn_use *u, uint64_t now, uint64_t *due) {
    pthread_mutex_lock(&p->lock);
    int r = refresh(p, u, now);
    if (due != NULL)
        *due = time_add(u->since, p->config.dial_ns);
    pthread_mutex_unlock(&p->lock);
    return r;
}

iroh_connection *conn_use_handle(const conn_use *u) {
    return u->handle;
}

uint64_t conn_pool_turn(conn_pool *p, uint64_t now) {
    pthread_mutex_lock(&p->lock);
    uint64_t due = reap(p, now);
    pthread_mutex_unlock(&p->lock);
    return due;
}

conn_pool_state conn_pool_look(conn_pool *p) {
    pthread_mutex_lock(&p->lock);
    conn_pool_state s = {.open = p->count, .dialling = p->dialling};
    for (list_link *l = p->open.next; l != &p->open; l = l->next)
        s.idle += use_of(l)->users == 0;
    pthread_mutex_unlock(&p->lock);
    return s;
}
