#include "blobs/outgoing.h"

#include <stdlib.h>
#include <string.h>

#include "blobs/series.h"

struct outgoing {
    iroh_store *store;
    series blobs;
    bao_encoder *encoder;
    store_reader *reader;  // of the blob that is being written; null between blobs
    bao_source source;
    outgoing_state state;
    int end;  // 1 or an error, once reached
};

int outgoing_new(iroh_store *s, const proto_request *request, outgoing **out) {
    outgoing *o = calloc(1, sizeof *o);
    *out = o;
    if (o == NULL)
        return IROH_ERR_NOMEM;
    o->store = s;
    series_start(&o->blobs, s, request);
    int r = bao_encoder_new(&o->encoder);
    if (r != 0) {
        outgoing_free(o);
        *out = NULL;
    }
    return r;
}

void outgoing_free(outgoing *o) {
    if (o == NULL)
        return;
    bao_encoder_free(o->encoder);
    store_reader_free(o->reader);
    series_dispose(&o->blobs);
    free(o);
}

static int start_encoder(outgoing *o, store_blob *b) {
    iroh_blob_status status;
    int r = store_blob_state(b, &status, NULL);
    if (r != 0)
        return r;
    if (status.state == IROH_BLOB_ABSENT || (status.state == IROH_BLOB_PARTIAL && status.size == 0))
        return IROH_ERR_NOT_FOUND;
    r = store_reader_new(b, &o->reader);
    if (r != 0)
        return r;
    o->state.size = status.size;
    o->state.blobs++;
    o->source = store_reader_source(o->reader);
    return bao_encoder_start(o->encoder, o->state.hash.bytes, status.size, &o->blobs.walk.set, &o->source);
}

// 1 when there is none.
static int next_blob(outgoing *o) {
    store_blob *b;
    int r = series_next(&o->blobs, &o->state.index, &o->state.hash);
    if (r <= 0)
        return r == 0 ? 1 : r;
    r = store_blob_open(o->store, &o->state.hash, &b);
    if (r != 0)
        return r;
    r = start_encoder(o, b);
    store_blob_close(b);
    return r;
}

static int write_blob(outgoing *o, uint8_t *out, size_t room, size_t *len) {
    int r = bao_encoder_write(o->encoder, out, room, len);
    if (r == 1) {
        if (ranges_covers(&o->blobs.walk.set, 0, bao_chunks(o->state.size)))
            store_reader_verified(o->reader);
        store_reader_free(o->reader);
        o->reader = NULL;
        return 0;
    }
    return r;
}

int outgoing_write(outgoing *o, uint8_t *out, size_t room, size_t *len) {
    *len = 0;
    while (o->end == 0 && room - *len >= BAO_GROUP + BAO_PAIR) {
        size_t written = 0;
        if (o->reader == NULL)
            o->end = next_blob(o);
        if (o->end == 0)
            o->end = write_blob(o, out + *len, room - *len, &written);
        *len += written;
    }
    return o->end;
}

const outgoing_state *outgoing_get(const outgoing *o) {
    return &o->state;
}
