// Collections against the vectors of the original, names that mean harm, and folders; and blob tickets.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hex.h"
#include "unit/blobs_support.h"

static iroh_hash hash_of_hex(const char *hex) {
    iroh_hash hash;
    assert_int_equal(iroh_hash_from_text(&hash, hex), 0);
    return hash;
}

static iroh_store *new_store(void) {
    iroh_store *s;
    assert_int_equal(iroh_store_memory(NULL, &s), 0);
    return s;
}

static iroh_hash add_text(iroh_store *s, const char *text, size_t len) {
    iroh_hash hash;
    assert_int_equal(iroh_store_add_bytes(s, text, len, NULL, &hash), 0);
    return hash;
}

static void add_entry(iroh_collection *c, const char *name, iroh_hash hash) {
    assert_int_equal(iroh_collection_add(c, name, strlen(name), &hash), 0);
}

static void assert_saved(const iroh_collection *c, iroh_store *s, const char *names, const char *root) {
    iroh_hash hash, expected = hash_of_hex(root), names_hash = hash_of_hex(names), first;
    assert_int_equal(iroh_collection_save(c, s, NULL, &hash), 0);
    assert_memory_equal(hash.bytes, expected.bytes, 32);
    assert_int_equal(iroh_store_read(s, &hash, 0, first.bytes, 32), 32);
    assert_memory_equal(first.bytes, names_hash.bytes, 32);
}

static void collections_have_the_hashes_of_the_original(void **state) {
    (void)state;
    iroh_store *s = new_store();
    iroh_collection *c;
    assert_int_equal(iroh_collection_new(&c), 0);
    assert_saved(c, s, "3c62686f64c05b1f2c38ae0486f91099edcbf7b18d7c6665b28159258b6083c4",
                 "c69e3bb6adb62a337f033d8d5d34498f7e58af9eadfbd8a835b6b0f7e861dbad");
    add_entry(c, "blob0", add_text(s, "\0", 1));
    add_entry(c, "blob1", add_text(s, "\1", 1));
    add_entry(c, "blob2", add_text(s, "\2", 1));
    assert_saved(c, s, "e959e548d08367e752900291ffeed01d0490427bea722ac2022b36ade26bdb7c",
                 "aab660b34dc8c1cecd063ab454233e8562b1c55b896c685b542b19166ccb0189");
    iroh_collection_free(c);
    assert_int_equal(iroh_collection_new(&c), 0);
    add_entry(c, "test.txt", add_text(s, "hello world", 11));
    assert_saved(c, s, "e0b5dbfc7c6f62cca4342ed5198d80839487991dac4f5d3612bebbf45be6810d",
                 "5f25813530dd2fc008784f19d8a6e175a138777c729c135fdf64fc21b19afede");
    iroh_collection_free(c);
    iroh_store_free(s);
}

static void names_are_sorted_by_bytes(void **state) {
    (void)state;
    static const char *const names[] = {"b", "a/b", "a", "", "a b", "ab", "a/b", "\xc3\xa9", "Z", "a.b"};
    static const char *const sorted[] = {"", "Z", "a", "a b", "a.b", "a/b", "a/b", "ab", "b", "\xc3\xa9"};
    iroh_collection *c;
    assert_int_equal(iroh_collection_new(&c), 0);
    for (size_t i = 0; i < 10; i++) {
        iroh_hash hash = {{(uint8_t)i}};
        add_entry(c, names[i], hash);
    }
    iroh_collection_sort(c);
    for (size_t i = 0; i < 10; i++) {
        size_t len;
        const char *name = iroh_collection_name(c, i, &len);
        assert_int_equal(len, strlen(sorted[i]));
        assert_memory_equal(name, sorted[i], len);
        iroh_hash hash = iroh_collection_hash(c, i);
        assert_string_equal(names[hash.bytes[0]], sorted[i]);
    }
    iroh_collection_free(c);
}

// A sequence of two children, the first of which are the bytes given.
static int load_made(iroh_store *s, const void *names, size_t len, size_t children) {
    iroh_hash hashes[3], root;
    iroh_collection *c;
    hashes[0] = add_text(s, names, len);
    hashes[1] = hashes[2] = add_text(s, "x", 1);
    assert_int_equal(iroh_store_add_bytes(s, hashes, 32 * children, NULL, &root), 0);
    int r = iroh_collection_load(s, &root, &c);
    assert_true((c != NULL) == (r == 0));
    iroh_collection_free(c);
    return r;
}

static void what_is_no_collection_is_refused(void **state) {
    (void)state;
    iroh_store *s = new_store();
    assert_int_equal(load_made(s,
                               "CollectionV0.\x01\x01"
                               "a",
                               16, 2),
                     0);
    assert_int_equal(load_made(s,
                               "CollectionV1.\x01\x01"
                               "a",
                               16, 2),
                     IROH_ERR_SYNTAX);
    assert_int_equal(load_made(s,
                               "CollectionV0.\x01\x01"
                               "a",
                               16, 3),
                     IROH_ERR_SYNTAX);
    assert_int_equal(load_made(s,
                               "CollectionV0.\x01\x02"
                               "a",
                               16, 2),
                     IROH_ERR_SYNTAX);
    assert_int_equal(load_made(s, "CollectionV0.\x01\x01\xff", 16, 2), IROH_ERR_UTF8);
    assert_int_equal(load_made(s, "CollectionV0.\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 23, 2), IROH_ERR_SYNTAX);
    assert_int_equal(load_made(s, "Coll", 4, 2), IROH_ERR_SYNTAX);
    assert_int_equal(load_made(s, "", 0, 0), IROH_ERR_SYNTAX);
    iroh_hash odd = add_text(s, "odd", 3), none = {{1}};
    iroh_collection *c;
    assert_int_equal(iroh_collection_load(s, &odd, &c), IROH_ERR_SYNTAX);
    assert_int_equal(iroh_collection_load(s, &none, &c), IROH_ERR_NOT_FOUND);
    iroh_store_free(s);
}

#define NAME(text)                                                                                                     \
    { text, sizeof(text) - 1 }

static const struct {
    const char *name;
    size_t len;
} evil[] = {NAME(""),      NAME("/"),     NAME("/etc/passwd"), NAME("../x"),    NAME("a/../../x"), NAME(".."),
            NAME("."),     NAME("a/./b"), NAME("a//b"),        NAME("a/"),      NAME("a/.."),      NAME("a\\b"),
            NAME("..\\x"), NAME("a\0b"),  NAME("\\"),          NAME("a/b/../c")};

static void harmful_names_are_not_safe(void **state) {
    (void)state;
    static const char *const good[] = {"a", "a/b", "...", "..a", "a..", ".a/..b", "a b/c:d", "\xc3\xa9/-rf"};
    for (size_t i = 0; i < sizeof evil / sizeof *evil; i++)
        assert_false(iroh_name_is_safe(evil[i].name, evil[i].len));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(iroh_name_is_safe(good[i], strlen(good[i])));
}

// Folders

typedef struct place {
    char dir[64];
    iroh_store *store;
} place;

static void place_make(place *p) {
    strcpy(p->dir, "/tmp/collection-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    p->store = new_store();
}

static void place_remove(place *p) {
    char command[128];
    iroh_store_free(p->store);
    (void)snprintf(command, sizeof command, "rm -rf %s", p->dir);
    assert_int_equal(system(command), 0);
}

static const char *path_in(const place *p, const char *name) {
    static char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", p->dir, name);
    return path;
}

static void write_file(const place *p, const char *name, const char *text) {
    FILE *f = fopen(path_in(p, name), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void assert_file(const place *p, const char *name, const char *text) {
    char got[64] = "";
    FILE *f = fopen(path_in(p, name), "r");
    assert_non_null(f);
    size_t n = fread(got, 1, sizeof got - 1, f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(got, text, n);
}

static size_t count_entries(const char *dir) {
    DIR *d = opendir(dir);
    size_t n = 0;
    assert_non_null(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n - 2;
}

static void names_that_climb_out_write_nothing(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof evil / sizeof *evil; i++) {
        place p;
        iroh_collection *c;
        char where[IROH_FOLDER_WHERE];
        iroh_folder_options o = {.where = where};
        place_make(&p);
        assert_int_equal(mkdir(path_in(&p, "target"), 0700), 0);
        assert_int_equal(iroh_collection_new(&c), 0);
        iroh_hash hash = add_text(p.store, "harm", 4);
        add_entry(c, "first", hash);  // nothing is written, not even what is good
        assert_int_equal(iroh_collection_add(c, evil[i].name, evil[i].len, &hash), 0);
        assert_int_equal(iroh_collection_export(c, p.store, path_in(&p, "target"), &o), IROH_ERR_ARG);
        assert_int_equal(count_entries(p.dir), 1);
        assert_int_equal(count_entries(path_in(&p, "target")), 0);
        iroh_collection_free(c);
        place_remove(&p);
    }
}

static void links_are_not_followed(void **state) {
    (void)state;
    place p;
    iroh_collection *c;
    place_make(&p);
    assert_int_equal(mkdir(path_in(&p, "target"), 0700), 0);
    assert_int_equal(mkdir(path_in(&p, "outside"), 0700), 0);
    assert_int_equal(symlink("../outside", path_in(&p, "target/link")), 0);
    assert_int_equal(symlink("../outside/new", path_in(&p, "target/file")), 0);
    iroh_hash hash = add_text(p.store, "harm", 4);
    assert_int_equal(iroh_collection_new(&c), 0);
    add_entry(c, "link/x", hash);
    assert_int_equal(iroh_collection_export(c, p.store, path_in(&p, "target"), NULL), IROH_ERR_ACCESS);
    iroh_collection_free(c);
    assert_int_equal(iroh_collection_new(&c), 0);
    add_entry(c, "file", hash);
    assert_int_equal(iroh_collection_export(c, p.store, path_in(&p, "target"), NULL), IROH_ERR_EXISTS);
    iroh_collection_free(c);
    assert_int_equal(count_entries(path_in(&p, "outside")), 0);
    place_remove(&p);
}

static void twice_the_same_name_is_refused(void **state) {
    (void)state;
    place p;
    iroh_collection *c;
    char where[IROH_FOLDER_WHERE];
    iroh_folder_options o = {.where = where};
    place_make(&p);
    assert_int_equal(iroh_collection_new(&c), 0);
    add_entry(c, "a/b", add_text(p.store, "1", 1));
    add_entry(c, "c", add_text(p.store, "2", 1));
    add_entry(c, "a/b", add_text(p.store, "3", 1));
    assert_int_equal(iroh_collection_export(c, p.store, p.dir, &o), IROH_ERR_ARG);
    assert_string_equal(where, "a/b");
    assert_int_equal(count_entries(p.dir), 0);
    iroh_collection_free(c);
    place_remove(&p);
}

static void folders_come_out_as_they_went_in(void **state) {
    (void)state;
    place p;
    iroh_collection *c;
    place_make(&p);
    assert_int_equal(mkdir(path_in(&p, "tree"), 0700), 0);
    assert_int_equal(mkdir(path_in(&p, "tree/sub"), 0700), 0);
    assert_int_equal(mkdir(path_in(&p, "tree/none"), 0700), 0);
    write_file(&p, "tree/a", "first");
    write_file(&p, "tree/sub/b", "second");
    write_file(&p, "tree/sub/empty", "");
    assert_int_equal(symlink("a", path_in(&p, "tree/link")), 0);
    assert_int_equal(iroh_collection_new(&c), 0);
    assert_int_equal(iroh_collection_import(c, p.store, path_in(&p, "tree"), NULL), 0);
    iroh_collection_sort(c);
    assert_int_equal(iroh_collection_count(c), 3);  // neither the link nor the empty folder
    size_t len;
    assert_memory_equal(iroh_collection_name(c, 2, &len), "tree/sub/empty", 14);
    assert_int_equal(mkdir(path_in(&p, "out"), 0700), 0);
    assert_int_equal(iroh_collection_export(c, p.store, path_in(&p, "out"), NULL), 0);
    assert_file(&p, "out/tree/a", "first");
    assert_file(&p, "out/tree/sub/b", "second");
    assert_file(&p, "out/tree/sub/empty", "");
    // Again: the same files are fine, another one is not.
    assert_int_equal(iroh_collection_export(c, p.store, path_in(&p, "out"), NULL), 0);
    write_file(&p, "out/tree/sub/b", "SECOND");
    char where[IROH_FOLDER_WHERE] = "";
    iroh_folder_options o = {.where = where};
    assert_int_equal(iroh_collection_export(c, p.store, path_in(&p, "out"), &o), IROH_ERR_EXISTS);
    assert_string_equal(where, "tree/sub/b");
    assert_file(&p, "out/tree/sub/b", "SECOND");
    iroh_collection_free(c);
    place_remove(&p);
}

static void file_names_that_cannot_travel_are_told(void **state) {
    (void)state;
    static const char *const names[] = {"back\\slash", "bad\xff"};
    static const int errors[] = {IROH_ERR_ARG, IROH_ERR_UTF8};
    for (int i = 0; i < 2; i++) {
        place p;
        iroh_collection *c;
        char where[IROH_FOLDER_WHERE] = "";
        iroh_folder_options o = {.where = where};
        place_make(&p);
        write_file(&p, names[i], "x");
        assert_int_equal(iroh_collection_new(&c), 0);
        assert_int_equal(iroh_collection_import(c, p.store, p.dir, &o), errors[i]);
        assert_non_null(strstr(where, names[i]));
        iroh_collection_free(c);
        place_remove(&p);
    }
}

// Tickets

#define ID_HEX "ae58ff8833241ac82d6ff7611046ed67b5072d142c588d0063e942d9a75502b6"
#define HASH_HEX "0b84d358e4c8be6c38626b2182ff575818ba6bd3f4b90464994be14cb354a072"

static const struct {
    const char *text, *relay, *ips[2];
    int format;
} tickets[] = {
    {"blobacxfr74igmsbvsbnn73wcecg5vt3kbzncqwfrdiampuufwnhkublmaaaaafyju2y4tel43bymjvsdax7k5mbrotl2p2lsbde"
     "tff6ctftksqhe",
     NULL,
     {NULL, NULL},
     IROH_BLOB_RAW},
    {"blobacxfr74igmsbvsbnn73wcecg5vt3kbzncqwfrdiampuufwnhkublmai3nb2hi4dthixs64tfnrqxsltfpbqw24dmmuxgg33n"
     "fyxqead7aaaadaaiaeaaaaaaaaaaaaaaaaaaaaaaaaa5ciqbbocngwhezc7gyodcnmqyf72xlamlu26t6s4qizezjpquzm2uubza",
     "https://relay.example.com./",
     {"127.0.0.1:1024", "[::1]:4433"},
     IROH_BLOB_HASH_SEQ},
    {"blobacxfr74igmsbvsbnn73wcecg5vt3kbzncqwfrdiampuufwnhkublmaiunb2hi4dthixs6zlymfwxa3dffzrw63jpaiah6aaa"
     "ahjasajaaeg3qaaaaaaaaaaaaaaaaaab2eracc4e2nmojsf6nq4ge2zbql7vowayxjv5h5fzarsjss7bjszvjids",
     "https://example.com/",
     {"127.0.0.1:1234", "[2001:db8::1]:4433"},
     IROH_BLOB_HASH_SEQ},
};

static void tickets_are_those_of_the_original(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof tickets / sizeof *tickets; i++) {
        iroh_addr *expected, *got;
        iroh_public_key id;
        iroh_content content, want = {hash_of_hex(HASH_HEX), tickets[i].format};
        char text[512];
        assert_int_equal(iroh_public_key_from_text(&id, ID_HEX), 0);
        assert_int_equal(iroh_addr_new(&id, &expected), 0);
        if (tickets[i].relay != NULL)
            assert_int_equal(iroh_addr_add_relay(expected, tickets[i].relay), 0);
        for (int j = 1; j >= 0; j--)
            if (tickets[i].ips[j] != NULL)
                assert_int_equal(iroh_addr_add_ip(expected, tickets[i].ips[j]), 0);
        assert_int_equal(iroh_blob_ticket_parse(tickets[i].text, &got, &content), 0);
        assert_true(iroh_addr_equal(expected, got));
        assert_memory_equal(content.hash.bytes, want.hash.bytes, 32);
        assert_int_equal(content.format, want.format);
        assert_int_equal(iroh_blob_ticket_format(expected, &want, text, sizeof text), strlen(tickets[i].text));
        assert_string_equal(text, tickets[i].text);
        assert_int_equal(iroh_blob_ticket_format(expected, &want, text, strlen(tickets[i].text)), IROH_ERR_TOO_LARGE);
        iroh_addr_free(expected);
        iroh_addr_free(got);
    }
}

static void broken_tickets_are_refused(void **state) {
    (void)state;
    iroh_addr *a;
    iroh_content content;
    char text[512];
    assert_int_equal(iroh_blob_ticket_parse("endpointaaaa", &a, &content), IROH_ERR_KIND);
    assert_int_equal(iroh_blob_ticket_parse("blob!", &a, &content), IROH_ERR_SYNTAX);
    assert_int_equal(iroh_blob_ticket_parse("blob", &a, &content), IROH_ERR_TRUNCATED);
    for (size_t len = 4; len < strlen(tickets[1].text); len++) {
        memcpy(text, tickets[1].text, len);
        text[len] = '\0';
        assert_true(iroh_blob_ticket_parse(text, &a, &content) < 0);
        assert_null(a);
    }
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(collections_have_the_hashes_of_the_original),
        cmocka_unit_test(names_are_sorted_by_bytes),
        cmocka_unit_test(what_is_no_collection_is_refused),
        cmocka_unit_test(harmful_names_are_not_safe),
        cmocka_unit_test(names_that_climb_out_write_nothing),
        cmocka_unit_test(links_are_not_followed),
        cmocka_unit_test(twice_the_same_name_is_refused),
        cmocka_unit_test(folders_come_out_as_they_went_in),
        cmocka_unit_test(file_names_that_cannot_travel_are_told),
        cmocka_unit_test(tickets_are_those_of_the_original),
        cmocka_unit_test(broken_tickets_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
