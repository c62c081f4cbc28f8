// The client: one scenario, one result line, one thread.
//
// Transfers run side by side: each does what it can without waiting, and when none can do anything, iroh_poll waits for
// all of them at once.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "peer.h"

enum { TRANSFERS_MAX = 1024, DATAGRAM_QUIET_MS = 2000, CLOSE_MS = 5000, EARLY_SIZE = 500, SETTLING = 1 << 20 };

typedef struct client {
    const peer_args *args;
    iroh_endpoint *endpoint;
    iroh_connection *connection;
    pattern pattern;
    char error[1024];   // why it failed, as text; empty: it did not
    char result[4096];  // members of the result line, each followed by ", "
    bool skipped;
} client;

// Notes why the scenario failed; always false.
static bool fail(client *c, const char *format, ...) {
    va_list list;
    va_start(list, format);
    vsnprintf(c->error, sizeof c->error, format, list);
    va_end(list);
    return false;
}

static bool failed_with(client *c, const char *what, int64_t rc) {
    return fail(c, "%s: %s", what, iroh_error_name((int)rc));
}

// Adds members to the result line; always true.
static bool result(client *c, const char *format, ...) {
    size_t len = strlen(c->result);
    va_list list;
    va_start(list, format);
    vsnprintf(c->result + len, sizeof c->result - len, format, list);
    va_end(list);
    len = strlen(c->result);
    snprintf(c->result + len, sizeof c->result - len, ", ");
    return true;
}

static void sleep_ms(unsigned ms) {
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&time, NULL);
}

static uint64_t now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

// Argument `i` of the scenario as a number; 0 if missing.
static uint64_t number(const client *c, int i) {
    return i < c->args->script_len ? strtoull(c->args->script[i], NULL, 10) : 0;
}

// The words from argument `i` on, with single spaces.
static void words_from(const client *c, int i, char *out, size_t room) {
    size_t at = 0;
    out[0] = 0;
    for (int k = i; k < c->args->script_len && at < room; k++)
        at += (size_t)snprintf(out + at, room - at, "%s%s", k > i ? " " : "", c->args->script[k]);
}

// ---------------------------------------------------------------------------------------------------------------------
// Connecting

static int target(const client *c, const uint8_t id[static 32], iroh_addr **out) {
    iroh_public_key key;
    memcpy(key.bytes, id, sizeof key.bytes);
    int rc = iroh_addr_new(&key, out);
    for (size_t i = 0; rc >= 0 && i < c->args->addr_count; i++)
        rc = iroh_addr_add_ip(*out, c->args->addrs[i]);
    if (rc >= 0 && c->args->relay)
        rc = iroh_addr_add_relay(*out, c->args->relay);
    return rc < 0 ? rc : 0;
}

static int dial(client *c, const uint8_t id[static 32], const char *alpn, bool early, int timeout_ms) {
    iroh_addr *addr = NULL;
    int rc = target(c, id, &addr);
    iroh_connect_options options;
    iroh_connect_options_default(&options);
    options.early = early;
    if (rc == 0)
        rc = iroh_endpoint_connect(c->endpoint, addr, alpn, strlen(alpn), &options, timeout_ms, &c->connection);
    iroh_addr_free(addr);
    return rc;
}

static bool connect_peer(client *c, bool early) {
    uint8_t id[32];
    if (!peer_unhex(c->args->id, id))
        return fail(c, "--id is not 64 hex digits");
    int rc = dial(c, id, c->args->alpn, early, PEER_WAIT_MS);
    if (rc != 0)
        return failed_with(c, "connect", rc);
    iroh_public_key remote;
    if (!early && (iroh_connection_remote_id(c->connection, &remote) != 0 || memcmp(remote.bytes, id, sizeof id) != 0))
        return fail(c, "connected to another endpoint");
    return true;
}

static bool connect_fails(client *c, const char *alpn, bool other_id, int expected) {
    uint8_t id[32];
    if (!peer_unhex(c->args->id, id))
        return fail(c, "--id is not 64 hex digits");
    if (other_id) {
        iroh_secret_key own = iroh_endpoint_secret_key(c->endpoint);
        own.bytes[0] ^= 1;
        iroh_public_key other;
        iroh_secret_key_public(&own, &other);
        memcpy(id, other.bytes, sizeof id);
    }
    int rc = dial(c, id, alpn, false, PEER_WAIT_MS);
    if (rc != expected)
        return fail(c, "connect gave %s instead of %s", iroh_error_name(rc), iroh_error_name(expected));
    return result(c, "\"kind\": \"%s\"", c->args->script[0]);
}

static bool refused(client *c) {
    return connect_fails(c, c->args->alpn, false, IROH_ERR_REFUSED);
}

static bool wrong_alpn(client *c) {
    return connect_fails(c, "interop/unknown/0", false, IROH_ERR_HANDSHAKE);
}

static bool wrong_id(client *c) {
    return connect_fails(c, c->args->alpn, true, IROH_ERR_HANDSHAKE);
}

// ---------------------------------------------------------------------------------------------------------------------
// Transfers

typedef struct transfer {
    iroh_stream *out;  // null: not opened yet
    iroh_stream *in;   // the same one if bidirectional; null: not accepted yet
    bool bidi;
    bool finished;  // sent to the end
    bool done;      // received to the end
    size_t start;   // in the pattern
    size_t size;
    size_t sent;
    size_t received;
    size_t rekey_every;  // bytes sent between key updates that we start; 0: none
} transfer;

static void transfer_dispose(transfer *t) {
    if (t->in != t->out)
        iroh_stream_free(t->in);
    iroh_stream_free(t->out);
}

// The steps return whether they got anywhere; an error is noted in the client.
static bool transfer_open(client *c, transfer *t) {
    int rc = t->bidi ? iroh_connection_open_bi(c->connection, 0, &t->out)
                     : iroh_connection_open_uni(c->connection, 0, &t->out);
    if (rc == 0 && t->bidi)
        t->in = t->out;
    if (rc != 0 && rc != IROH_ERR_AGAIN)
        failed_with(c, "open", rc);
    return rc == 0;
}

static bool transfer_accept(client *c, transfer *t) {
    int rc = iroh_connection_accept_uni(c->connection, 0, &t->in);
    if (rc != 0 && rc != IROH_ERR_AGAIN)
        failed_with(c, "accept", rc);
    return rc == 0;
}

static void transfer_rekey(client *c, transfer *t, size_t wrote) {
    if (t->rekey_every && t->sent / t->rekey_every != (t->sent + wrote) / t->rekey_every) {
        int rc = iroh_connection_update_keys(c->connection);
        if (rc != 0 && rc != IROH_ERR_AGAIN)
            failed_with(c, "update keys", rc);
    }
}

static bool transfer_send(client *c, transfer *t) {
    if (t->sent == t->size) {
        int rc = iroh_stream_finish(t->out);
        if (rc != 0)
            failed_with(c, "finish", rc);
        t->finished = true;
        return true;
    }
    size_t left = t->size - t->sent;
    size_t piece = left < PATTERN_PERIOD ? left : PATTERN_PERIOD;
    int64_t wrote = iroh_stream_write(t->out, pattern_at(&c->pattern, t->start + t->sent), piece, 0);
    if (wrote > 0) {
        transfer_rekey(c, t, (size_t)wrote);
        t->sent += (size_t)wrote;
    } else if (wrote != IROH_ERR_AGAIN) {
        failed_with(c, "write", wrote);
    }
    return wrote > 0;
}

static bool transfer_receive(client *c, transfer *t) {
    uint8_t buffer[PEER_CHUNK];
    int64_t got = iroh_stream_read(t->in, buffer, sizeof buffer, 0);
    if (got == IROH_ERR_AGAIN)
        return false;
    if (got < 0) {
        failed_with(c, "read", got);
    } else if (got == 0) {
        t->done = true;
        if (t->received != t->size)
            fail(c, "%zu bytes came back instead of %zu", t->received, t->size);
    } else {
        if (!pattern_matches(&c->pattern, t->start + t->received, buffer, (size_t)got))
            fail(c, "the echo differs after byte %zu", t->received);
        t->received += (size_t)got;
    }
    return true;
}

static bool transfer_step(client *c, transfer *t) {
    if (t->done)
        return false;
    bool moved = false;
    if (!t->out)
        moved = transfer_open(c, t);
    if (t->out && !t->finished && !c->error[0])
        moved |= transfer_send(c, t);
    if (t->out && !t->in && !c->error[0])
        moved |= transfer_accept(c, t);
    if (t->in && !c->error[0])
        moved |= transfer_receive(c, t);
    return moved;
}

// What the transfer waits for: 0 to 2 items.
static size_t transfer_poll(const client *c, const transfer *t, iroh_pollitem items[static 2]) {
    size_t count = 0;
    if (t->done)
        return 0;
    if (!t->out || !t->in) {
        unsigned events = t->out ? IROH_POLL_ACCEPT_UNI : t->bidi ? IROH_POLL_OPEN_BI : IROH_POLL_OPEN_UNI;
        items[count++] = (iroh_pollitem){.connection = c->connection, .fd = -1, .events = events};
    }
    unsigned events =
        (t->finished ? 0u : (unsigned)IROH_POLL_WRITE) | (t->in == t->out ? (unsigned)IROH_POLL_READ : 0u);
    if (t->out && events)
        items[count++] = (iroh_pollitem){.stream = t->out, .fd = -1, .events = events};
    if (t->in && t->in != t->out && count < 2)
        items[count++] = (iroh_pollitem){.stream = t->in, .fd = -1, .events = IROH_POLL_READ};
    return count;
}

static bool transfers_wait(client *c, const transfer *list, size_t count) {
    static const int timeout_ms = PEER_WAIT_MS;
    iroh_pollitem *items = calloc(2 * count, sizeof *items);
    if (!items)
        return fail(c, "out of memory");
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        used += transfer_poll(c, &list[i], items + used);
    int rc = iroh_poll(items, used, timeout_ms);
    free(items);
    if (rc < 0)
        return failed_with(c, "poll", rc);
    return rc > 0 || fail(c, "nothing moved for %d ms", timeout_ms);
}

// Runs until all are done, or until the first has received `enough` bytes.
static bool transfers_run(client *c, transfer *list, size_t count, size_t enough) {
    size_t done = 0;
    while (done < count && list[0].received < enough && !c->error[0]) {
        bool moved = false;
        done = 0;
        for (size_t i = 0; i < count && !c->error[0]; i++) {
            moved |= transfer_step(c, &list[i]);
            done += list[i].done;
        }
        if (!moved && done < count && !c->error[0])
            transfers_wait(c, list, count);
    }
    return !c->error[0];
}

static bool transfer_one(client *c, transfer t) {
    bool ok = transfers_run(c, &t, 1, SIZE_MAX);
    transfer_dispose(&t);
    return ok;
}

static bool echo_bi(client *c) {
    size_t size = number(c, 1);
    return transfer_one(c, (transfer){.bidi = true, .size = size}) && result(c, "\"bytes\": %zu", size);
}

static bool echo_uni(client *c) {
    size_t size = number(c, 1);
    return transfer_one(c, (transfer){.size = size}) && result(c, "\"bytes\": %zu", size);
}

static bool parallel(client *c) {
    size_t count = number(c, 1);
    if (count == 0 || count > TRANSFERS_MAX)
        return fail(c, "1 to %d streams", TRANSFERS_MAX);
    transfer *list = calloc(count, sizeof *list);
    if (!list)
        return fail(c, "out of memory");
    for (size_t i = 0; i < count; i++)
        list[i] = (transfer){.bidi = true, .start = 7919 * i, .size = number(c, 2)};
    bool ok = transfers_run(c, list, count, SIZE_MAX);
    for (size_t i = 0; i < count; i++)
        transfer_dispose(&list[i]);
    free(list);
    return ok && result(c, "\"streams\": %zu", count);
}

static bool key_update(client *c) {
    size_t size = number(c, 1);
    if (!transfer_one(c, (transfer){.bidi = true, .size = size, .rekey_every = size / 8 + 1}))
        return false;
    iroh_connection_stats stats = {0};
    iroh_connection_stats_get(c->connection, &stats);
    if (stats.key_updates == 0)
        return fail(c, "no key update happened");
    return result(c, "\"key_updates\": %llu", (unsigned long long)stats.key_updates);
}

static bool hold(client *c) {
    sleep_ms((unsigned)number(c, 1) * 1000);
    return transfer_one(c, (transfer){.bidi = true, .size = 1000});
}

// An echo over the way that the scenario is about.
static bool echo_by(client *c, const char *kind) {
    if (!peer_path_wait(c->connection, kind, PEER_WAIT_MS))
        return fail(c, "the path is %s, not %s", peer_path_kind(c->connection), kind);
    bool ok = echo_bi(c);
    const char *after = peer_path_kind(c->connection);
    if (ok && strcmp(after, kind) != 0)
        return fail(c, "the path became %s", after);
    return ok && result(c, "\"path\": \"%s\"", after);
}

static bool relayed(client *c) {
    return echo_by(c, "relay");
}

static bool direct(client *c) {
    return echo_by(c, "direct");
}

// ---------------------------------------------------------------------------------------------------------------------
// Datagrams

static bool datagram_send(client *c, uint32_t index, size_t size) {
    uint8_t data[PEER_CHUNK] = {(uint8_t)(index >> 24), (uint8_t)(index >> 16), (uint8_t)(index >> 8), (uint8_t)index};
    memcpy(data + 4, pattern_at(&c->pattern, index), size - 4);
    int rc = iroh_connection_send_datagram_wait(c->connection, data, size, PEER_WAIT_MS);
    return rc == 0 || failed_with(c, "send datagram", rc);
}

// Takes what has come; each is counted once.
static bool datagrams_take(client *c, bool *seen, size_t count, size_t size, size_t *got, int timeout_ms) {
    uint8_t data[PEER_CHUNK];
    while (*got < count) {
        int len = iroh_connection_read_datagram(c->connection, data, sizeof data, timeout_ms);
        if (len == IROH_ERR_AGAIN || len == IROH_ERR_TIMEOUT)
            return true;
        if (len < 0)
            return failed_with(c, "read datagram", len);
        uint32_t index = (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
        if ((size_t)len != size || index >= count || !pattern_matches(&c->pattern, index, data + 4, size - 4))
            return fail(c, "a datagram came back changed");
        *got += !seen[index];
        seen[index] = true;
    }
    return true;
}

static bool datagrams(client *c) {
    size_t count = number(c, 1), size = number(c, 2);
    // What goes one way may be too large for the other until both have found what fits the path: a transfer lets them.
    if (size == 0 && !transfer_one(c, (transfer){.bidi = true, .size = SETTLING}))
        return false;
    int largest = iroh_connection_max_datagram(c->connection);
    if (size == 0 && largest > 0)
        size = (size_t)largest;
    if (largest < 0 || size < 4 || size > (size_t)largest || size > PEER_CHUNK)
        return fail(c, "the largest datagram is %d", largest);
    bool *seen = calloc(count + 1, sizeof *seen);
    if (!seen)
        return fail(c, "out of memory");
    size_t got = 0;
    bool ok = true;
    for (uint32_t i = 0; ok && i < count; i++)
        ok = datagram_send(c, i, size) && datagrams_take(c, seen, count, size, &got, 0);
    ok = ok && datagrams_take(c, seen, count, size, &got, DATAGRAM_QUIET_MS);
    free(seen);
    if (ok && got * 10 < count * 9)
        return fail(c, "only %zu of %zu datagrams came back", got, count);
    return ok && result(c, "\"sent\": %zu, \"received\": %zu, \"size\": %zu", count, got, size);
}

// ---------------------------------------------------------------------------------------------------------------------
// Codes

// Opens a stream and sends the scenario's own words as the command.
static iroh_stream *command_send(client *c) {
    char line[512];
    words_from(c, 0, line, sizeof line - 1);
    strcat(line, "\n");
    iroh_stream *s = NULL;
    int rc = iroh_connection_open_bi(c->connection, PEER_WAIT_MS, &s);
    if (rc == 0)
        rc = iroh_stream_write_all(s, line, strlen(line), PEER_WAIT_MS, NULL);
    if (rc != 0)
        failed_with(c, "command", rc);
    return s;
}

static bool code_is(client *c, const char *what, int64_t rc, int expected, uint64_t code) {
    if (rc != expected)
        return fail(c, "%s gave %s instead of %s", what, iroh_error_name((int)rc), iroh_error_name(expected));
    if (code != number(c, 1))
        return fail(c, "%s gave code %llu", what, (unsigned long long)code);
    return result(c, "\"code\": %llu", (unsigned long long)code);
}

static bool reset(client *c) {
    iroh_stream *s = command_send(c);
    uint8_t buffer[1000];
    int64_t rc = 1;
    while (!c->error[0] && rc > 0)
        rc = iroh_stream_read(s, buffer, sizeof buffer, PEER_WAIT_MS);
    uint64_t code = 0;
    if (!c->error[0])
        iroh_stream_reset_code(s, &code);
    bool ok = !c->error[0] && code_is(c, "read", rc, IROH_ERR_RESET, code);
    iroh_stream_free(s);
    return ok;
}

static bool stop(client *c) {
    static const uint8_t zeros[1000];
    iroh_stream *s = command_send(c);
    int64_t rc = 1;
    while (!c->error[0] && rc > 0) {
        sleep_ms(5);
        rc = iroh_stream_write(s, zeros, sizeof zeros, PEER_WAIT_MS);
    }
    uint64_t code = 0;
    if (!c->error[0])
        iroh_stream_stop_code(s, &code);
    bool ok = !c->error[0] && code_is(c, "write", rc, IROH_ERR_STOPPED, code);
    iroh_stream_free(s);
    return ok;
}

// Waits for the end of the connection and puts how it ended into the result.
static bool closed(client *c, iroh_close_info *info) {
    int rc = iroh_connection_closed(c->connection, (int)c->args->limit_s * 1000);
    if (rc != 0)
        return failed_with(c, "closed", rc);
    iroh_connection_close_info(c->connection, info);
    char how[3000];
    peer_close_json(info, how, sizeof how);
    return result(c, "\"close\": %s", how);
}

static bool close_by_peer(client *c) {
    char reason[256];
    words_from(c, 2, reason, sizeof reason);
    iroh_stream *s = command_send(c);
    iroh_close_info info = {0};
    bool ok = !c->error[0] && closed(c, &info);
    iroh_stream_free(s);
    if (!ok)
        return false;
    bool same = info.by_peer && info.application && info.error == IROH_ERR_PEER_CLOSED && info.code == number(c, 1) &&
                info.reason_len == strlen(reason) && memcmp(info.reason, reason, info.reason_len) == 0;
    return same ||
           fail(c, "closed with error %s, code %llu", iroh_error_name(info.error), (unsigned long long)info.code);
}

static bool send_reset(client *c) {
    uint8_t data[1000] = {0};
    iroh_stream *s = NULL;
    int rc = iroh_connection_open_bi(c->connection, PEER_WAIT_MS, &s);
    if (rc == 0)
        rc = iroh_stream_write_all(s, data, sizeof data, PEER_WAIT_MS, NULL);
    sleep_ms(200);  // a reset that overtakes the data would hide the stream from the server's application
    if (rc == 0)
        rc = iroh_stream_reset(s, number(c, 1));
    sleep_ms(300);
    iroh_stream_free(s);
    return rc == 0 || failed_with(c, "reset", rc);
}

static bool send_stop(client *c) {
    transfer t = {.bidi = true, .size = (size_t)4 << 20};
    bool ok = transfers_run(c, &t, 1, 1000);
    if (ok) {
        int rc = iroh_stream_stop(t.in, number(c, 1));
        ok = rc == 0 || failed_with(c, "stop", rc);
    }
    sleep_ms(SETTLE_MS);
    transfer_dispose(&t);
    return ok;
}

static bool send_close(client *c) {
    char reason[256];
    words_from(c, 2, reason, sizeof reason);
    if (!transfer_one(c, (transfer){.bidi = true, .size = 10}))
        return false;
    int rc = iroh_connection_close(c->connection, number(c, 1), reason, strlen(reason));
    return rc == 0 || failed_with(c, "close", rc);
}

static bool idle(client *c) {
    printf("{\"event\": \"connected\"}\n");
    iroh_close_info info = {0};
    if (!closed(c, &info))
        return false;
    return info.error == IROH_ERR_IDLE || fail(c, "closed with %s", iroh_error_name(info.error));
}

// ---------------------------------------------------------------------------------------------------------------------
// Resumption

// Nothing of this may wait: early data is what can be sent before the server said anything.
static void early_send(client *c, transfer *t) {
    while (!t->finished && !c->error[0]) {
        bool moved = t->out ? transfer_send(c, t) : transfer_open(c, t);
        if (!moved && !c->error[0])
            fail(c, "early data could not be sent at once");
    }
}

static bool early_exchange(client *c) {
    transfer t = {.bidi = true, .size = EARLY_SIZE};
    early_send(c, &t);
    int rc = c->error[0] ? 0 : iroh_connection_handshake(c->connection, PEER_WAIT_MS);
    int early = c->error[0] ? 0 : iroh_connection_early(c->connection);
    if (rc != 0 || early < 0)
        failed_with(c, "second handshake", rc != 0 ? rc : early);
    if (!c->error[0] && early == 1)
        transfers_run(c, &t, 1, SIZE_MAX);
    transfer_dispose(&t);
    if (c->error[0])
        return false;
    return result(c, "\"early\": \"%s\", \"resumed\": %s", early ? "accepted" : "rejected",
                  iroh_connection_resumed(c->connection) ? "true" : "false");
}

// A first connection for the ticket, then a second one that sends its request as early data. With `restart` the test
// starts the server anew in between, so that the early data is rejected and sent again.
static bool resume_with(client *c, bool restart) {
    if (!connect_peer(c, false) || !transfer_one(c, (transfer){.bidi = true, .size = 1000}))
        return false;
    sleep_ms(200);
    iroh_connection_close(c->connection, 0, "done", 4);
    iroh_connection_free(c->connection);
    c->connection = NULL;
    if (restart) {
        printf("{\"event\": \"ticket\"}\n");
        if (getchar() == EOF)
            return fail(c, "no word from the test");
    }
    return connect_peer(c, true) && early_exchange(c) && transfer_one(c, (transfer){.bidi = true, .size = 100000});
}

static bool resume(client *c) {
    return resume_with(c, false);
}

static bool resume_restart(client *c) {
    return resume_with(c, true);
}

// ---------------------------------------------------------------------------------------------------------------------
// The program

static const struct {
    const char *name;
    bool connects;  // the scenario connects by itself
    bool (*run)(client *);
} scenarios[] = {
    {"echo-bi", false, echo_bi},     {"echo-uni", false, echo_uni},     {"hash", false, echo_bi},
    {"parallel", false, parallel},   {"datagrams", false, datagrams},   {"reset", false, reset},
    {"stop", false, stop},           {"close", false, close_by_peer},   {"send-reset", false, send_reset},
    {"send-stop", false, send_stop}, {"send-close", false, send_close}, {"idle", false, idle},
    {"hold", false, hold},           {"key-update", false, key_update}, {"relayed", false, relayed},
    {"direct", false, direct},       {"refused", true, refused},        {"wrong-alpn", true, wrong_alpn},
    {"wrong-id", true, wrong_id},    {"resume", true, resume},          {"resume-restart", true, resume_restart},
};

static bool run_scenario(client *c) {
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        if (strcmp(scenarios[i].name, c->args->script[0]) != 0)
            continue;
        if (!scenarios[i].connects && !connect_peer(c, false))
            return false;
        return scenarios[i].run(c);
    }
    c->skipped = true;
    return result(c, "\"skip\": \"this peer has no scenario %s\"", c->args->script[0]);
}

static void print_result(client *c, bool ok, uint64_t took_ms) {
    iroh_connection_stats stats = {0};
    if (c->connection && iroh_connection_stats_get(c->connection, &stats) == 0)
        result(c, "\"cipher\": \"%s\"", peer_cipher_name(stats.cipher_suite));
    if (!ok)
        result(c, "\"error\": \"%s\"", c->error);
    printf("{%s\"ok\": %s, \"do\": \"%s\", \"ms\": %llu}\n", c->result, ok ? "true" : "false", c->args->script[0],
           (unsigned long long)took_ms);
}

int peer_client(const peer_args *args) {
    client *c = calloc(1, sizeof *c);
    if (!c)
        return 1;
    c->args = args;
    pattern_init(&c->pattern);
    uint64_t began = now_ms();
    int rc = peer_bind(args, NULL, &c->endpoint);
    bool ok = rc == 0 ? run_scenario(c) : failed_with(c, "bind", rc);
    print_result(c, ok, now_ms() - began);
    if (c->connection)
        iroh_connection_close(c->connection, 0, "done", 4);
    iroh_connection_free(c->connection);
    if (c->endpoint)
        iroh_endpoint_close(c->endpoint, CLOSE_MS);
    iroh_endpoint_free(c->endpoint);
    free(c);
    return ok ? 0 : 1;
}
