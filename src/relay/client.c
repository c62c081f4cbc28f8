#include "relay/client.h"

#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "base/wipe.h"
#include "crypto/ed25519.h"
#include "relay/client_state.h"

#define REQUEST_MAX RELAY_BLOCK_ROOM  // bytes of the request head
#define CONTROL_MAX 256               // bytes of a frame that is not a datagram
#define URGENT_MAX 64                 // messages

static const relay_queue_limits bulk_limits = {RELAY_CLIENT_QUEUE, RELAY_CLIENT_QUEUE_BYTES};
static const relay_queue_limits urgent_limits = {URGENT_MAX, 2 * REQUEST_MAX};

// --- Life of the struct

static char *copy_text(const char *text, size_t len) {
    char *copy = malloc(len > 0 ? len : 1);
    if (copy != NULL && len > 0)
        memcpy(copy, text, len);
    return copy;
}

int relay_client_init(relay_client *c, const relay_client_config *config, uint64_t now) {
    const http_text token = {config->token, config->token != NULL ? strlen(config->token) : 0};
    *c = (relay_client){.state = RELAY_CLIENT_DIAL, .random = config->random, .token_len = token.len};
    if (!relay_token_valid(&token))
        return IROH_ERR_ARG;
    c->url = copy_text(config->url, config->url_len);
    c->token = config->token != NULL ? copy_text(token.p, token.len) : NULL;
    int r = c->url == NULL || (config->token != NULL && c->token == NULL) ? IROH_ERR_NOMEM : 0;
    if (r == 0)
        r = relay_target_of(c->url, config->url_len, &c->target);
    memcpy(c->seed, config->seed, sizeof c->seed);
    ed25519_public(c->seed, c->id);
    relay_queue_init(&c->queue, config->blocks);
    c->queue.hold = true;
    c->wait_until = c->stale_at = TIME_NEVER;
    c->sent = now;
    c->mask_at = sizeof c->masks;
    ws_decoder_init(&c->decoder, false, RELAY_MESSAGE_MAX);
    if (r != 0)
        relay_client_dispose(c);
    return r;
}

void client_drop_head(relay_client *c) {
    free(c->head);
    c->head = NULL;
    c->head_len = c->head_room = 0;
    c->scan = (http_scan){0};
}

// Forgets what belongs to one connection. Blocks that the shell has taken it still gives back.
static void drop_connection(relay_client *c) {
    c->stats.dropped += c->queue.bulk.messages;
    relay_queue_clear(&c->queue);
    c->queue.hold = true;
    c->stale_at = TIME_NEVER;
    c->blocked = c->worked = c->answered = c->limited = false;
    ws_decoder_dispose(&c->decoder);
    ws_decoder_init(&c->decoder, false, RELAY_MESSAGE_MAX);
    relay_pinger_init(&c->ping);
    client_drop_head(c);
}

void relay_client_dispose(relay_client *c) {
    drop_connection(c);
    if (c->token != NULL)
        wipe(c->token, c->token_len);
    free(c->token);
    free(c->url);
    c->token = c->url = NULL;
    wipe(c->seed, sizeof c->seed);
    c->state = RELAY_CLIENT_CLOSED;
}

// --- Losing a connection

static bool is_idle(const relay_client *c, uint64_t now) {
    return !c->home && time_add(c->sent, RELAY_CLIENT_IDLE) <= now;
}

static void rest(relay_client *c) {
    c->state = c->final ? RELAY_CLIENT_CLOSED : RELAY_CLIENT_WAIT;
    c->wait_until = TIME_NEVER;
}

// What the relay asked for when it announced a restart comes on top, so that its clients do not return all at once.
static uint64_t time_to_wait(relay_client *c) {
    uint64_t wait =
        c->worked ? relay_backoff_lost(&c->backoff, c->random) : relay_backoff_failed(&c->backoff, c->random);
    wait = time_add(wait, c->restart_wait);
    c->restart_wait = 0;
    return wait;
}

void client_disconnect(relay_client *c, int error, uint64_t now) {
    bool closing = c->state == RELAY_CLIENT_CLOSING;
    c->stats.closed += c->state == RELAY_CLIENT_READY || (closing && c->version != 0);
    c->stats.failures += c->state >= RELAY_CLIENT_DIALLING && c->state < RELAY_CLIENT_READY;
    c->version = 0;
    c->error = error;
    uint64_t wait = closing ? 0 : time_to_wait(c);
    drop_connection(c);
    if (closing) {
        rest(c);
        return;
    }
    c->state = RELAY_CLIENT_WAIT;
    c->wait_until = time_add(now, wait);
}

static bool has_connection(const relay_client *c) {
    return c->state >= RELAY_CLIENT_DIALLING && c->state <= RELAY_CLIENT_CLOSING;
}

void relay_client_lost(relay_client *c, int error, uint64_t now) {
    if (has_connection(c))
        client_disconnect(c, error, now);
}

// --- Sending

// Masks need not be secret here, but the RFC wants them unpredictable.
static const uint8_t *next_mask(relay_client *c) {
    if (c->mask_at == sizeof c->masks) {
        entropy_fill(c->random, c->masks, sizeof c->masks);
        c->mask_at = 0;
    }
    c->mask_at += 4;
    return c->masks + c->mask_at - 4;
}

// A message of two parts.
int client_send_message(relay_client *c, bool bulk, int opcode, const uint8_t *head, size_t head_len,
                        const uint8_t *data, size_t len) {
    uint8_t header[WS_HEADER_MAX];
    relay_queue_put put;
    const uint8_t *mask = next_mask(c);
    size_t size = ws_put_header(header, opcode, head_len + len, mask);
    int r = relay_queue_begin(&c->queue, bulk, size + head_len + len, bulk ? &bulk_limits : &urgent_limits, &put);
    if (r != 0)
        return r;
    relay_queue_add(&put, header, size, NULL, 0);
    relay_queue_add(&put, head, head_len, mask, 0);
    relay_queue_add(&put, data, len, mask, head_len);
    return 0;
}

int client_send_frame(relay_client *c, const relay_frame *f) {
    uint8_t bytes[CONTROL_MAX];
    writer w = writer_of(bytes, sizeof bytes);
    relay_frame_encode(&w, f);
    return w.failed ? IROH_ERR_INTERNAL : client_send_message(c, false, WS_BINARY, bytes, writer_len(&w), NULL, 0);
}

int client_send_ping(relay_client *c, uint64_t now) {
    relay_pinger_sent(&c->ping, c->random, now);
    c->ping_at = time_add(now, RELAY_CLIENT_PING);
    const relay_frame frame = {.type = RELAY_PING_FRAME, .data = c->ping.data, .len = RELAY_PING};
    return client_send_frame(c, &frame);
}

static void note_sending(relay_client *c, uint64_t now) {
    c->sent = now;
    if (c->state == RELAY_CLIENT_WAIT && c->wait_until == TIME_NEVER)
        c->state = RELAY_CLIENT_DIAL;
    if (c->state < RELAY_CLIENT_READY && c->stale_at == TIME_NEVER)
        c->stale_at = time_add(now, RELAY_CLIENT_STALE);
}

int relay_client_send(relay_client *c, const uint8_t id[static RELAY_ID], uint8_t ecn, uint16_t segment,
                      const uint8_t *data, size_t len, uint64_t now) {
    uint8_t head[RELAY_BATCH_HEAD];
    if (c->state >= RELAY_CLIENT_CLOSING)
        return IROH_ERR_CLOSED;
    if (len == 0 || (segment != 0 && segment >= len))
        return IROH_ERR_ARG;
    if (len > (segment != 0 ? RELAY_BATCH_MAX : RELAY_DATAGRAM_MAX))
        return IROH_ERR_TOO_LARGE;
    writer w = writer_of(head, sizeof head);
    writer_u8(&w, segment != 0 ? RELAY_TO_RELAY_BATCH : RELAY_TO_RELAY);
    writer_bytes(&w, id, RELAY_ID);
    writer_u8(&w, ecn & RELAY_ECN_MASK);
    if (segment != 0)
        writer_u16(&w, segment);
    note_sending(c, now);
    int r = client_send_message(c, true, WS_BINARY, head, writer_len(&w), data, len);
    if (r != 0) {
        c->stats.dropped++;
        return r;
    }
    c->stats.frames_sent++;
    c->stats.bytes_sent += len;
    return 0;
}

void relay_client_wrote(relay_client *c, bool all, bool progress, uint64_t now) {
    if (!c->blocked || progress)
        c->written = now;
    c->blocked = !all;
}

// --- Coming up

void relay_client_dialling(relay_client *c, uint64_t now) {
    c->state = RELAY_CLIENT_DIALLING;
    c->connect_by = time_add(now, RELAY_CONNECT_TIMEOUT);
    c->wait_until = TIME_NEVER;
}

static int send_request(relay_client *c, const char *claim) {
    const http_text token = {c->token, c->token_len};
    uint8_t *head = malloc(REQUEST_MAX);
    if (head == NULL)
        return IROH_ERR_NOMEM;
    writer w = writer_of(head, REQUEST_MAX);
    relay_upgrade_put_request(&w, &c->target, c->key, c->token != NULL ? &token : NULL, claim);
    int r = w.failed ? IROH_ERR_TOO_LARGE : relay_queue_push(&c->queue, false, head, writer_len(&w), &urgent_limits);
    wipe(head, REQUEST_MAX);  // it has the token
    free(head);
    return r;
}

void relay_client_connected(relay_client *c, const uint8_t *exported, uint64_t now) {
    char text[RELAY_CLAIM_LEN];
    if (c->state != RELAY_CLIENT_DIALLING)
        return;
    if (exported != NULL) {
        relay_claim claim;
        relay_claim_make(c->seed, exported, &claim);
        relay_claim_encode(&claim, text);
    }
    ws_key(c->random, c->key);
    c->state = RELAY_CLIENT_UPGRADING;
    int r = send_request(c, exported != NULL ? text : NULL);
    if (r != 0)
        client_disconnect(c, r, now);
}

// --- Time

static uint64_t idle_at(const relay_client *c) {
    return c->home ? TIME_NEVER : time_add(c->sent, RELAY_CLIENT_IDLE);
}

static uint64_t ready_deadline(const relay_client *c) {
    uint64_t at = time_min(c->ping_at, relay_pinger_deadline(&c->ping));
    if (c->blocked)
        at = time_min(at, time_add(c->written, RELAY_WRITE_TIMEOUT));
    return time_min(at, idle_at(c));
}

uint64_t relay_client_deadline(const relay_client *c) {
    switch (c->state) {
    case RELAY_CLIENT_WAIT:
        return time_min(c->stale_at, c->wait_until == TIME_NEVER ? TIME_NEVER : time_min(c->wait_until, idle_at(c)));
    case RELAY_CLIENT_DIALLING:
    case RELAY_CLIENT_UPGRADING:
    case RELAY_CLIENT_AUTHENTICATING:
        return time_min(c->connect_by, c->stale_at);
    case RELAY_CLIENT_READY:
        return ready_deadline(c);
    case RELAY_CLIENT_CLOSING:
        return c->connect_by;
    default:
        return TIME_NEVER;
    }
}

static void start_closing(relay_client *c, uint64_t now) {
    static const uint8_t code[] = {WS_CLOSE_NORMAL >> 8, WS_CLOSE_NORMAL & 0xff};
    // Behind the datagrams that are queued, unless those have to wait for a connection.
    (void)client_send_message(c, !c->queue.hold, WS_CLOSE, code, sizeof code, NULL, 0);
    c->state = RELAY_CLIENT_CLOSING;
    c->connect_by = time_add(now, RELAY_CLOSE_TIMEOUT);
}

static void tick_ready(relay_client *c, uint64_t now) {
    bool stuck = c->blocked && time_add(c->written, RELAY_WRITE_TIMEOUT) <= now;
    if (stuck || relay_pinger_deadline(&c->ping) <= now)
        client_disconnect(c, IROH_ERR_TIMEOUT, now);
    else if (is_idle(c, now))
        start_closing(c, now);
    else if (c->ping_at <= now && client_send_ping(c, now) == IROH_ERR_NOMEM)
        client_disconnect(c, IROH_ERR_NOMEM, now);
}

static void drop_stale(relay_client *c) {
    c->stats.dropped += c->queue.bulk.messages;
    relay_queue_clear_bulk(&c->queue);
    c->stale_at = TIME_NEVER;
}

void relay_client_tick(relay_client *c, uint64_t now) {
    if (c->stale_at <= now)
        drop_stale(c);
    switch (c->state) {
    case RELAY_CLIENT_WAIT:
        if (c->wait_until != TIME_NEVER && is_idle(c, now))
            rest(c);
        else if (c->wait_until <= now)
            c->state = RELAY_CLIENT_DIAL;
        break;
    case RELAY_CLIENT_READY:
        tick_ready(c, now);
        break;
    case RELAY_CLIENT_DIAL:
    case RELAY_CLIENT_CLOSED:
        break;
    default:
        if (c->connect_by <= now)
            client_disconnect(c, IROH_ERR_TIMEOUT, now);
        break;
    }
}

// --- From outside

void relay_client_set_home(relay_client *c, bool home, uint64_t now) {
    c->home = home;
    if (home && c->state == RELAY_CLIENT_WAIT && c->wait_until == TIME_NEVER)
        c->state = RELAY_CLIENT_DIAL;
    if (!home)
        c->sent = now;  // the time of idleness starts here
}

void relay_client_network_changed(relay_client *c, uint64_t now) {
    if (c->state == RELAY_CLIENT_READY)
        (void)client_send_ping(c, now);
    else if (c->state == RELAY_CLIENT_WAIT && c->wait_until != TIME_NEVER)
        c->state = RELAY_CLIENT_DIAL;
}

void relay_client_close(relay_client *c, uint64_t now) {
    c->final = true;
    if (c->state == RELAY_CLIENT_READY || c->state == RELAY_CLIENT_AUTHENTICATING) {
        start_closing(c, now);
    } else if (c->state != RELAY_CLIENT_CLOSING) {
        drop_connection(c);
        c->state = RELAY_CLIENT_CLOSED;
    }
}
