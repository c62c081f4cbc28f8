// The store of sessions: newest first, each once, bounded by peer and in all.
#include "endpoint/sessions.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void put(session_cache *c, uint8_t peer, const char *alpn, uint16_t number) {
    uint8_t key[32] = {peer};
    uint8_t *bytes = malloc(2);
    assert_non_null(bytes);
    memcpy(bytes, &number, 2);
    sessions_put(c, key, (const uint8_t *)alpn, strlen(alpn), bytes, 2);
}

// The number of the session that is taken; -1: none.
static int take(session_cache *c, uint8_t peer, const char *alpn) {
    uint8_t key[32] = {peer};
    uint16_t number;
    size_t len = 0;
    uint8_t *bytes = sessions_take(c, key, (const uint8_t *)alpn, strlen(alpn), &len);
    if (bytes == NULL)
        return -1;
    assert_int_equal(len, 2);
    memcpy(&number, bytes, 2);
    free(bytes);
    return number;
}

static void newest_comes_first_and_only_once(void **state) {
    (void)state;
    session_cache c;
    sessions_init(&c);
    put(&c, 1, "a", 10);
    put(&c, 1, "a", 11);
    put(&c, 1, "b", 12);
    put(&c, 2, "a", 13);
    assert_int_equal(take(&c, 3, "a"), -1);
    assert_int_equal(take(&c, 1, "aa"), -1);
    assert_int_equal(take(&c, 1, "a"), 11);
    assert_int_equal(take(&c, 1, "a"), 10);
    assert_int_equal(take(&c, 1, "a"), -1);
    assert_int_equal(take(&c, 1, "b"), 12);
    assert_int_equal(c.count, 1);
    sessions_dispose(&c);
    assert_int_equal(c.count, 0);
}

static void without_a_protocol_the_peer_alone_counts(void **state) {
    (void)state;
    session_cache c;
    uint8_t key[32] = {1}, other[32] = {2};
    size_t len = 0;
    sessions_init(&c);
    sessions_put(&c, key, NULL, 0, malloc(3), 3);
    assert_null(sessions_take(&c, other, NULL, 0, &len));
    uint8_t *bytes = sessions_take(&c, key, NULL, 0, &len);
    assert_non_null(bytes);
    assert_int_equal(len, 3);
    free(bytes);
    assert_null(sessions_take(&c, key, NULL, 0, &len));
    sessions_dispose(&c);
}

static void a_peer_has_no_more_than_its_share(void **state) {
    (void)state;
    session_cache c;
    sessions_init(&c);
    put(&c, 2, "a", 99);
    for (uint16_t i = 0; i < SESSIONS_PER_PEER + 3; i++)
        put(&c, 1, i % 2 ? "a" : "b", i);
    assert_int_equal(c.count, SESSIONS_PER_PEER + 1);
    for (int i = 0; i < SESSIONS_PER_PEER / 2; i++)
        assert_true(take(&c, 1, "a") >= 3);
    assert_int_equal(take(&c, 1, "a"), -1);
    assert_int_equal(take(&c, 2, "a"), 99);
    sessions_dispose(&c);
}

static void the_store_is_bounded(void **state) {
    (void)state;
    session_cache c;
    sessions_init(&c);
    for (uint16_t i = 0; i < SESSIONS_MAX * 2; i++)
        put(&c, (uint8_t)(i / SESSIONS_PER_PEER), "a", i);
    assert_int_equal(c.count, SESSIONS_MAX);
    assert_int_equal(take(&c, 0, "a"), -1);
    assert_int_equal(take(&c, (uint8_t)((SESSIONS_MAX * 2 - 1) / SESSIONS_PER_PEER), "a"), SESSIONS_MAX * 2 - 1);
    sessions_dispose(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newest_comes_first_and_only_once),
        cmocka_unit_test(without_a_protocol_the_peer_alone_counts),
        cmocka_unit_test(a_peer_has_no_more_than_its_share),
        cmocka_unit_test(the_store_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
