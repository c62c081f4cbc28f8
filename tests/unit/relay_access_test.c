// Who may use a relay: every mode against ids that are listed and not, and tokens.
#include "relay/access.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <iroh/error.h>

static void access_lists_decide(void **state) {
    (void)state;
    static const uint8_t ids[3][RELAY_ID] = {{3}, {1}, {2}}, other[RELAY_ID] = {4};
    for (int mode = RELAY_ACCESS_EVERYONE; mode <= RELAY_ACCESS_ASK; mode++) {
        static const int listed[] = {RELAY_ALLOW, RELAY_ALLOW, RELAY_DENY, RELAY_DENY, RELAY_ASK};
        static const int unlisted[] = {RELAY_ALLOW, RELAY_DENY, RELAY_ALLOW, RELAY_DENY, RELAY_ASK};
        relay_access a;
        relay_access_init(&a, mode);
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(relay_access_add_id(&a, ids[i]), 0);
        assert_int_equal(relay_access_seal(&a), mode == RELAY_ACCESS_TOKENS ? IROH_ERR_ARG : 0);
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(relay_access_decide(&a, ids[i], NULL, 0), listed[mode]);
        assert_int_equal(relay_access_decide(&a, other, "x", 1), unlisted[mode]);
        relay_access_dispose(&a);
    }
}

static void access_tokens_decide(void **state) {
    (void)state;
    static const uint8_t id[RELAY_ID] = {1};
    relay_access a;
    relay_access_init(&a, RELAY_ACCESS_TOKENS);
    assert_int_equal(relay_access_add_token(&a, "", 0), IROH_ERR_LENGTH);
    assert_int_equal(relay_access_add_token(&a, "secret", 6), 0);
    assert_int_equal(relay_access_add_token(&a, "other", 5), 0);
    assert_int_equal(relay_access_seal(&a), 0);
    assert_int_equal(relay_access_decide(&a, id, "secret", 6), RELAY_ALLOW);
    assert_int_equal(relay_access_decide(&a, id, "other", 5), RELAY_ALLOW);
    assert_int_equal(relay_access_decide(&a, id, "secreT", 6), RELAY_DENY);
    assert_int_equal(relay_access_decide(&a, id, "secret ", 7), RELAY_DENY);
    assert_int_equal(relay_access_decide(&a, id, "", 0), RELAY_DENY);
    assert_int_equal(relay_access_decide(&a, id, NULL, 0), RELAY_DENY);
    relay_access_dispose(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(access_lists_decide),
        cmocka_unit_test(access_tokens_decide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
