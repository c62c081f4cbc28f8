#include "unit/blobs_scene_support.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "blobs/bao.h"
#include "blobs/outgoing.h"

// Providers

iroh_endpoint *bind_blobs(void) {
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

void party_open(party *p, iroh_store *store, uint64_t rate) {
    iroh_provider_config config;
    iroh_provider_config_default(&config);
    config.rate = rate;
    *p = (party){.store = store, .borrowed = store != NULL, .ep = bind_blobs()};
    if (store == NULL)
        assert_int_equal(iroh_store_memory(NULL, &p->store), 0);
    assert_int_equal(iroh_provider_new(p->store, &config, &p->provider), 0);
    assert_int_equal(pipe(p->stop), 0);
    assert_int_equal(pthread_create(&p->thread, NULL, run_party, p), 0);
}

void party_free(party *p) {
    assert_int_equal(write(p->stop[1], "", 1), 1);
    assert_int_equal(pthread_join(p->thread, NULL), 0);
    iroh_provider_free(p->provider);
    iroh_endpoint_free(p->ep);
    if (!p->borrowed)
        iroh_store_free(p->store);
    close(p->stop[0]);
    close(p->stop[1]);
}

// Villains

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

#define FLOOD_RANGES 4096  // in an item

// Every second group, further and further on, until nobody listens. False when it is to stop.
static bool flood(villain *v, iroh_stream *s) {
    static uint64_t at[2 * FLOOD_RANGES];
    static uint8_t bytes[20 * FLOOD_RANGES + 64];
    struct pollfd stop = {.fd = v->stop[0], .events = POLLIN};
    int r = 0;
    for (uint64_t chunk = 0; r == 0 && poll(&stop, 1, 0) == 0; v->items++) {
        proto_have item = {.size = UINT64_C(1) << 50, .count = 2 * FLOOD_RANGES, .at = at};
        for (size_t i = 0; i < item.count; i++, chunk += BAO_GROUP_CHUNKS)
            at[i] = chunk;
        writer w = writer_of(bytes, sizeof bytes);
        proto_have_write(&w, &item);
        r = iroh_stream_write_all(s, bytes, proto_have_size(&item), LONG_MS, NULL);
    }
    return r != 0;
}

static bool answer(villain *v, iroh_connection *c, iroh_stream *s) {
    static uint8_t request[300000], bytes[VILLAIN_PIECE];
    proto_request parsed;
    outgoing *o;
    bool well = true;
    size_t len = read_request(s, request, sizeof request);
    if (len == 0 || proto_request_read(request[0], request + 1, len - 1, &parsed) != 0)
        return true;
    if (v->how == FLOODS)
        return parsed.type == PROTO_OBSERVE ? flood(v, s) : iroh_stream_reset(s, PROTO_INTERNAL) == 0;
    if (parsed.type != PROTO_GET)
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

void villain_open(villain *v, int how, size_t limit, iroh_store *store) {
    iroh_connection *c;
    *v = (villain){.store = store, .how = how, .limit = limit, .ep = bind_blobs()};
    assert_int_equal(iroh_endpoint_accept(v->ep, 0, &c), IROH_ERR_AGAIN);
    assert_int_equal(pipe(v->stop), 0);
    assert_int_equal(pthread_create(&v->thread, NULL, run_villain, v), 0);
}

void villain_free(villain *v) {
    assert_int_equal(write(v->stop[1], "", 1), 1);
    assert_int_equal(pthread_join(v->thread, NULL), 0);
    iroh_endpoint_free(v->ep);
    close(v->stop[0]);
    close(v->stop[1]);
}

// Scenes

void scene_progress(void *user, const iroh_get_progress *p) {
    ((scene *)user)->last = *p;
}

void scene_open(scene *s, size_t count, uint64_t rate) {
    *s = (scene){.count = count};
    for (size_t i = 0; i < count; i++)
        party_open(&s->parties[i], NULL, rate);
    assert_int_equal(iroh_store_memory(NULL, &s->here), 0);
    s->client = bind_blobs();
    assert_int_equal(iroh_downloader_new(s->client, s->here, NULL, &s->downloader), 0);
    iroh_get_options_default(&s->options);
    s->options.progress = scene_progress;
    s->options.user = s;
}

void scene_free(scene *s) {
    iroh_download_free(s->download);
    iroh_downloader_free(s->downloader);
    iroh_endpoint_free(s->client);
    for (size_t i = 0; i < s->count; i++)
        party_free(&s->parties[i]);
    iroh_store_free(s->here);
}

void scene_add(scene *s, iroh_endpoint *ep) {
    iroh_addr *a = duo_addr(ep);
    assert_int_equal(iroh_download_add(s->download, a), 0);
    iroh_addr_free(a);
}

void scene_want(scene *s, iroh_content content) {
    iroh_download_free(s->download);
    assert_int_equal(iroh_download_new(s->downloader, &content, &s->download), 0);
    for (size_t i = 0; i < s->count; i++)
        scene_add(s, s->parties[i].ep);
}

int scene_fetch(scene *s) {
    return iroh_download_run(s->download, 0, &s->options);
}

iroh_download_source scene_source(const scene *s, size_t i) {
    iroh_download_source out;
    assert_int_equal(iroh_download_source_get(s->download, i, &out), 0);
    return out;
}

iroh_content scene_everywhere(scene *s, size_t size) {
    iroh_hash hash;
    for (size_t i = 0; i < s->count; i++)
        hash = blobs_add(s->parties[i].store, size);
    return blobs_raw(hash);
}

uint64_t scene_sum(const scene *s, size_t count) {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += scene_source(s, i).bytes;
    return sum;
}

void copy_chunks(iroh_store *from, iroh_store *to, const iroh_content *content, uint64_t first, uint64_t end) {
    party p;
    iroh_connection *c;
    iroh_get_options o;
    uint64_t chunks[] = {first, end};
    iroh_endpoint *client = bind_blobs();
    party_open(&p, from, 0);
    assert_int_equal(duo_dial(client, p.ep, IROH_BLOBS_ALPN, NULL, LONG_MS, &c), 0);
    iroh_get_options_default(&o);
    o.chunks = chunks;
    o.chunk_count = 2;
    assert_int_equal(iroh_blobs_get(c, to, content, &o), 0);
    iroh_connection_free(c);
    party_free(&p);
    iroh_endpoint_free(client);
}

void scene_downloader(scene *s, const iroh_downloader_options *o) {
    iroh_downloader_free(s->downloader);
    assert_int_equal(iroh_downloader_new(s->client, s->here, o, &s->downloader), 0);
}
