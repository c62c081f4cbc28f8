// An HTTP head. The first byte says request or response, and in which pieces it arrives: the end must be found at the same
// place in one piece and in many. What parses lies within the head, and is the same after it was written and read again.
#include <stdlib.h>
#include <string.h>

#include "relay/auth.h"
#include "relay/upgrade.h"
#include "require.h"
#include "web/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int find_end(const uint8_t *bytes, size_t len, size_t piece) {
    http_scan s = {0};
    int found = 0;
    for (size_t have = 0; have < len && found == 0;) {
        have = have + piece < len ? have + piece : len;
        found = http_scan_end(&s, bytes, have);
    }
    return found;
}

static void check_text(const http_text *t, const uint8_t *bytes, size_t len) {
    const char *start = (const char *)bytes;
    require(t->len == 0 || (t->p >= start && t->p + t->len <= start + len));
}

static bool same_text(const http_text *a, const http_text *b) {
    return a->len == b->len && (a->len == 0 || memcmp(a->p, b->p, a->len) == 0);
}

static void put_fields(writer *w, const http_head *h) {
    char name[HTTP_HEAD_MAX];
    for (size_t i = 0; i < h->field_count; i++) {
        memcpy(name, h->fields[i].name.p, h->fields[i].name.len);
        name[h->fields[i].name.len] = '\0';
        http_put_field(w, name, h->fields[i].value.p, h->fields[i].value.len);
    }
    http_put_end(w);
}

// Line ends and white space grow to their usual form, so there is more room than the original took.
static void check_round_trip(const http_head *h, bool request) {
    static uint8_t out[3 * HTTP_HEAD_MAX];
    char method[HTTP_HEAD_MAX];
    http_head again;
    writer w = writer_of(out, sizeof out);
    if (request) {
        memcpy(method, h->method.p, h->method.len);
        method[h->method.len] = '\0';
        http_put_request(&w, method, h->target.p, h->target.len);
    } else {
        http_put_status(&w, h->status);
    }
    put_fields(&w, h);
    require(!w.failed);
    int r =
        request ? http_request_parse(out, writer_len(&w), &again) : http_response_parse(out, writer_len(&w), &again);
    require(r == 0 && again.field_count == h->field_count && again.status == h->status);
    require(same_text(&again.method, &h->method) && same_text(&again.target, &h->target));
    for (size_t i = 0; i < h->field_count; i++) {
        require(same_text(&again.fields[i].name, &h->fields[i].name));
        require(same_text(&again.fields[i].value, &h->fields[i].value));
    }
}

// Its end is as it should be, so that the signature is looked at.
static void check_claim(const http_text *text) {
    uint8_t exported[RELAY_EXPORT] = {0};
    relay_claim claim;
    if (relay_claim_read(text->p, text->len, &claim) != 0)
        return;
    memcpy(exported + RELAY_EXPORT / 2, claim.suffix, sizeof claim.suffix);
    (void)relay_claim_verify(&claim, exported);
}

// What the relay makes of it: nothing to compare with, but it must stay within its bounds.
static void judge(const http_head *h, bool request) {
    char token[64];
    uint64_t size;
    (void)http_body_size(h, &size);
    (void)http_keeps_alive(h);
    if (!request) {
        (void)relay_upgrade_check(h, "dGhlIHNhbXBsZSBub25jZQ==");
        return;
    }
    relay_upgrade u;
    static uint8_t out[4096];
    require(relay_token_find(h, token, sizeof token) <= (int)sizeof token);
    relay_upgrade_judge(h, &u);
    require((u.status == 101) == (u.version != 0) && (u.status == 101) == (u.refusal[0] == '\0'));
    if (u.claim != NULL)
        check_claim(u.claim);
    writer w = writer_of(out, sizeof out);
    relay_upgrade_put_answer(&w, &u, "Mon, 23 Nov 2026 20:45:25 GMT");
    require(!w.failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    http_head h;
    if (size < 1)
        return 0;
    bool request = (data[0] & 1) == 0;
    const uint8_t *bytes = data + 1;
    int end = find_end(bytes, size - 1, size);
    require(find_end(bytes, size - 1, 1U + (data[0] >> 1)) == end);
    if (end <= 0)
        return 0;
    size_t len = (size_t)end;
    if ((request ? http_request_parse(bytes, len, &h) : http_response_parse(bytes, len, &h)) != 0)
        return 0;
    check_text(&h.method, bytes, len);
    check_text(&h.target, bytes, len);
    for (size_t i = 0; i < h.field_count; i++) {
        check_text(&h.fields[i].name, bytes, len);
        check_text(&h.fields[i].value, bytes, len);
    }
    check_round_trip(&h, request);
    judge(&h, request);
    return 0;
}
