// The answer to a question over HTTP. The first byte says which question, and in which pieces the answer arrives: the
// verdict must be the same in one piece and in many.
#include <stdlib.h>
#include <string.h>

#include "net/http_probe.h"
#include "require.h"

#define URL "https://relay.example/"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int feed_all(bool captive, const uint8_t *bytes, size_t len, size_t piece, bool *good) {
    uint8_t request[HTTP_PROBE_REQUEST_MAX];
    http_probe *p = malloc(sizeof *p);
    relay_target target;
    require(p != NULL && relay_target_of(URL, strlen(URL), &target) == 0);
    writer w = writer_of(request, sizeof request);
    http_probe_begin(p, captive, &target, NULL, &w);
    require(!w.failed);
    int r = 0;
    *good = false;
    for (size_t at = 0; r == 0 && at < len; at += piece)
        r = http_probe_feed(p, bytes + at, len - at < piece ? len - at : piece, good);
    free(p);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    bool captive = (data[0] & 1) != 0, whole_good, good;
    size_t piece = data[0] / 2 % 16 + 1;
    int whole = feed_all(captive, data + 1, size - 1, size, &whole_good);
    int pieces = feed_all(captive, data + 1, size - 1, piece, &good);
    require(whole == pieces && good == whole_good);
    require(!good || whole == 1);
    return 0;
}
