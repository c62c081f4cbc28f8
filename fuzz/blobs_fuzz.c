// The messages of the blobs protocol. The first byte says what the rest is: a request of that type, whose rows are walked
// through and built again, or an observed item, which is written again and taken apart from another.
#include <stdlib.h>
#include <string.h>

#include "blobs/bao.h"
#include "blobs/proto.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INDICES 40  // of an endless row that are looked at
#define ITEM 0xff   // first byte of an observed item

static uint8_t room[2 * PROTO_MESSAGE_MAX];

// Goes through the row and builds it again from what holds at each index.
static void check_row(const proto_seq *q) {
    proto_builder b = PROTO_BUILDER_INIT;
    proto_walk w;
    ranges none = RANGES_INIT;
    uint64_t index, next = 0;
    int steps = 0, r = 0;
    proto_walk_start(&w, q);
    while (steps++ < INDICES && (r = proto_walk_next(&w, &index)) == 1) {
        require(index >= next && ranges_count(&w.set) > 0);
        if (index > next)
            require(proto_builder_add(&b, next, &none) == 0);
        require(proto_builder_add(&b, index, &w.set) == 0);
        if (index == UINT64_MAX)
            break;
        next = index + 1;
    }
    require(r >= 0);
    proto_seq again;
    require(proto_builder_seq(&b, &again) == 0 && again.len == proto_builder_size(&b));
    postcard p = postcard_of(again.bytes, again.len);
    proto_seq read;
    proto_seq_read(&p, &read);
    require(p.error == 0 && read.len == again.len);
    proto_walk_dispose(&w);
    proto_builder_dispose(&b);
}

static void check_request(int type, const uint8_t *body, size_t len) {
    proto_request r, again;
    if (proto_request_read(type, body, len, &r) != 0)
        return;
    size_t size = proto_request_size(&r);
    require(size <= sizeof room);
    writer w = writer_of(room, sizeof room);
    proto_request_write(&w, &r);
    require(!w.failed && writer_len(&w) == size && room[0] == type);
    postcard p = postcard_of(room + 1, size - 1);
    size_t body_len = type == PROTO_PUSH ? (size_t)postcard_u64(&p) : size - 1;
    require(reader_left(&p.in) == body_len);
    require(proto_request_read(type, p.in.p, body_len, &again) == 0);
    require(again.count == r.count && again.seq.len == r.seq.len);
    require(r.count == 0 || memcmp(again.hashes, r.hashes, r.count * PROTO_HASH) == 0);
    if (type != PROTO_OBSERVE) {
        check_row(&r.seq);
        (void)proto_seq_is_blob(&r.seq);
    }
}

// Items that are merged together make the same as one after the other.
static void check_news(const proto_have *a, const proto_have *b) {
    proto_have both = {0}, one = {0};
    proto_news news = {0};
    require(proto_news_add(&news, a) == 0 && proto_news_add(&news, b) == 0 && proto_news_merge(&news, &both) == 0);
    require(proto_have_merge(&one, a) == 0 && proto_have_merge(&one, b) == 0);
    require(both.size == one.size);
    // Before the last number and without end is the same to news.
    if (one.count == 0 || one.at[one.count - 1] != UINT64_MAX) {
        require(both.count == one.count);
        require(one.count == 0 || memcmp(both.at, one.at, one.count * sizeof *one.at) == 0);
    }
    proto_have_dispose(&both);
    proto_have_dispose(&one);
    proto_news_dispose(&news);
}

// Two items, one after the other, each with its length in front.
static void check_items(const uint8_t *bytes, size_t len) {
    proto_have a = {0}, b = {0}, out = {0};
    size_t middle = len / 2;
    if (proto_have_read(bytes, middle, &a) == 0 && proto_have_read(bytes + middle, len - middle, &b) == 0) {
        check_news(&a, &b);
        require(proto_have_difference(&a, &b, &out) == 0);
        require(out.count <= a.count + b.count);
        // What changed, added to what was, is what is there now if nothing went away; in any case it covers it.
        require(proto_have_merge(&a, &out) == 0);
        require(proto_have_difference(&a, &a, &out) == 0 && out.count == 0);
        size_t size = proto_have_size(&b);
        writer w = writer_of(room, sizeof room);
        if (size <= sizeof room) {
            proto_have_write(&w, &b);
            require(!w.failed && writer_len(&w) == size);
        }
    }
    proto_have_dispose(&a);
    proto_have_dispose(&b);
    proto_have_dispose(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0 || size > PROTO_MESSAGE_MAX)
        return 0;
    if (data[0] == ITEM)
        check_items(data + 1, size - 1);
    else
        check_request(data[0], data + 1, size - 1);
    return 0;
}
