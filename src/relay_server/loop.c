// One thread of the server. A turn: wait; letters of other threads; read and accept; what is due; what the hub wants; then
// the letters to others, and the counters for all to see.
//
// A client that was let in is known to all loops before anybody can send to it: its join is told before it is confirmed,
// and letters come before bytes.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <iroh/error.h>

#include "base/clock.h"
#include "relay_server/state.h"
#include "sys/entropy.h"

#define RESTART_SPREAD_MS 1000  // over which clients are asked to come back
#define RESTART_TRY_MS 5000

// --- Hooks of the hub

static void announce(void *user, int notice, const uint8_t id[static RELAY_ID], uint64_t serial) {
    relay_loop *l = user;
    for (uint32_t i = 0; i < l->server->loop_count; i++) {
        if (i != l->number)
            (void)outbox_notice(&l->outboxes[i], notice, id, serial);
    }
}

static bool deliver(void *user, uint32_t shard, const uint8_t id[static RELAY_ID], bool bulk, const uint8_t *message,
                    size_t len) {
    relay_loop *l = user;
    return shard < l->server->loop_count && shard != l->number &&
           outbox_message(&l->outboxes[shard], id, bulk, message, len);
}

// --- Beginning and end

static int hub_start(relay_loop *l) {
    const iroh_relay_config *c = &l->server->config;
    relay_hub_config config;
    relay_hub_config_default(&config);
    config.random = &l->random;
    config.hooks = (relay_hub_hooks){announce, deliver, l};
    config.shard = l->number;
    config.shards = l->server->loop_count;
    config.rx_rate = c->rx_bytes_per_second;
    config.rx_burst = c->rx_burst_bytes;
    config.blocks = c->queue_bytes_max / sizeof(relay_block) / l->server->loop_count;
    return relay_hub_init(&l->hub, &config);
}

int loop_new(iroh_relay *r, uint32_t number, relay_loop **out) {
    relay_loop *l = calloc(1, sizeof *l);
    if (l == NULL)
        return IROH_ERR_NOMEM;
    l->server = r;
    l->number = number;
    l->random = sys_entropy();
    list_init(&l->conns);
    list_init(&l->dead);
    list_init(&l->handshakes);
    list_init(&l->asked);
    list_init(&l->busy);
    rounds_init(l);
    for (int i = 0; i < LISTENERS; i++)
        l->listeners[i].fd = -1;
    l->outboxes = calloc(r->loop_count, sizeof *l->outboxes);
    int result = l->outboxes != NULL ? sys_loop_new(&l->sys) : IROH_ERR_NOMEM;
    if (result == 0)
        result = hub_start(l);
    if (result != 0) {
        sys_loop_free(l->sys);
        free(l->outboxes);
        free(l);
        return result;
    }
    mailbox_init(&l->mailbox, l->sys);
    *out = l;
    return 0;
}

static void free_letter(letter *mail) {
    if (mail->kind == LETTER_PARCEL) {
        parcel_free((parcel *)(void *)mail);
        return;
    }
    if (mail->kind == LETTER_STOP)
        return;
    if (mail->kind == LETTER_CERTIFICATE)
        web_certificate_unref(((letter_certificate *)(void *)mail)->certificate);
    free(mail);
}

// After all threads have ended.
void loop_free(relay_loop *l) {
    if (l == NULL)
        return;
    for (letter *mail = mailbox_take(&l->mailbox), *next; mail != NULL; mail = next) {
        next = mail->next;
        free_letter(mail);
    }
    qad_free(l->qad);
    listeners_close(l);
    relay_hub_dispose(&l->hub);
    heap_dispose(&l->timers);
    web_certificate_unref(l->certificate);
    sys_loop_free(l->sys);
    free(l->outboxes);
    free(l);
}

// --- Time

uint64_t loop_now(relay_loop *l) {
    if (l->now == 0)
        l->now = sys_now();
    return l->now;
}

const char *loop_date(relay_loop *l) {
    uint64_t second = sys_wall_clock() / NS_PER_S;
    if (second != l->date_second) {
        static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        time_t t = (time_t)second;
        struct tm tm;
        (void)gmtime_r(&t, &tm);
        (void)snprintf(l->date, sizeof l->date, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday,
                       tm.tm_mday, months + 3 * tm.tm_mon, (tm.tm_year + 1900) % 10000, tm.tm_hour, tm.tm_min,
                       tm.tm_sec);
        l->date_second = second;
    }
    return l->date;
}

static uint64_t next_deadline(const relay_loop *l) {
    const heap_item *first = heap_first(&l->timers);
    uint64_t at = time_min(relay_hub_deadline(&l->hub), first != NULL ? first->at : TIME_NEVER);
    at = time_min(time_min(at, l->reload_at), time_min(l->accept_at, conn_tls_rest_at(l)));
    at = time_min(at, rounds_at(l));
    if (l->stop_by != 0)
        at = time_min(at, l->stop_by);
    return l->qad != NULL ? time_min(at, qad_deadline(l->qad)) : at;
}

static void on_time(relay_loop *l) {
    uint64_t now = loop_now(l);
    if (relay_hub_deadline(&l->hub) <= now)
        relay_hub_tick(&l->hub, now);
    for (heap_item *first; (first = heap_first(&l->timers)) != NULL && first->at <= now;)
        conn_timer(heap_entry(first, conn, timer), now);
    conn_tls_rest(l, now);
    rounds_run(l, now);
    if (l->reload_at <= now)
        server_reload_due(l->server);
    if (l->accept_at <= now)
        listeners_resume(l, now);
}

void loop_send(relay_loop *l) {
    for (uint32_t i = 0; i < l->server->loop_count; i++)
        outbox_send(&l->outboxes[i]);
}

// --- Letters

static void stop(relay_loop *l) {
    uint64_t now = loop_now(l);
    l->stop_by = time_add(now, STOP_TIMEOUT);
    listeners_close(l);
    l->accept_at = TIME_NEVER;
    qad_free(l->qad);
    l->qad = NULL;
    for (list_link *at = l->conns.next, *next; at != &l->conns; at = next) {
        conn *c = list_entry(at, conn, link);
        next = at->next;
        if (c->phase != CONN_RELAY)
            conn_drop(c);
        else
            relay_session_shutdown(&c->session, (uint32_t)entropy_below(&l->random, RESTART_SPREAD_MS), RESTART_TRY_MS,
                                   now);
    }
}

static void on_letter(relay_loop *l, letter *mail) {
    switch (mail->kind) {
    case LETTER_PARCEL:
        parcel_unpack((parcel *)(void *)mail, &l->hub);
        return;
    case LETTER_STOP:
        stop(l);
        return;
    case LETTER_CERTIFICATE:
        web_certificate_unref(l->certificate);
        l->certificate = ((letter_certificate *)(void *)mail)->certificate;
        break;
    case LETTER_VERDICT: {
        const letter_verdict *verdict = (letter_verdict *)(void *)mail;
        conn *c = conn_find_asked(l, verdict->conn);
        if (c != NULL)
            conn_verdict(c, verdict->allow);
        break;
    }
    default:
        break;
    }
    free(mail);
}

void loop_begin(relay_loop *l) {
    (void)loop_now(l);
    for (letter *mail = mailbox_take(&l->mailbox), *next; mail != NULL; mail = next) {
        next = mail->next;
        on_letter(l, mail);
    }
}

// --- The turn

static void show(relay_loop *l) {
    uint64_t hub[HUB_COUNTERS];
    memcpy(hub, &l->hub.counters, sizeof hub);
    for (size_t i = 0; i < COUNTERS; i++)
        atomic_store_explicit(&l->shown[i], l->counters[i], memory_order_relaxed);
    for (size_t i = 0; i < HUB_COUNTERS; i++)
        atomic_store_explicit(&l->shown[COUNTERS + i], hub[i], memory_order_relaxed);
    atomic_store_explicit(&l->shown_conns, l->conn_count, memory_order_relaxed);
    atomic_store_explicit(&l->shown_clients, l->hub.sessions, memory_order_relaxed);
}

static void bury(relay_loop *l) {
    for (list_link *link; (link = list_pop_front(&l->dead)) != NULL;)
        free(list_entry(link, conn, link));
}

void loop_do(relay_loop *l) {
    unsigned wants;
    for (relay_session *s; (s = relay_hub_next(&l->hub, &wants)) != NULL;)
        conn_do(s->user, wants);
}

static void turn(relay_loop *l) {
    sys_loop_set_deadline(l->sys, next_deadline(l));
    l->now = 0;
    bool may_wait = mailbox_sleep(&l->mailbox);
    (void)sys_loop_run(l->sys, may_wait ? -1 : 0);
    mailbox_awake(&l->mailbox);
    loop_begin(l);
    on_time(l);
    loop_do(l);
    if (l->qad != NULL)
        qad_turn(l->qad, loop_now(l));
    loop_send(l);
    show(l);
    bury(l);
}

static bool is_over(relay_loop *l) {
    return l->stop_by != 0 && (l->conn_count == 0 || loop_now(l) >= l->stop_by);
}

static void run(void *user) {
    relay_loop *l = user;
    while (!is_over(l))
        turn(l);
    while (!list_empty(&l->conns))
        conn_drop(list_entry(l->conns.next, conn, link));
    loop_send(l);
    bury(l);
}

static void connect_outboxes(relay_loop *l) {
    for (uint32_t i = 0; i < l->server->loop_count; i++) {
        relay_loop *to = l->server->loops[i];
        l->outboxes[i] = (outbox){.to = &to->mailbox, .pending = &to->pending, .kind = LETTER_PARCEL};
    }
}

int loop_start(relay_loop *l) {
    connect_outboxes(l);
    int r = listeners_open(l);
    if (r != 0)
        return r;
    if (uv_thread_create(&l->thread, run, l) != 0)
        return IROH_ERR_NOMEM;
    l->running = true;
    return 0;
}
