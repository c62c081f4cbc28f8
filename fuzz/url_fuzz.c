// A URL. A normal form is printable ASCII, and its own normal form; and if it has a host, what is asked of that as a relay is
// one request, for that host.
#include "base/url.h"

#include <string.h>

#include "relay/upgrade.h"
#include "require.h"
#include "web/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool lies_in(const http_text *t, const char *url, size_t len) {
    return t->len == 0 || (t->p >= url && t->p + t->len <= url + len);
}

static void check_target(const char *url, size_t len) {
    static uint8_t request[2 * URL_MAX];
    relay_target t;
    http_head h;
    http_scan scan = {0};
    if (relay_target_of(url, len, &t) != 0)
        return;
    require(t.host.len > 0 && lies_in(&t.host, url, len) && lies_in(&t.authority, url, len));
    require(lies_in(&t.query, url, len) && (t.query.len == 0 || t.query.p[0] == '?'));
    writer w = writer_of(request, sizeof request);
    relay_upgrade_put_request(&w, &t, "dGhlIHNhbXBsZSBub25jZQ==", NULL, NULL);
    require(!w.failed && http_scan_end(&scan, request, writer_len(&w)) == (int)writer_len(&w));
    require(http_request_parse(request, writer_len(&w), &h) == 0);
    const http_text *host = http_field_find(&h, "host", NULL);
    require(host != NULL && host->len == t.authority.len && memcmp(host->p, t.authority.p, host->len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char once[URL_MAX], twice[URL_MAX];
    int len = url_normalize((const char *)data, size, once, sizeof once);
    if (len < 0)
        return 0;
    require(len >= 2 && len <= URL_MAX && memchr(once, ':', (size_t)len) != NULL);
    for (int i = 0; i < len; i++)
        require(once[i] >= 0x20 && once[i] < 0x7f);
    int again = url_normalize(once, (size_t)len, twice, sizeof twice);
    if (again != len || memcmp(once, twice, (size_t)len) != 0) {
        (void)fprintf(stderr, "%.*s\n%.*s\n", len, once, again < 0 ? 0 : again, twice);
        require(again == len && memcmp(once, twice, (size_t)len) == 0);
    }
    check_target(once, (size_t)len);
    return 0;
}
