// TOML: what the language has, what it forbids, and the bounds.
#include "base/toml.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <iroh/error.h>

static toml_value *parse(const char *text) {
    toml_value *root = NULL;
    toml_error error = {0};
    int r = toml_parse(text, strlen(text), &root, &error);
    if (r != 0)
        fail_msg("%s: line %u: %s", text, error.line, error.why);
    return root;
}

static void keys_lead_to_values(void **state) {
    (void)state;
    toml_value *root = parse("# a comment\n"
                             "name = \"x\"  # another\r\n"
                             "access.shared_token = [\"a\", 'b',\n  # in between\n \"c\",]\n"
                             "'quoted key' = true\n"
                             "[limits.client.rx]\n"
                             "bytes_per_second = 1_000_000\n"
                             "[limits]\n"
                             "rate = 2.5e1\n"
                             "[[list]]\nn = 1\n[[list]]\nn = 0x2a\n[list.inner]\nz = -7\n"
                             "[inline]\nt = { a = 1, b.c = [{}] }\n");
    assert_string_equal(toml_get(root, "name")->string, "x");
    toml_value *tokens = toml_get(toml_get(root, "access"), "shared_token");
    assert_string_equal(tokens->first->string, "a");
    assert_string_equal(tokens->first->next->string, "b");
    assert_string_equal(tokens->last->string, "c");
    assert_int_equal(tokens->line, 3);
    assert_true(toml_get(root, "quoted key")->boolean);
    toml_value *limits = toml_get(root, "limits");
    assert_int_equal(toml_get(toml_get(toml_get(limits, "client"), "rx"), "bytes_per_second")->integer, 1000000);
    assert_true(toml_get(limits, "rate")->number == 25);
    toml_value *list = toml_get(root, "list");
    assert_int_equal(list->kind, TOML_ARRAY);
    assert_int_equal(toml_get(list->first, "n")->integer, 1);
    assert_int_equal(toml_get(list->last, "n")->integer, 42);
    assert_int_equal(toml_get(toml_get(list->last, "inner"), "z")->integer, -7);
    toml_value *t = toml_get(toml_get(root, "inline"), "t");
    assert_int_equal(toml_get(toml_get(t, "b"), "c")->first->kind, TOML_TABLE);
    assert_null(toml_get(root, "absent"));
    assert_null(toml_get(NULL, "absent"));
    assert_null(toml_get(tokens, "absent"));
    toml_free(root);
}

static void strings_say_what_they_mean(void **state) {
    (void)state;
    static const struct {
        const char *text, *value;
    } rows[] = {
        {"s = \"\"", ""},
        {"s = ''", ""},
        {"s = \"a\\tb\\\\c\\\"d\"", "a\tb\\c\"d"},
        {"s = \"\\u00e9\\U0001F600\"", "\xc3\xa9\xf0\x9f\x98\x80"},
        {"s = 'a\\tb'", "a\\tb"},
        {"s = \"\"\"\nline one\nline two\"\"\"", "line one\nline two"},
        {"s = \"\"\"a \\\n   \n  b\"\"\"", "a b"},
        {"s = \"\"\"a\"\"b\"\"\"\"\"", "a\"\"b\"\""},
        {"s = '''\n'a'''''", "'a''"},
        {"s = \"\"\"\r\na\r\nb\"\"\"", "a\nb"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        toml_value *root = parse(rows[i].text);
        assert_string_equal(toml_get(root, "s")->string, rows[i].value);
        toml_free(root);
    }
}

static void numbers_have_their_values(void **state) {
    (void)state;
    toml_value *root = parse("a = +17\nb = -0\nc = 0o17\nd = 0b101\ne = 9223372036854775807\nf = 1e3\ng = -0.5\n"
                             "h = inf\ni = -inf\nj = nan\nk = 1_0.0_1\nl = 0xdead_BEEF\n");
    static const struct {
        const char *key;
        long long value;
    } integers[] = {{"a", 17}, {"b", 0}, {"c", 15}, {"d", 5}, {"e", INT64_MAX}, {"l", 0xdeadbeef}};
    for (size_t i = 0; i < sizeof integers / sizeof integers[0]; i++)
        assert_int_equal(toml_get(root, integers[i].key)->integer, integers[i].value);
    assert_true(toml_get(root, "f")->number == 1000 && toml_get(root, "g")->number == -0.5);
    assert_true(isinf(toml_get(root, "h")->number) && toml_get(root, "i")->number < 0);
    assert_true(isnan(toml_get(root, "j")->number));
    assert_true(fabs(toml_get(root, "k")->number - 10.01) < 1e-9);
    toml_free(root);
}

static void what_is_wrong_is_refused_at_its_line(void **state) {
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
    } rows[] = {
        {"a", 1},
        {"a =", 1},
        {"\n\na = ", 3},
        {"= 1", 1},
        {"a = 1 b = 2", 1},
        {"a = 1\na = 2", 2},
        {"a.b = 1\na = 2", 2},
        {"a = 1\na.b = 2", 2},
        {"[a]\n[a]", 2},
        {"[a]\nb = 1\n[a.b]", 3},
        {"a = {}\n[a]", 2},
        {"a = {}\na.b = 1", 2},
        {"a = []\n[[a]]", 2},
        {"[a.b]\n[a]\nb.c = 1", 3},
        {"a.b = 1\n[a]", 2},
        {"[a", 1},
        {"[[a]", 1},
        {"[]", 1},
        {"[a] b", 1},
        {"a = [1, 2", 1},
        {"a = [1 2]", 1},
        {"a = [,]", 1},
        {"a = {b = 1,}", 1},
        {"a = {b = 1\n}", 1},
        {"a = \"x", 1},
        {"a = \"x\ny\"", 1},
        {"a = \"\\q\"", 1},
        {"a = \"\\u12\"", 1},
        {"a = \"\\ud800\"", 1},
        {"a = \"\\u0000\"", 1},
        {"a = \"\x01\"", 1},
        {"a = '''x", 1},
        {"a = 01", 1},
        {"a = 1__0", 1},
        {"a = _1", 1},
        {"a = 1_", 1},
        {"a = 1.", 1},
        {"a = .5", 1},
        {"a = 1.e3", 1},
        {"a = 0x", 1},
        {"a = -0x1", 1},
        {"a = 0b2", 1},
        {"a = 9223372036854775808", 1},
        {"a = truely", 1},
        {"a = True", 1},
        {"a = 1979-05-27", 1},
        {"a = yes", 1},
        {"a = 1 # \x01", 1},
        {"\"\"\"a\"\"\" = 1", 1},
        {"a\n= 1", 1},
        {"a..b = 1", 1},
        {"a. = 1", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        toml_value *root = NULL;
        toml_error error = {0};
        int r = toml_parse(rows[i].text, strlen(rows[i].text), &root, &error);
        if (r != IROH_ERR_SYNTAX || error.line != rows[i].line || error.why == NULL)
            fail_msg("%s: %d at line %u", rows[i].text, r, error.line);
        assert_null(root);
    }
}

static void only_utf8_is_read(void **state) {
    (void)state;
    toml_value *root = NULL;
    toml_error error;
    assert_int_equal(toml_parse("a = \"\xff\"", 7, &root, &error), IROH_ERR_UTF8);
    assert_int_equal(toml_parse("a = \"\0\"", 7, &root, &error), IROH_ERR_SYNTAX);
    assert_null(root);
}

static int parse_nested(const char *open, const char *close, unsigned depth) {
    char text[1024] = "a = ";
    toml_value *root = NULL;
    toml_error error;
    for (unsigned i = 0; i < depth; i++)
        strcat(text, open);
    for (unsigned i = 0; i < depth; i++)
        strcat(text, close);
    int r = toml_parse(text, strlen(text), &root, &error);
    if (r == 0)
        toml_free(root);
    return r;
}

static void nesting_is_bounded(void **state) {
    (void)state;
    assert_int_equal(parse_nested("[", "]", TOML_DEPTH_MAX), 0);
    assert_int_equal(parse_nested("[", "]", TOML_DEPTH_MAX + 1), IROH_ERR_LIMIT);
    assert_int_equal(parse_nested("[", "]", 400), IROH_ERR_LIMIT);
    char keys[256] = "a";
    for (int i = 0; i < 100; i++)
        strcat(keys, ".a");
    strcat(keys, " = 1");
    toml_value *root = NULL;
    toml_error error;
    assert_int_equal(toml_parse(keys, strlen(keys), &root, &error), IROH_ERR_LIMIT);
    assert_null(root);
}

static void nothing_is_a_document(void **state) {
    (void)state;
    toml_value *root = parse("");
    assert_int_equal(root->kind, TOML_TABLE);
    assert_null(root->first);
    toml_free(root);
    toml_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_lead_to_values),       cmocka_unit_test(strings_say_what_they_mean),
        cmocka_unit_test(numbers_have_their_values), cmocka_unit_test(what_is_wrong_is_refused_at_its_line),
        cmocka_unit_test(only_utf8_is_read),         cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(nothing_is_a_document),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
