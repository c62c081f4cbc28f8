#include "quic/path.h"

#include <stdlib.h>

#include "base/clock.h"

#define PATH_SKIP_FIRST 64
#define PATH_CHALLENGE_CAP (2 * NS_PER_S)  // longest wait between two challenges

static void space_init(quic_space *s) {
    quic_sent_init(&s->sent);
    quic_acks_init(&s->acks);
    s->probes = 0;
}

static void packet_lost(void *user, const quic_rate_loss *loss) {
    quic_path *p = user;
    p->cc.ops->on_packet_lost(&p->cc, loss);
}

uint16_t quic_path_mtu_max(const quic_path_config *config, const addr *remote) {
    // Relays and transports of the application's own count datagrams; that a huge one passes says nothing about its cost.
    bool ip = remote->kind == ADDR_IP4 || remote->kind == ADDR_IP6;
    return ip || config->mtu_max < MTUD_MAX_DEFAULT ? config->mtu_max : MTUD_MAX_DEFAULT;
}

static void estimates_init(quic_path *p, const quic_path_config *config, uint64_t now) {
    quic_rtt_init(&p->rtt, config->initial_rtt);
    p->rtt_since = TIME_NEVER;
    quic_mtud_init(&p->mtud, quic_path_mtu_max(config, &p->remote));
    quic_cc_init(&p->cc, config->congestion, p->mtud.current);
    quic_pacer_init(&p->pacer, now, p->mtud.current);
    quic_pacer_update(&p->pacer, now, p->cc.window, p->rtt.smoothed, p->mtud.current, p->cc.pacing_rate,
                      p->cc.send_quantum);
    p->pto_count = 0;
    p->silent_since = TIME_NEVER;
    p->pto_base = now;
    p->event_lost = 0;
    // What was marked and what the peer has counted goes on: its counts cover the whole packet number space.
    p->ecn_state = PATH_ECN_TESTING;
}

void quic_path_choose_skip(quic_path *p, const entropy *random) {
    uint64_t from = p->data.sent.next < PATH_SKIP_FIRST ? 0 : PATH_SKIP_FIRST;
    while (from != 0 && from <= p->data.sent.next)
        from *= 2;
    uint64_t width = from == 0 ? PATH_SKIP_FIRST : from;
    p->skip_at = from + entropy_below(random, width);
    if (p->skip_at < p->data.sent.next)
        p->skip_at = p->data.sent.next;
}

quic_path *quic_path_new(quic_path_cids *cids, const addr *remote, const addr *local, const quic_path_config *config,
                         const entropy *random, uint64_t now) {
    quic_path *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->conn = cids->conn;
    p->cids = cids;
    p->id = cids->id;
    p->remote = *remote;
    p->local = *local;
    p->limited = config->limited;
    space_init(&p->data);
    if (config->congestion->stamp != NULL)
        quic_sent_keep_stamps(&p->data.sent, packet_lost, p);
    p->challenge_at = p->validation_ends = p->pacing_at = TIME_NEVER;
    p->drain_at = p->idle_at = p->keep_alive_at = TIME_NEVER;
    cids->path = p;
    p->phase_first_sent = QUIC_PN_NONE;
    p->skip_at = QUIC_PN_NONE;
    if (config->skip_packet_numbers)
        quic_path_choose_skip(p, random);
    estimates_init(p, config, now);
    return p;
}

void quic_path_free(quic_path *p, pool *frames) {
    if (p == NULL)
        return;
    quic_sent_dispose(&p->data.sent, frames);
    quic_acks_dispose(&p->data.acks);
    p->cids->path = NULL;
    free(p);
}

void quic_path_move(quic_path *p, const addr *remote, const addr *local, const quic_path_config *config,
                    const entropy *random, uint64_t now) {
    bool same_host = addr_same_host(&p->remote, remote);
    if (p->validated)
        p->previous_remote = p->remote;
    p->remote = *remote;
    p->local = *local;
    p->validated = false;
    p->received = p->sent = 0;
    p->challenge_count = 0;
    p->challenge_tries = 0;
    p->challenge_wanted = true;
    (void)random;
    // A NAT that only chose another port leaves the path what it was (RFC 9000, section 9.4).
    if (same_host)
        return;
    p->generation++;
    quic_sent_follow(&p->data.sent, p->generation);
    uint64_t events = p->cc.events;
    estimates_init(p, config, now);
    p->cc.events = events;  // it counts the path's, wherever that leads
}

uint64_t quic_path_credit(const quic_path *p) {
    if (p->validated || !p->limited)
        return UINT64_MAX;
    uint64_t limit = 3 * p->received;
    return limit > p->sent ? limit - p->sent : 0;
}

void quic_path_challenge(quic_path *p, const entropy *random, uint64_t now, uint8_t out[static 8]) {
    entropy_fill(random, out, 8);
    if (p->challenge_count == PATH_CHALLENGES) {
        memmove(&p->challenges[0], &p->challenges[1], sizeof p->challenges - sizeof p->challenges[0]);
        p->challenge_count--;
    }
    quic_path_probe *probe = &p->challenges[p->challenge_count++];
    memcpy(probe->data, out, 8);
    probe->time = now;
    uint64_t wait = quic_rtt_pto(&p->rtt) << (p->challenge_tries < 8 ? p->challenge_tries : 8);
    p->challenge_tries++;
    p->challenge_at = now + time_min(wait, PATH_CHALLENGE_CAP);
    p->challenge_wanted = false;
}

static void validated(quic_path *p) {
    p->validated = true;
    p->challenge_count = 0;
    p->challenge_tries = 0;
    p->challenge_wanted = false;
    p->challenge_at = TIME_NEVER;
    p->validation_ends = TIME_NEVER;
    p->previous_remote = (addr){0};
}

bool quic_path_responded(quic_path *p, const uint8_t data[static 8], uint64_t now) {
    for (size_t i = 0; i < p->challenge_count; i++) {
        if (memcmp(p->challenges[i].data, data, 8) != 0)
            continue;
        if (!p->rtt.sampled && now > p->challenges[i].time)
            quic_rtt_init(&p->rtt, now - p->challenges[i].time);
        validated(p);
        return true;
    }
    return false;
}

void quic_path_queue_response(quic_path *p, const uint8_t data[static 8]) {
    if (p->response_count == PATH_RESPONSES) {
        memmove(p->responses[0], p->responses[1], sizeof p->responses - sizeof p->responses[0]);
        p->response_count--;
    }
    memcpy(p->responses[p->response_count++], data, 8);
}
