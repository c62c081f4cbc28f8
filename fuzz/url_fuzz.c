// A URL. A normal form is printable ASCII, and its own normal form.
#include "base/url.h"

#include <string.h>

#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
    return 0;
}
