// Downloads from several providers at once, some of which lie, fall silent, die, or have only a part.
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "blobs/bao.h"
#include "blobs/outgoing.h"
#include "unit/blobs_support.h"

#define PARTIES 3
#define SIZE ((size_t)3000001)
#define LARGE ((size_t)12000000)

// Providers

typedef struct party {
    iroh_store *store;
    iroh_endpoint *ep;
    iroh_provider *provider;
    pthread_t thread;
    int stop[2];
} party;

static iroh_endpoint *bind_blobs(void) {
    iroh_endpoint_config config;
    iroh_slice alpn = {IROH_BLOBS_ALPN, strlen(IROH_BLOBS_ALPN)};
    duo_config(&config, OWN_THREAD);
    config.alpns = &alpn;
    config.alpn_count = 1;
    return duo_bind(&config);
}

static void *run_party(void *user) {
    party *p = user;
    thread_check(iroh_provider_run(p->provider, p->ep, p->stop[0], IROH_WAIT_FOREVER) == 0, "provider");
    return NULL;
}

static void party_open(party *p, uint64_t rate) {
    iroh_provider_config config;
    iroh_provider_config_default(&config);
    config.rate = rate;
    assert_int_equal(iroh_store_memory(NULL, &p->store), 0);
    p->ep = bind_blobs();
    assert_int_equal(iroh_provider_new(p->store, &config, &p->provider), 0);
    assert_int_equal(pipe(p->stop), 0);
    assert_int_equal(pthread_create(&p->thread, NULL, run_party, p), 0);
}

static void party_free(party *p) {
    assert_int_equal(write(p->stop[1], "", 1), 1);
    assert_int_equal(pthread_join(p->thread, NULL), 0);
    iroh_provider_free(p->provider);
    iroh_endpoint_free(p->ep);
    iroh_store_free(p->store);
    close(p->stop[0]);
    close(p->stop[1]);
}

// Who answers truly for `limit` bytes in all, and then does not.
typedef struct villain {
    iroh_store *store;  // of somebody else
    enum { LIES, STALLS, DIES, REFUSES } how;
    size_t limit;
    atomic_size_t sent;
    iroh_endpoint *ep;
    pthread_t thread;
    int stop[2];
} villain;

static size_t read_request(iroh_stream *s, uint8_t *out, size_t room) {
    size_t len = 0;
    int64_t n;
    while (len < room && (n = iroh_stream_read(s, out + len, room - len, LONG_MS)) > 0)
        len += (size_t)n;
    return len;
}

// False when it is done with the connection.
static bool misbehave(villain *v, iroh_connection *c, iroh_stream *s, uint8_t *bytes, size_t len) {
    size_t left = v->limit > v->sent ? v->limit - v->sent : 0, good = len < left ? len : left;
    if (v->how == LIES && good < len)
        bytes[good] ^= 1;
    int r = iroh_stream_write_all(s, bytes, v->how == LIES ? len : good, LONG_MS, NULL);
    v->sent += good;
    if (good == len || v->how == LIES)
        return r == 0;
    if (v->how == DIES)
        (void)iroh_connection_close(c, 7, "dead", 4);
    if (v->how == REFUSES)
        (void)iroh_stream_reset(s, 1);
    return v->how == REFUSES;
}

static bool answer(villain *v, iroh_connection *c, iroh_stream *s) {
    static uint8_t request[300000], bytes[OUTGOING_ROOM_MIN];
    proto_request parsed;
    outgoing *o;
    bool well = true;
    size_t len = read_request(s, request, sizeof request);
    if (len == 0 || proto_request_read(request[0], request + 1, len - 1, &parsed) != 0 || parsed.type != PROTO_GET)
        return true;
    thread_check(outgoing_new(v->store, &parsed, &o) == 0, "outgoing");
    for (int end = 0; end == 0 && well;) {
        size_t n;
        end = outgoing_write(o, bytes, sizeof bytes, &n);
        well = misbehave(v, c, s, bytes, n);
    }
    outgoing_free(o);
    return well;
}

// One connection at a time, and its streams one after the other, until it is told to stop.
static void serve_one(villain *v, iroh_connection *c) {
    iroh_stream *kept[16];
    size_t count = 0;
    for (bool go = true; go && count < 16;) {
        iroh_pollitem items[] = {{.connection = c, .fd = -1, .events = IROH_POLL_ACCEPT_BI},
                                 {.fd = v->stop[0], .events = IROH_POLL_READ}};
        if (iroh_poll(items, 2, IROH_WAIT_FOREVER) <= 0 || items[1].revents != 0 ||
            (items[0].revents & IROH_POLL_CLOSED))
            break;
        if (iroh_connection_accept_bi(c, 0, &kept[count]) != 0)
            continue;
        bool well = answer(v, c, kept[count++]);
        go = well || v->how == STALLS || v->how == LIES;
        if (well || v->how != STALLS)  // who stalls does not end the stream either
            iroh_stream_free(kept[--count]);
    }
    while (count > 0)
        iroh_stream_free(kept[--count]);
}

static void *run_villain(void *user) {
    villain *v = user;
    for (;;) {
        iroh_connection *c;
        iroh_pollitem items[] = {{.endpoint = v->ep, .fd = -1, .events = IROH_POLL_ACCEPT_BI},
                                 {.fd = v->stop[0], .events = IROH_POLL_READ}};
        if (iroh_poll(items, 2, IROH_WAIT_FOREVER) <= 0 || items[1].revents != 0)
            return NULL;
        if (iroh_endpoint_accept(v->ep, 0, &c) != 0)
            continue;
        serve_one(v, c);
        iroh_connection_free(c);
    }
}

static void villain_open(villain *v, int how, size_t limit, iroh_store *store) {
    iroh_connection *c;
    *v = (villain){.store = store, .how = how, .limit = limit, .ep = bind_blobs()};
    assert_int_equal(iroh_endpoint_accept(v->ep, 0, &c), IROH_ERR_AGAIN);
    assert_int_equal(pipe(v->stop), 0);
    assert_int_equal(pthread_create(&v->thread, NULL, run_villain, v), 0);
}

static void villain_free(villain *v) {
    assert_int_equal(write(v->stop[1], "", 1), 1);
    assert_int_equal(pthread_join(v->thread, NULL), 0);
    iroh_endpoint_free(v->ep);
    close(v->stop[0]);
    close(v->stop[1]);
}

// Scenes

typedef struct scene {
    party parties[PARTIES];
    size_t count;
    iroh_store *here;
    iroh_endpoint *client;
    iroh_downloader *downloader;
    iroh_download *download;
    iroh_get_options options;
    iroh_get_progress last;
} scene;

static void on_progress(void *user, const iroh_get_progress *p) {
    ((scene *)user)->last = *p;
}

static void scene_open(scene *s, size_t count, uint64_t rate) {
    *s = (scene){.count = count};
    for (size_t i = 0; i < count; i++)
        party_open(&s->parties[i], rate);
    assert_int_equal(iroh_store_memory(NULL, &s->here), 0);
    s->client = bind_blobs();
    assert_int_equal(iroh_downloader_new(s->client, s->here, NULL, &s->downloader), 0);
    iroh_get_options_default(&s->options);
    s->options.progress = on_progress;
    s->options.user = s;
}

static void scene_free(scene *s) {
    iroh_download_free(s->download);
    iroh_downloader_free(s->downloader);
    iroh_endpoint_free(s->client);
    for (size_t i = 0; i < s->count; i++)
        party_free(&s->parties[i]);
    iroh_store_free(s->here);
}

static void add_endpoint(scene *s, iroh_endpoint *ep) {
    iroh_addr *a = duo_addr(ep);
    assert_int_equal(iroh_download_add(s->download, a), 0);
    iroh_addr_free(a);
}

// A download of a content from all parties.
static void want(scene *s, iroh_content content) {
    iroh_download_free(s->download);
    assert_int_equal(iroh_download_new(s->downloader, &content, &s->download), 0);
    for (size_t i = 0; i < s->count; i++)
        add_endpoint(s, s->parties[i].ep);
}

static int fetch(scene *s) {
    return iroh_download_run(s->download, 0, &s->options);
}

static iroh_download_source source_of(const scene *s, size_t i) {
    iroh_download_source out;
    assert_int_equal(iroh_download_source_get(s->download, i, &out), 0);
    return out;
}

static iroh_content add_everywhere(scene *s, size_t size) {
    iroh_hash hash;
    for (size_t i = 0; i < s->count; i++)
        hash = blobs_add(s->parties[i].store, size);
    return blobs_raw(hash);
}

static uint64_t sum_of(const scene *s, size_t count) {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += source_of(s, i).bytes;
    return sum;
}

static void blobs_of_all_sizes_arrive(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 1024, 1025, 16384, 16385, 100000, 1048576, 1048577, SIZE, LARGE};
    scene s;
    scene_open(&s, 2, 0);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        want(&s, add_everywhere(&s, sizes[i]));
        assert_int_equal(fetch(&s), 0);
        blobs_assert_there(s.here, sizes[i]);
        if (sizes[i] > 0) {
            assert_int_equal(s.last.blobs, 1);
            assert_true(sum_of(&s, 2) >= sizes[i]);
        }
        assert_int_equal(fetch(&s), 0);  // again, with nothing to do
    }
    scene_free(&s);
}

// Of two that are equally fast, each sends about a half, and nothing much comes twice.
static void equals_send_equal_parts(void **state) {
    (void)state;
    scene s;
    scene_open(&s, 2, 8000000);
    want(&s, add_everywhere(&s, LARGE));
    assert_int_equal(fetch(&s), 0);
    blobs_assert_there(s.here, LARGE);
    for (size_t i = 0; i < 2; i++)
        assert_true(source_of(&s, i).bytes > LARGE / 5);
    assert_true(sum_of(&s, 2) >= LARGE);
    assert_true(sum_of(&s, 2) < LARGE + LARGE / 5);
    scene_free(&s);
}

static void play_villain(int how, size_t limit, int error) {
    scene s;
    villain v;
    scene_open(&s, 2, 6000000);
    iroh_content content = add_everywhere(&s, LARGE);
    villain_open(&v, how, limit, s.parties[0].store);
    assert_int_equal(iroh_download_new(s.downloader, &content, &s.download), 0);
    add_endpoint(&s, v.ep);
    add_endpoint(&s, s.parties[0].ep);
    add_endpoint(&s, s.parties[1].ep);
    assert_int_equal(fetch(&s), 0);
    blobs_assert_there(s.here, LARGE);
    assert_int_equal(source_of(&s, 0).error, error);
    assert_true(source_of(&s, 0).bytes <= limit + 3 * OUTGOING_ROOM_MIN);
    villain_free(&v);
    scene_free(&s);
}

static void liars_are_not_asked_again(void **state) {
    (void)state;
    play_villain(LIES, 0, IROH_ERR_PROTOCOL);
    play_villain(LIES, 700000, IROH_ERR_PROTOCOL);
}

static void who_stalls_loses_its_part(void **state) {
    (void)state;
    play_villain(STALLS, 0, IROH_ERR_TIMEOUT);
    play_villain(STALLS, 700000, IROH_ERR_TIMEOUT);
}

static void who_dies_loses_its_part(void **state) {
    (void)state;
    play_villain(DIES, 700000, IROH_ERR_PEER_CLOSED);
}

static void who_refuses_is_not_asked_again(void **state) {
    (void)state;
    play_villain(REFUSES, 300000, IROH_ERR_ACCESS);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(blobs_of_all_sizes_arrive), cmocka_unit_test(equals_send_equal_parts),
        cmocka_unit_test(liars_are_not_asked_again), cmocka_unit_test(who_stalls_loses_its_part),
        cmocka_unit_test(who_dies_loses_its_part),   cmocka_unit_test(who_refuses_is_not_asked_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
