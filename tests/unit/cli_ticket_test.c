// `iroh ticket` as its users meet it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/id.h>
#include <jansson.h>

#include "unit/process_support.h"

#define IROH IROH_BIN_DIR "/iroh"
#define TICKET_MAX 4096

typedef struct outcome {
    int status;
    char out[16384];
    process p;
} outcome;

static void run(outcome *o, const char *ticket, const char *option) {
    const char *const words[] = {IROH, "ticket", ticket, option, NULL};
    process_start(&o->p, words, PROCESS_NULL, PROCESS_PIPE);
    o->out[process_read_all(o->p.out, o->out, sizeof o->out - 1)] = '\0';
    o->status = process_wait(&o->p);
}

static void make_ticket(char out[static TICKET_MAX]) {
    static const iroh_secret_key secret;
    iroh_public_key id;
    iroh_addr *a;
    iroh_secret_key_public(&secret, &id);
    assert_int_equal(iroh_addr_new(&id, &a), 0);
    assert_int_equal(iroh_addr_add_ip(a, "[2001:db8::1]:443"), 0);
    assert_int_equal(iroh_addr_add_ip(a, "192.0.2.1:4433"), 0);
    assert_int_equal(iroh_addr_add_relay(a, "https://relay.example"), 0);
    assert_int_equal(iroh_addr_add_relay(a, "foo:a\"b\\c"), 0);
    assert_int_equal(iroh_addr_add_custom(a, 0x20, "\xa1\xb2", 2), 0);
    assert_true(iroh_ticket_format(a, out, TICKET_MAX) > 0);
    iroh_addr_free(a);
}

static void a_ticket_is_explained_line_by_line(void **state) {
    (void)state;
    char ticket[TICKET_MAX];
    outcome o;
    make_ticket(ticket);
    run(&o, ticket, NULL);
    assert_int_equal(o.status, 0);
    assert_string_equal(o.p.text, "");
    assert_string_equal(o.out, "kind    endpoint\n"
                               "id      3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29\n"
                               "relay   foo:a\"b\\c\n"
                               "relay   https://relay.example/\n"
                               "ip      192.0.2.1:4433\n"
                               "ip      [2001:db8::1]:443\n"
                               "custom  20_a1b2\n");
}

static void json_says_the_same(void **state) {
    (void)state;
    static const char *const wanted[][2] = {{"relay", "foo:a\"b\\c"},
                                            {"relay", "https://relay.example/"},
                                            {"ip", "192.0.2.1:4433"},
                                            {"ip", "[2001:db8::1]:443"},
                                            {"custom", "20_a1b2"}};
    char ticket[TICKET_MAX];
    outcome o;
    make_ticket(ticket);
    run(&o, ticket, "--json");
    assert_int_equal(o.status, 0);
    json_t *j = json_loads(o.out, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(j);
    assert_string_equal(json_string_value(json_object_get(j, "kind")), "endpoint");
    assert_string_equal(json_string_value(json_object_get(j, "id")),
                        "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29");
    const json_t *addrs = json_object_get(j, "addrs");
    assert_int_equal(json_array_size(addrs), 5);
    for (size_t i = 0; i < 5; i++) {
        const json_t *address = json_array_get(addrs, i);
        assert_int_equal(json_object_size(address), 1);
        assert_string_equal(json_string_value(json_object_get(address, wanted[i][0])), wanted[i][1]);
    }
    json_decref(j);
}

// A relay and a custom address longer than any buffer of the program's to begin with.
static void long_addresses_are_shown_whole(void **state) {
    (void)state;
    static const iroh_public_key id = {{1}};
    static char ticket[8192], url[2001];
    static uint8_t data[1000];
    outcome o;
    iroh_addr *a;
    memset(url, 'x', sizeof url - 1);
    memcpy(url, "https://a.ex/", 13);
    assert_int_equal(iroh_addr_new(&id, &a), 0);
    assert_int_equal(iroh_addr_add_relay(a, url), 0);
    assert_int_equal(iroh_addr_add_custom(a, 1, data, sizeof data), 0);
    assert_true(iroh_ticket_format(a, ticket, sizeof ticket) > 0);
    iroh_addr_free(a);
    run(&o, ticket, NULL);
    assert_int_equal(o.status, 0);
    assert_non_null(strstr(o.out, url));
    assert_int_equal(strlen(strstr(o.out, "custom  1_")), 10 + 2 * sizeof data + 1);
}

static void a_blob_ticket_tells_of_the_blob_too(void **state) {
    (void)state;
    static const char ticket[] = "blobacxfr74igmsbvsbnn73wcecg5vt3kbzncqwfrdiampuufwnhkublmaaaaafyju2y4tel43bymjvsdax7k"
                                 "5mbrotl2p2lsbdetff6ctftksqhe";
    outcome o;
    run(&o, ticket, NULL);
    assert_int_equal(o.status, 0);
    assert_string_equal(o.out, "kind    blob\n"
                               "id      ae58ff8833241ac82d6ff7611046ed67b5072d142c588d0063e942d9a75502b6\n"
                               "hash    0b84d358e4c8be6c38626b2182ff575818ba6bd3f4b90464994be14cb354a072\n"
                               "format  raw\n");
    run(&o, ticket, "--json");
    json_t *root = json_loads(o.out, 0, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "kind")), "blob");
    assert_string_equal(json_string_value(json_object_get(root, "format")), "raw");
    assert_int_equal(json_array_size(json_object_get(root, "addrs")), 0);
    json_decref(root);
}

static void a_wrong_ticket_gives_one_line(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"", "begin with \"endpoint\""},
        {"hello", "begin with \"endpoint\""},
        {"docaaacaaabaibqibiga4eascqlbqgq4dyqcejbgfav", "begin with \"endpoint\""},
        {"blob", "ends too early"},
        {"endpoint", "ends too early"},
        {"endpoint!!!!", "malformed"},
        {"endpointaebqaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "not supported"},
        {"ae58ff8833241ac82d6ff7611046ed67b5072d142c588d0063e942d9a75502b6", "endpoint id, not a ticket"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        outcome o;
        run(&o, rows[i][0], i % 2 == 0 ? "--json" : NULL);
        assert_int_equal(o.status, 1);
        assert_string_equal(o.out, "");
        assert_int_equal(strncmp(o.p.text, "iroh: ", 6), 0);
        assert_non_null(strstr(o.p.text, rows[i][1]));
        assert_ptr_equal(strchr(o.p.text, '\n'), o.p.text + o.p.text_len - 1);
    }
}

static void exactly_one_ticket_is_taken(void **state) {
    (void)state;
    outcome o;
    run(&o, NULL, NULL);
    assert_int_equal(o.status, 2);
    run(&o, "a", "b");
    assert_int_equal(o.status, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_ticket_is_explained_line_by_line, process_kill_all),
        cmocka_unit_test_teardown(json_says_the_same, process_kill_all),
        cmocka_unit_test_teardown(long_addresses_are_shown_whole, process_kill_all),
        cmocka_unit_test_teardown(a_blob_ticket_tells_of_the_blob_too, process_kill_all),
        cmocka_unit_test_teardown(a_wrong_ticket_gives_one_line, process_kill_all),
        cmocka_unit_test_teardown(exactly_one_ticket_is_taken, process_kill_all),
    };
    return cmocka_run_group_tests_name("cli_ticket", tests, NULL, NULL);
}
