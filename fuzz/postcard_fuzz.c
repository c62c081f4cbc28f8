// A list of things to read, ended by a zero byte, and the bytes to read them from. Each value that is read is written
// and read again; what it is written in is no longer than what it came from.
#include "base/postcard.h"

#include <string.h>

#include "base/utf8.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VALUE_MAX 65536

static uint8_t room[VALUE_MAX + 16];

static postcard written(const writer *w, size_t taken) {
    require(!w->failed && writer_len(w) <= taken);
    return postcard_of(room, writer_len(w));
}

static void check_end(const postcard *p) {
    require(p->error == 0 && reader_left(&p->in) == 0);
}

static void check_number(uint64_t v, size_t taken) {
    writer w = writer_of(room, sizeof room);
    postcard_write_u64(&w, v);
    require(writer_len(&w) == postcard_u64_size(v));
    postcard p = written(&w, taken);
    require(postcard_u64(&p) == v);
    check_end(&p);
}

static void check_signed(int64_t v, size_t taken) {
    writer w = writer_of(room, sizeof room);
    postcard_write_i64(&w, v);
    postcard p = written(&w, taken);
    require(postcard_i64(&p) == v);
    check_end(&p);
}

static void check_bytes(const void *bytes, size_t len, size_t taken, bool text) {
    size_t again;
    writer w = writer_of(room, sizeof room);
    require(bytes != NULL && (!text || utf8_valid(bytes, len)));
    postcard_write_bytes(&w, bytes, len);
    postcard p = written(&w, taken);
    const void *back = text ? (const void *)postcard_str(&p, &again) : postcard_bytes(&p, &again);
    require(again == len && memcmp(back, bytes, len) == 0);
    check_end(&p);
}

static void check_socket(const addr *a, size_t taken) {
    writer w = writer_of(room, sizeof room);
    postcard_write_socket_addr(&w, a);
    postcard p = written(&w, taken);
    addr back = postcard_socket_addr(&p);
    require(addr_equal(a, &back));
    check_end(&p);
}

// Reads one thing, and checks what came of it.
static void step(postcard *p, uint8_t what) {
    uint8_t raw[4];
    size_t len = 0, before = reader_left(&p->in);
    uint64_t number = 0;
    int64_t difference = 0;
    const void *bytes = NULL;
    addr a = {0};
    switch (what % 10) {
    case 1:
        number = postcard_u16(p);
        require(number <= UINT16_MAX);
        break;
    case 2:
        number = postcard_u32(p);
        require(number <= UINT32_MAX);
        break;
    case 3:
        number = postcard_u64(p);
        break;
    case 4:
        difference = postcard_i64(p);
        break;
    case 5:
        bytes = postcard_bytes(p, &len);
        break;
    case 6:
        bytes = postcard_str(p, &len);
        break;
    case 7:
        a = postcard_socket_addr(p);
        break;
    case 8:
        number = postcard_variant(p, what);
        require(number < what);
        break;
    case 9:
        number = postcard_bool(p);
        require(number <= 1);
        break;
    default:
        postcard_raw(p, raw, sizeof raw);
        return;
    }
    size_t taken = before - reader_left(&p->in);
    if (p->error != 0) {
        require(number == 0 && difference == 0 && bytes == NULL && len == 0 && a.kind == ADDR_NONE);
        return;
    }
    if (what % 10 == 4)
        check_signed(difference, taken);
    else if (what % 10 == 5 || what % 10 == 6)
        check_bytes(bytes, len, taken, what % 10 == 6);
    else if (what % 10 == 7)
        check_socket(&a, taken);
    else
        check_number(number, taken);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *end = size > 0 ? memchr(data, 0, size) : NULL;
    if (end == NULL || size > VALUE_MAX)
        return 0;
    postcard p = postcard_of(end + 1, size - (size_t)(end - data) - 1);
    for (const uint8_t *what = data; what < end; what++) {
        int error = p.error;
        step(&p, *what);
        require(error == 0 || p.error == error);
    }
    return 0;
}
