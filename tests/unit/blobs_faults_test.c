// `iroh send` and `iroh receive` when things go wrong: providers that lie, names that climb out, disks without room, files
// that change. A clear error and an exit status, nothing unverified in the target, and progress that is kept.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit/blobs_support.h"
#include "unit/process_support.h"

#include "blobs/bao.h"

#define IROH IROH_BIN_DIR "/iroh"
#define SIZE 6000000  // bytes: its outboard is in a file, so that all of its progress is kept
#define LIMIT "4000"  // blocks of 512 or 1024 bytes, as the shell counts them: less than SIZE
#define PATH_ROOM 256
#define TICKET_ROOM 512

typedef struct place {
    char dir[64];
} place;

static int place_make(void **state) {
    place *p = malloc(sizeof *p);
    assert_non_null(p);
    strcpy(p->dir, "/tmp/blobs-faults-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    *state = p;
    return 0;
}

static int place_remove(void **state) {
    place *p = *state;
    char command[128];
    (void)process_kill_all(NULL);
    (void)snprintf(command, sizeof command, "rm -rf %s", p->dir);
    int r = system(command);
    free(p);
    return r;
}

static const char *path_in(const place *p, const char *name, char out[static PATH_ROOM]) {
    (void)snprintf(out, PATH_ROOM, "%s/%s", p->dir, name);
    return out;
}

static void write_bytes(const char *path, const void *bytes, size_t len) {
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void assert_bytes(const char *path, const uint8_t *bytes, size_t len) {
    uint8_t *got = malloc(len + 1);
    FILE *f = fopen(path, "r");
    assert_non_null(got);
    assert_non_null(f);
    assert_int_equal(fread(got, 1, len + 1, f), len);
    assert_memory_equal(got, bytes, len);
    assert_int_equal(fclose(f), 0);
    free(got);
}

static bool is_there(const place *p, const char *name) {
    char path[PATH_ROOM];
    struct stat st;
    return lstat(path_in(p, name, path), &st) == 0;
}

static void make_ticket(iroh_endpoint *ep, const iroh_content *content, char out[static TICKET_ROOM]) {
    iroh_addr *a;
    assert_int_equal(iroh_endpoint_addr(ep, &a), 0);
    assert_true(iroh_blob_ticket_format(a, content, out, TICKET_ROOM) > 0);
    iroh_addr_free(a);
}

static void start_receiver(process *p, const char *target, const char *ticket) {
    const char *const words[] = {IROH,   "receive", "--bind", "127.0.0.1:0", "--direct-only",
                                 "--to", target,    ticket,   NULL};
    process_start(p, words, PROCESS_NULL, PROCESS_NULL);
}

static int receive(process *p, const char *target, const char *ticket) {
    start_receiver(p, target, ticket);
    return process_wait(p);
}

static void start_sender(process *p, const char *path, char ticket[static TICKET_ROOM]) {
    const char *const words[] = {IROH, "send", "--bind", "127.0.0.1:0", "--direct-only", path, NULL};
    process_start(p, words, PROCESS_NULL, PROCESS_NULL);
    (void)snprintf(ticket, TICKET_ROOM, "%s", process_word(p, "iroh receive "));
}

static void end(process *p) {
    process_signal(p, SIGINT);
    assert_int_equal(process_wait(p), 0);
}

// --- Liars

typedef struct scene {
    uint8_t *data, *encoding;
    iroh_content content;
    blobs_liar liar;
    char ticket[TICKET_ROOM], target[PATH_ROOM];
} scene;

static void scene_set(scene *s, const place *pl) {
    *s = (scene){.data = blobs_data(SIZE)};
    s->encoding = blobs_encoding(s->data, SIZE, 0, BAO_END, &s->liar.len);
    s->liar.bytes = s->encoding;
    iroh_hash_of(s->data, SIZE, &s->content.hash);
    (void)path_in(pl, "out", s->target);
}

static void scene_open(scene *s) {
    blobs_liar_open(&s->liar);
    // It serves one connection after the other, and this one is not needed.
    (void)iroh_connection_close(s->liar.c, 0, "", 0);
    make_ticket(s->liar.server, &s->content, s->ticket);
}

static void scene_end(scene *s) {
    blobs_liar_free(&s->liar);
    free(s->data);
    free(s->encoding);
}

// The target has nothing but what a later attempt goes on with; an honest provider brings the rest.
static void assert_goes_on(scene *s, const place *pl) {
    blobs_duo d;
    process p;
    char name[IROH_HASH_HEX_SIZE], file[PATH_ROOM], ticket[TICKET_ROOM], within[PATH_ROOM + 80];
    iroh_hash_to_hex(&s->content.hash, name);
    (void)snprintf(within, sizeof within, "out/%s", name);
    assert_false(is_there(pl, within));
    blobs_duo_open(&d, NULL);
    (void)blobs_add(d.there, SIZE);
    make_ticket(d.server, &s->content, ticket);
    assert_int_equal(receive(&p, s->target, ticket), 0);
    assert_null(strstr(p.text, "; 0 B were here before"));
    assert_bytes(path_in(pl, within, file), s->data, SIZE);
    blobs_duo_free(&d);
}

static void wrong_bytes_are_told_and_not_taken(void **state) {
    process p;
    scene s;
    scene_set(&s, *state);
    s.encoding[s.liar.len - 1000] ^= 1;
    scene_open(&s);
    assert_int_equal(receive(&p, s.target, s.ticket), 1);
    assert_non_null(strstr(p.text, "the other side sends wrong data"));
    assert_non_null(strstr(p.text, "the same command again goes on"));
    assert_goes_on(&s, *state);
    scene_end(&s);
}

static void wrong_sizes_are_told_and_not_taken(void **state) {
    static const uint64_t sizes[] = {SIZE - 1, SIZE + 1, UINT64_C(1) << 50};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        process p;
        scene s;
        char name[80] = "out/", hex[IROH_HASH_HEX_SIZE];
        scene_set(&s, *state);
        for (int byte = 0; byte < 8; byte++)
            s.encoding[byte] = (uint8_t)(sizes[i] >> (8 * byte));
        s.liar.then = LIAR_FINISHES;
        scene_open(&s);
        assert_int_equal(receive(&p, s.target, s.ticket), 1);
        assert_non_null(strstr(p.text, "cannot fetch"));
        iroh_hash_to_hex(&s.content.hash, hex);
        strcat(name, hex);
        assert_false(is_there(*state, name));
        scene_end(&s);
    }
}

static void providers_that_break_off_are_told(void **state) {
    process p;
    scene s;
    scene_set(&s, *state);
    s.liar.len /= 2;
    s.liar.then = LIAR_FINISHES;
    scene_open(&s);
    assert_int_equal(receive(&p, s.target, s.ticket), 1);
    assert_non_null(strstr(p.text, "has not got all of it"));
    assert_goes_on(&s, *state);
    scene_end(&s);
}

static void endless_answers_do_no_harm(void **state) {
    process p;
    scene s;
    scene_set(&s, *state);
    s.liar.then = LIAR_GOES_ON;
    scene_open(&s);
    assert_int_equal(receive(&p, s.target, s.ticket), 0);
    scene_end(&s);
}

static void waiting_can_be_interrupted(void **state) {
    process p;
    scene s;
    scene_set(&s, *state);
    s.liar.len -= 100;
    s.liar.then = LIAR_STALLS;
    scene_open(&s);
    start_receiver(&p, s.target, s.ticket);
    char store[PATH_ROOM + 100], hex[IROH_HASH_HEX_SIZE];
    iroh_hash_to_hex(&s.content.hash, hex);
    (void)snprintf(store, sizeof store, "out/.iroh-receive-%s/data/%s.data", hex, hex);
    while (!is_there(*state, store))
        usleep(1000);
    process_signal(&p, SIGINT);
    assert_int_equal(process_wait(&p), 130);
    assert_non_null(strstr(p.text, "interrupted"));
    scene_end(&s);
}

// --- Names

static void receive_name(const place *pl, const char *name, const char *why) {
    blobs_duo d;
    process p;
    iroh_collection *c;
    iroh_content content = {.format = IROH_BLOB_HASH_SEQ};
    char ticket[TICKET_ROOM], target[PATH_ROOM];
    blobs_duo_open(&d, NULL);
    iroh_hash good = blobs_add(d.there, 10), bad = blobs_add(d.there, 20);
    assert_int_equal(iroh_collection_new(&c), 0);
    assert_int_equal(iroh_collection_add(c, "good", 4, &good), 0);
    assert_int_equal(iroh_collection_add(c, name, strlen(name), &bad), 0);
    assert_int_equal(iroh_collection_save(c, d.there, NULL, &content.hash), 0);
    iroh_collection_free(c);
    make_ticket(d.server, &content, ticket);
    assert_int_equal(receive(&p, path_in(pl, "deep/out", target), ticket), 1);
    assert_non_null(strstr(p.text, why));
    blobs_duo_free(&d);
}

static void names_that_climb_out_write_nothing(void **state) {
    static const char *const names[] = {"../evil", "a/../../evil", "/tmp/blobs-faults-evil",
                                        "a//evil", "./evil",       "a\\evil"};
    const place *pl = *state;
    char path[PATH_ROOM];
    assert_int_equal(mkdir(path_in(pl, "deep", path), 0700), 0);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        receive_name(pl, names[i], "not a safe name");
    assert_false(is_there(pl, "deep/evil"));
    assert_false(is_there(pl, "evil"));
    assert_int_equal(access("/tmp/blobs-faults-evil", F_OK), -1);
    // Nothing else was written either.
    assert_false(is_there(pl, "deep/out/good"));
}

static void links_in_the_target_are_not_followed(void **state) {
    const place *pl = *state;
    char path[PATH_ROOM], link[PATH_ROOM];
    assert_int_equal(mkdir(path_in(pl, "deep", path), 0700), 0);
    assert_int_equal(mkdir(path_in(pl, "deep/out", path), 0700), 0);
    assert_int_equal(mkdir(path_in(pl, "elsewhere", path), 0700), 0);
    assert_int_equal(symlink(path, path_in(pl, "deep/out/link", link)), 0);
    receive_name(pl, "link/evil", "cannot write");
    assert_false(is_there(pl, "elsewhere/evil"));
}

// --- Disks

static void a_target_that_cannot_be_written_is_told(void **state) {
    const place *pl = *state;
    process sender, p;
    char path[PATH_ROOM], ticket[TICKET_ROOM];
    write_bytes(path_in(pl, "file", path), "hello", 5);
    start_sender(&sender, path, ticket);
    // Nobody may make files there, not even root.
    assert_int_equal(receive(&p, "/proc", ticket), 1);
    assert_non_null(strstr(p.text, "cannot open the store /proc/"));
    assert_int_equal(receive(&p, path, ticket), 1);  // a file, no folder
    assert_non_null(strstr(p.text, "cannot open the store"));
    end(&sender);
}

// Files that may not grow are like a disk without room.
static void a_full_disk_is_told_and_progress_kept(void **state) {
    const place *pl = *state;
    process sender, p;
    char path[PATH_ROOM], target[PATH_ROOM], ticket[TICKET_ROOM], command[2 * PATH_ROOM + TICKET_ROOM];
    uint8_t *data = blobs_data(SIZE);
    write_bytes(path_in(pl, "file", path), data, SIZE);
    start_sender(&sender, path, ticket);
    (void)path_in(pl, "out", target);
    (void)snprintf(command, sizeof command,
                   "ulimit -f " LIMIT "; exec %s receive --bind 127.0.0.1:0 --direct-only --to %s %s", IROH, target,
                   ticket);
    const char *const words[] = {"/bin/sh", "-c", command, NULL};
    process_start(&p, words, PROCESS_NULL, PROCESS_NULL);
    assert_int_equal(process_wait(&p), 1);
    assert_non_null(strstr(p.text, iroh_strerror(IROH_ERR_NO_SPACE)));
    assert_false(is_there(pl, "out/file"));
    assert_int_equal(receive(&p, target, ticket), 0);
    assert_null(strstr(p.text, "; 0 B were here before"));
    assert_bytes(path_in(pl, "out/file", path), data, SIZE);
    end(&sender);
    free(data);
}

// --- Files that change

static void receive_changed(const place *pl, const uint8_t *data, bool same_time) {
    process sender, p;
    char path[PATH_ROOM], target[PATH_ROOM], ticket[TICKET_ROOM];
    struct stat st;
    write_bytes(path_in(pl, "file", path), data, SIZE);
    start_sender(&sender, path, ticket);
    assert_int_equal(stat(path, &st), 0);
    FILE *f = fopen(path, "r+");
    assert_non_null(f);
    assert_int_equal(fseek(f, SIZE / 2, SEEK_SET), 0);
    assert_int_equal(fputc(data[SIZE / 2] ^ 1, f), data[SIZE / 2] ^ 1);
    assert_int_equal(fclose(f), 0);
    struct timespec times[] = {st.st_atim, st.st_mtim};
    if (same_time)
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    (void)path_in(pl, "out", target);
    assert_int_equal(receive(&p, target, ticket), 1);
    assert_non_null(strstr(p.text, "has not got all of it"));
    assert_false(is_there(pl, "out/file"));
    // The sender goes on; what it has again, it serves again.
    write_bytes(path, data, SIZE);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    assert_int_equal(receive(&p, target, ticket), 0);
    assert_bytes(path_in(pl, "out/file", path), data, SIZE);
    end(&sender);
    assert_int_equal(unlink(path), 0);
}

static void files_that_change_are_not_sent(void **state) {
    uint8_t *data = blobs_data(SIZE);
    receive_changed(*state, data, false);
    receive_changed(*state, data, true);  // only its hash gives it away
    free(data);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, place_make, place_remove)

int main(void) {
    static const struct CMUnitTest tests[] = {
        CASE(wrong_bytes_are_told_and_not_taken),
        CASE(wrong_sizes_are_told_and_not_taken),
        CASE(providers_that_break_off_are_told),
        CASE(endless_answers_do_no_harm),
        CASE(waiting_can_be_interrupted),
        CASE(names_that_climb_out_write_nothing),
        CASE(links_in_the_target_are_not_followed),
        CASE(a_target_that_cannot_be_written_is_told),
        CASE(a_full_disk_is_told_and_progress_kept),
        CASE(files_that_change_are_not_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
