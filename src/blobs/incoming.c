#include "blobs/incoming.h"

#include <stdlib.h>
#include <string.h>

#include "blobs/series.h"

struct incoming {
    iroh_store *store;
    incoming_limits limits;
    bool sequence;  // the root is one
    series blobs;
    bao_decoder *decoder;
    bool in_blob;
    store_writer *writer;  // of the current blob, once its size is known
    incoming_state state;
    int end;  // 1 or an error, once reached
};

int incoming_new(iroh_store *s, const proto_request *request, const incoming_limits *limits, incoming **out) {
    incoming *in = calloc(1, sizeof *in);
    *out = in;
    if (in == NULL)
        return IROH_ERR_NOMEM;
    in->store = s;
    in->limits = *limits;
    in->sequence = request->type != PROTO_GET_MANY && !proto_seq_is_blob(&request->seq);
    series_start(&in->blobs, s, request);
    int r = bao_decoder_new(&in->decoder);
    if (r != 0) {
        incoming_free(in);
        *out = NULL;
    }
    return r;
}

static int close_writer(incoming *in) {
    int r = in->writer != NULL ? store_writer_close(in->writer) : 0;
    in->writer = NULL;
    return r;
}

int incoming_close(incoming *in) {
    return in != NULL ? close_writer(in) : 0;
}

void incoming_free(incoming *in) {
    if (in == NULL)
        return;
    (void)close_writer(in);
    bao_decoder_free(in->decoder);
    series_dispose(&in->blobs);
    free(in);
}

static int next_blob(incoming *in) {
    int r = series_next(&in->blobs, &in->state.index, &in->state.hash);
    if (r <= 0)
        return r == 0 ? 1 : r;
    bao_decoder_start(in->decoder, in->state.hash.bytes, &in->blobs.walk.set);
    in->state.size = 0;
    in->state.blob_bytes = 0;
    in->in_blob = true;
    return 0;
}

static int open_writer(incoming *in) {
    uint64_t size;
    store_blob *b;
    if (in->writer != NULL || !bao_decoder_size(in->decoder, &size))
        return 0;
    if (size > (in->sequence && in->state.index == 0 ? in->limits.root : in->limits.blob))
        return IROH_ERR_TOO_LARGE;
    in->state.size = size;
    int r = store_blob_open(in->store, &in->state.hash, &b);
    if (r != 0)
        return r;
    r = store_writer_new(b, size, &in->writer);
    store_blob_close(b);
    return r;
}

static void add_bytes(incoming *in, size_t len) {
    in->state.bytes += len;
    in->state.blob_bytes += len;
}

static int put_items(incoming *in, const bao_item *items, size_t count) {
    int r = open_writer(in);
    if (r == 0 && count > 0)
        r = store_writer_put(in->writer, items, count);
    for (size_t i = 0; i < count && r == 0; i++)
        add_bytes(in, items[i].leaf ? items[i].len : 0);
    return r;
}

static int fault_error(const incoming *in) {
    bao_fault fault = bao_decoder_fault(in->decoder, NULL);
    uint64_t size;
    if (fault == BAO_SIZE_REFUSED)  // a size of 0 is how some providers say that they have not got it
        return bao_decoder_size(in->decoder, &size) && size > 0 ? IROH_ERR_TOO_LARGE : IROH_ERR_NOT_FOUND;
    return IROH_ERR_PROTOCOL;
}

static int end_blob(incoming *in) {
    in->in_blob = false;
    in->state.blobs++;
    return close_writer(in);
}

// Gives bytes to the decoder and what it verifies to the store.
static int take_some(incoming *in, const uint8_t *bytes, size_t len, size_t *used) {
    const bao_item *items;
    size_t count;
    int r = bao_decoder_read(in->decoder, bytes, len, used, &items, &count);
    int stored = r == IROH_ERR_PROTOCOL && count == 0 ? 0 : put_items(in, items, count);
    if (stored != 0)
        return stored;
    if (r < 0)
        return fault_error(in);
    return r == 1 ? end_blob(in) : 0;
}

int incoming_take(incoming *in, const uint8_t *bytes, size_t len, size_t *used) {
    *used = 0;
    while (in->end == 0) {
        size_t taken = 0;
        if (!in->in_blob)
            in->end = next_blob(in);
        else if (*used == len)
            break;
        if (in->end == 0)
            in->end = take_some(in, bytes + *used, len - *used, &taken);
        *used += taken;
    }
    return in->end;
}

int incoming_end(incoming *in) {
    size_t used;
    int r = incoming_take(in, (const uint8_t *)"", 0, &used);  // nothing may be missing
    if (r != 0)
        return r == 1 ? 0 : r;
    r = bao_decoder_end(in->decoder);
    if (r != IROH_ERR_FINISHED)
        return r == IROH_ERR_PROTOCOL ? fault_error(in) : IROH_ERR_INTERNAL;
    bao_fault fault = bao_decoder_fault(in->decoder, NULL);
    return fault == BAO_CUT ? IROH_ERR_FINISHED : IROH_ERR_NOT_FOUND;
}

const incoming_state *incoming_get(const incoming *in) {
    return &in->state;
}
