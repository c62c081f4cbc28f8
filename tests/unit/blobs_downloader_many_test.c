// Downloads of hash sequences from several providers at once, and several downloads at once.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/blobs_scene_support.h"

// Sequences

#define CHILDREN 2000
#define BIG 1234  // the child that is large

#define ALL_BLOBS ((uint64_t)CHILDREN)  // that come: the sequence itself, and its children but the empty one

static size_t child_size(size_t i) {
    return i == BIG ? 6000000 : i % 50 == 7 ? 20000 + i : i;
}

// With `modulo` > 0 only the children whose number leaves that rest are there.
static iroh_content add_sequence(iroh_store *s, size_t modulo, size_t rest) {
    iroh_batch *batch;
    iroh_hash *hashes = malloc(CHILDREN * sizeof *hashes), root;
    iroh_add_options o = {.format = IROH_BLOB_HASH_SEQ};
    assert_non_null(hashes);
    assert_int_equal(iroh_batch_new(s, &batch), 0);
    for (size_t i = 0; i < CHILDREN; i++) {
        uint8_t *data = blobs_data(child_size(i));
        iroh_add_options child = {.batch = batch};
        if (modulo == 0 || i % modulo == rest)
            assert_int_equal(iroh_store_add_bytes(s, data, child_size(i), &child, &hashes[i]), 0);
        else
            iroh_hash_of(data, child_size(i), &hashes[i]);
        free(data);
    }
    assert_int_equal(iroh_store_add_bytes(s, hashes, CHILDREN * sizeof *hashes, &o, &root), 0);
    iroh_batch_free(batch);
    free(hashes);
    return blobs_seq(root);
}

static void assert_sequence_there(iroh_store *s, const iroh_content *content) {
    assert_int_equal(iroh_content_is_complete(s, content), 1);
    for (size_t i = 0; i < CHILDREN; i += 111)
        blobs_assert_there(s, child_size(i));
}

static void children_are_shared_out(void **state) {
    (void)state;
    scene s;
    iroh_content content = {{{0}}, 0};
    scene_open(&s, 3, 4000000);
    for (size_t i = 0; i < s.count; i++)
        content = add_sequence(s.parties[i].store, 0, 0);
    scene_want(&s, content);
    assert_int_equal(scene_fetch(&s), 0);
    assert_sequence_there(s.here, &content);
    assert_int_equal(s.last.count, CHILDREN + 1);
    assert_int_equal(s.last.blobs, ALL_BLOBS);
    for (size_t i = 0; i < s.count; i++)
        assert_true(scene_source(&s, i).bytes > 500000);
    // What is there needs nobody.
    iroh_download *again;
    assert_int_equal(iroh_download_new(s.downloader, &content, &again), 0);
    assert_int_equal(iroh_download_run(again, 0, NULL), 0);
    iroh_download_free(again);
    scene_free(&s);
}

static uint64_t size_of_all(void) {
    uint64_t sum = CHILDREN * sizeof(iroh_hash);
    for (size_t i = 0; i < CHILDREN; i++)
        sum += child_size(i);
    return sum;
}

// One of three is lost in the middle, in whatever way, and others take over what it had begun: every blob counts, and
// counts once.
static void what_was_taken_over_counts_once(void **state) {
    (void)state;
    static const int hows[] = {DIES, STALLS, LIES, REFUSES};
    for (size_t i = 0; i < sizeof hows / sizeof *hows; i++) {
        scene s;
        villain v;
        iroh_content content = {{{0}}, 0};
        scene_open(&s, 2, 4000000);
        for (size_t k = 0; k < s.count; k++)
            content = add_sequence(s.parties[k].store, 0, 0);
        villain_open(&v, hows[i], 1500000, s.parties[0].store);
        scene_want(&s, content);
        scene_add(&s, v.ep);
        assert_int_equal(scene_fetch(&s), 0);
        assert_sequence_there(s.here, &content);
        assert_int_equal(s.last.blobs, ALL_BLOBS);
        assert_int_equal(s.last.have, 0);
        assert_true(s.last.bytes >= size_of_all());
        villain_free(&v);
        scene_free(&s);
    }
}

#define HALF_GROUPS 65536  // bytes that may be of groups that were not there as a whole, and so come again

static int cancel_pipe[2];

static void cancel_after_some(void *user, const iroh_get_progress *p) {
    scene_progress(user, p);
    if (p->bytes > SIZE && cancel_pipe[1] >= 0) {
        assert_int_equal(write(cancel_pipe[1], "", 1), 1);
        close(cancel_pipe[1]);
        cancel_pipe[1] = -1;
    }
}

// A run that goes on after another one counts what is left, and what was there before is told.
static void what_was_there_before_is_told(void **state) {
    (void)state;
    scene s;
    iroh_content content = {{{0}}, 0};
    scene_open(&s, 2, 4000000);
    for (size_t i = 0; i < s.count; i++)
        content = add_sequence(s.parties[i].store, 0, 0);
    scene_want(&s, content);
    assert_int_equal(pipe(cancel_pipe), 0);
    s.options.cancel_fd = cancel_pipe[0];
    s.options.progress = cancel_after_some;
    assert_int_equal(scene_fetch(&s), IROH_ERR_CLOSED);
    iroh_get_progress first = s.last;
    assert_in_range(first.blobs, 2, ALL_BLOBS - 1);
    s.options.cancel_fd = -1;
    assert_int_equal(scene_fetch(&s), 0);
    assert_sequence_there(s.here, &content);
    assert_int_equal(s.last.blobs + first.blobs, ALL_BLOBS);
    assert_in_range(s.last.have, first.bytes - HALF_GROUPS, first.bytes);
    assert_true(s.last.have + s.last.bytes >= size_of_all());
    close(cancel_pipe[0]);
    scene_free(&s);
}

#define GIVEN ((uint64_t)3200)  // chunks of the large child

// Somebody else stores the beginning of the large child when it has been asked for and has not begun to come; and when it
// has, another provider joins in and takes over the end.
typedef struct meanwhile {
    scene scene;
    iroh_content child;
    bool stored, joined;
} meanwhile;

static void store_meanwhile(void *user, const iroh_get_progress *p) {
    meanwhile *m = user;
    scene_progress(&m->scene, p);
    if (p->index == 1 && !m->stored) {
        m->stored = true;
        copy_chunks(m->scene.parties[0].store, m->scene.here, &m->child, 0, GIVEN);
    } else if (p->index == 2 && !m->joined) {
        m->joined = true;
        scene_add(&m->scene, m->scene.parties[1].ep);
    }
}

// What comes is then not what is missing.
static void what_others_store_meanwhile_leaves_no_gap(void **state) {
    (void)state;
    meanwhile m = {.stored = false};
    iroh_add_options o = {.format = IROH_BLOB_HASH_SEQ};
    iroh_hash hashes[2], root;
    scene_open(&m.scene, 2, 2000000);
    for (size_t i = 0; i < 2; i++) {
        hashes[0] = blobs_add(m.scene.parties[i].store, 200000);
        hashes[1] = blobs_add(m.scene.parties[i].store, 6000000);
        assert_int_equal(iroh_store_add_bytes(m.scene.parties[i].store, hashes, sizeof hashes, &o, &root), 0);
    }
    m.child = blobs_raw(hashes[1]);
    iroh_content content = blobs_seq(root);
    assert_int_equal(iroh_download_new(m.scene.downloader, &content, &m.scene.download), 0);
    scene_add(&m.scene, m.scene.parties[0].ep);
    m.scene.options.progress = store_meanwhile;
    m.scene.options.user = &m;
    assert_int_equal(scene_fetch(&m.scene), 0);
    assert_true(m.stored && m.joined);
    assert_int_equal(iroh_content_is_complete(m.scene.here, &content), 1);
    scene_free(&m.scene);
}

// Each child is in one of three stores, and nowhere else.
static void children_come_from_whoever_has_them(void **state) {
    (void)state;
    scene s;
    iroh_content content = {{{0}}, 0};
    scene_open(&s, 3, 0);
    for (size_t i = 0; i < s.count; i++)
        content = add_sequence(s.parties[i].store, 3, i);
    scene_want(&s, content);
    assert_int_equal(scene_fetch(&s), 0);
    assert_sequence_there(s.here, &content);
    scene_free(&s);
}

typedef struct adder {
    iroh_store *store;
    size_t size;
} adder;

#define CHILD ((size_t)400000)
#define CHILD_MIDDLE ((uint64_t)192)  // chunks of it, in whole groups
#define TRIES 20

// One has the first half of a child, the other one the second. What comes just before the end of an answer may be lost, so
// that it seems that neither has the beginning: not every time.
static void halves_of_a_child_make_a_whole(void **state) {
    (void)state;
    iroh_store *all;
    iroh_hash child, root;
    assert_int_equal(iroh_store_memory(NULL, &all), 0);
    child = blobs_add(all, CHILD);
    iroh_content content = blobs_raw(child), sequence;
    for (int i = 0; i < TRIES; i++) {
        scene s;
        scene_open(&s, 2, 0);
        for (size_t k = 0; k < 2; k++) {
            assert_int_equal(iroh_store_add_bytes(s.parties[k].store, &child, sizeof child, NULL, &root), 0);
            copy_chunks(all, s.parties[k].store, &content, k == 0 ? 0 : CHILD_MIDDLE,
                        k == 0 ? CHILD_MIDDLE : UINT64_MAX);
        }
        sequence = blobs_seq(root);
        scene_want(&s, sequence);
        assert_int_equal(scene_fetch(&s), 0);
        assert_int_equal(iroh_content_is_complete(s.here, &sequence), 1);
        blobs_assert_there(s.here, CHILD);
        scene_free(&s);
    }
    iroh_store_free(all);
}

static void *add_later(void *user) {
    const adder *a = user;
    iroh_hash hash;
    uint8_t *data = blobs_data(a->size);
    usleep(200000);
    thread_check(iroh_store_add_bytes(a->store, data, a->size, NULL, &hash) == 0, "adding");
    free(data);
    return NULL;
}

// A download that waits for it asks again.
static void a_child_that_its_provider_gets_meanwhile_is_asked_for(void **state) {
    (void)state;
    scene s;
    pthread_t thread;
    iroh_hash hashes[3], root;
    iroh_add_options o = {.format = IROH_BLOB_HASH_SEQ};
    scene_open(&s, 1, 0);
    adder a = {.store = s.parties[0].store, .size = 33333};
    uint8_t *data = blobs_data(a.size);
    iroh_hash_of(data, a.size, &hashes[1]);
    free(data);
    hashes[0] = blobs_add(a.store, 5);
    hashes[2] = blobs_add(a.store, 7);
    assert_int_equal(iroh_store_add_bytes(a.store, hashes, sizeof hashes, &o, &root), 0);
    iroh_content content = blobs_seq(root);
    scene_want(&s, content);
    assert_int_equal(pthread_create(&thread, NULL, add_later, &a), 0);
    assert_int_equal(iroh_download_run(s.download, LONG_MS, &s.options), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(iroh_content_is_complete(s.here, &content), 1);
    scene_free(&s);
}

// Who waits in vain does not wait for ever, although he asks again.
static void waiting_has_an_end(void **state) {
    (void)state;
    scene s;
    scene_open(&s, 1, 0);
    scene_want(&s, add_sequence(s.parties[0].store, 3, 0));
    assert_int_equal(iroh_download_run(s.download, 1500, &s.options), IROH_ERR_NOT_FOUND);
    scene_free(&s);
}

static void a_child_of_nobody_is_not_found(void **state) {
    (void)state;
    scene s;
    iroh_content content = {{{0}}, 0};
    scene_open(&s, 2, 0);
    for (size_t i = 0; i < s.count; i++)
        content = add_sequence(s.parties[i].store, 3, i);
    scene_want(&s, content);
    assert_int_equal(scene_fetch(&s), IROH_ERR_NOT_FOUND);
    assert_int_equal(iroh_content_is_complete(s.here, &content), 0);
    scene_free(&s);
}

static void what_is_no_sequence_is_refused(void **state) {
    (void)state;
    scene s;
    scene_open(&s, 2, 0);
    iroh_content content = scene_everywhere(&s, 100);
    content.format = IROH_BLOB_HASH_SEQ;
    scene_want(&s, content);
    assert_int_equal(scene_fetch(&s), IROH_ERR_LENGTH);
    scene_free(&s);
}

// Several downloads

typedef struct job {
    scene *scene;
    iroh_content content;
    pthread_t thread;
} job;

static void *run_job(void *user) {
    job *j = user;
    iroh_download *d;
    thread_check(iroh_download_new(j->scene->downloader, &j->content, &d) == 0, "download");
    for (size_t i = 0; i < j->scene->count; i++) {
        iroh_addr *a;
        thread_check(iroh_endpoint_addr(j->scene->parties[i].ep, &a) == 0, "address");
        thread_check(iroh_download_add(d, a) == 0, "add");
        iroh_addr_free(a);
    }
    thread_check(iroh_download_run(d, 0, NULL) == 0, "run");
    iroh_download_free(d);
    return NULL;
}

static atomic_uint greeted;

static int on_connected(void *user, iroh_connection *c) {
    (void)user;
    (void)c;
    greeted++;
    return 0;
}

// They run at the same time over the same connections.
static void downloads_share_connections(void **state) {
    (void)state;
    scene s;
    job jobs[6];
    iroh_downloader_options o;
    scene_open(&s, 2, 0);
    iroh_downloader_options_default(&o);
    o.on_connected = on_connected;
    greeted = 0;
    scene_downloader(&s, &o);
    for (size_t i = 0; i < 6; i++)
        jobs[i] = (job){.scene = &s, .content = scene_everywhere(&s, SIZE + i)};
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&jobs[i].thread, NULL, run_job, &jobs[i]), 0);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(pthread_join(jobs[i].thread, NULL), 0);
        blobs_assert_there(s.here, SIZE + i);
    }
    // Unshared there would be twelve. Who is silent for a second on a busy machine is dialled anew.
    assert_in_range(greeted, 1, 8);
    scene_free(&s);
}

static int refuse(void *user, iroh_connection *c) {
    (void)user;
    (void)c;
    return IROH_ERR_ACCESS;
}

static void connections_may_be_refused(void **state) {
    (void)state;
    scene s;
    iroh_downloader_options o;
    scene_open(&s, 1, 0);
    iroh_downloader_options_default(&o);
    o.on_connected = refuse;
    scene_downloader(&s, &o);
    scene_want(&s, scene_everywhere(&s, 1000));
    assert_int_equal(scene_fetch(&s), IROH_ERR_ACCESS);
    scene_free(&s);
}

// Somebody with an address at which nobody answers.
static void add_deaf(scene *s, int socket_fd) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    iroh_secret_key key;
    iroh_public_key id;
    iroh_addr *a;
    char text[32];
    assert_int_equal(bind(socket_fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(socket_fd, (struct sockaddr *)&at, &len), 0);
    (void)snprintf(text, sizeof text, "127.0.0.1:%d", ntohs(at.sin_port));
    iroh_secret_key_generate(&key);
    iroh_secret_key_public(&key, &id);
    assert_int_equal(iroh_addr_new(&id, &a), 0);
    assert_int_equal(iroh_addr_add_ip(a, text), 0);
    assert_int_equal(iroh_download_add(s->download, a), 0);
    iroh_addr_free(a);
}

// Who cannot be dialled because others are still being dialled waits, and is not given up for that.
static void limits_of_ours_are_nobodys_fault(void **state) {
    (void)state;
    scene s;
    party good;
    iroh_downloader_options o;
    int deaf = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(deaf >= 0);
    scene_open(&s, 0, 0);
    party_open(&good, NULL, 0);
    iroh_downloader_options_default(&o);
    o.max_connecting = 1;
    o.connect_ms = 1000;
    o.tries = 2;
    scene_downloader(&s, &o);
    scene_want(&s, blobs_raw(blobs_add(good.store, SIZE)));
    add_deaf(&s, deaf);
    scene_add(&s, good.ep);
    assert_int_equal(scene_fetch(&s), 0);
    blobs_assert_there(s.here, SIZE);
    scene_free(&s);
    party_free(&good);
    close(deaf);
}

// An endpoint without a thread of its own is driven by the call.
static void endpoints_without_a_thread_do(void **state) {
    (void)state;
    scene s;
    iroh_endpoint_config config;
    scene_open(&s, 2, 0);
    iroh_downloader_free(s.downloader);
    iroh_endpoint_free(s.client);
    duo_config(&config, NO_THREAD);
    s.client = duo_bind(&config);
    assert_int_equal(iroh_downloader_new(s.client, s.here, NULL, &s.downloader), 0);
    scene_want(&s, scene_everywhere(&s, SIZE));
    assert_int_equal(scene_fetch(&s), 0);
    blobs_assert_there(s.here, SIZE);
    scene_free(&s);
}

static atomic_uint gone;

static int on_event(void *user, const iroh_provider_event *e) {
    (void)user;
    gone += e->kind == IROH_PROVIDER_DISCONNECTED;
    return 0;
}

// Somebody sees to it that a connection which no download uses is closed, long before it would end by itself.
static void idle_connections_are_closed(void **state) {
    (void)state;
    scene s;
    blobs_duo d;
    iroh_downloader_options o;
    iroh_provider_config config;
    iroh_provider_config_default(&config);
    config.event = on_event;
    blobs_duo_open(&d, &config);
    scene_open(&s, 0, 0);
    iroh_downloader_options_default(&o);
    o.idle_ms = 100;
    scene_downloader(&s, &o);
    scene_want(&s, blobs_raw(blobs_add(d.there, SIZE)));
    scene_add(&s, d.server);
    gone = 0;
    assert_int_equal(scene_fetch(&s), 0);
    for (int i = 0; i < LONG_MS / 20 && gone == 0; i++)
        usleep(20000);
    assert_int_equal(gone, 1);
    assert_int_equal(scene_fetch(&s), 0);
    scene_free(&s);
    blobs_duo_free(&d);
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(children_are_shared_out),
        cmocka_unit_test(halves_of_a_child_make_a_whole),
        cmocka_unit_test(children_come_from_whoever_has_them),
        cmocka_unit_test(what_was_taken_over_counts_once),
        cmocka_unit_test(what_was_there_before_is_told),
        cmocka_unit_test(what_others_store_meanwhile_leaves_no_gap),
        cmocka_unit_test(a_child_that_its_provider_gets_meanwhile_is_asked_for),
        cmocka_unit_test(waiting_has_an_end),
        cmocka_unit_test(a_child_of_nobody_is_not_found),
        cmocka_unit_test(what_is_no_sequence_is_refused),
        cmocka_unit_test(downloads_share_connections),
        cmocka_unit_test(connections_may_be_refused),
        cmocka_unit_test(limits_of_ours_are_nobodys_fault),
        cmocka_unit_test(endpoints_without_a_thread_do),
        cmocka_unit_test(idle_connections_are_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
