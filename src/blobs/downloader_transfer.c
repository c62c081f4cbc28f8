// One request of a download: built from a span and from what the store lacks of it, sent, and its answer stored.
#include <stdlib.h>

#include "base/clock.h"
#include "blobs/bao.h"
#include "blobs/downloader.h"
#include "blobs/downloader_pick.h"
#include "blobs/getter.h"
#include "blobs/missing.h"

#define BUILT_MAX 131072    // bytes of chunk ranges after which a request is full
#define OPEN_BYTES 4194304  // from which size on a blob that was wanted whole can be shared
#define ROUNDS 4            // buffers that are read before others have their turn

// The store's error: of what came, some may be lost.
static int transfer_free(transfer *t) {
    int r = incoming_close(t->in);
    list_remove(&t->link);
    iroh_stream_free(t->stream);
    incoming_free(t->in);
    proto_builder_dispose(&t->builder);
    free(t->bytes);
    free(t);
    return r;
}

int download_hash(download_run *run, uint64_t number, iroh_hash *out) {
    *out = run->download->content.hash;
    return number == 0 ? 0 : hash_seq_get(&run->sequence, number - 1, out);
}

static int all_chunks(ranges *out) {
    ranges_clear(out);
    return ranges_add(out, 0, BAO_END);
}

// Building

// 1 when something is missing, 0 when all is there.
static int build_chunks(download_run *run, transfer *t) {
    plan_span *s = t->span;
    ranges wanted = RANGES_INIT, none = RANGES_INIT;
    iroh_hash hash;
    bool complete;
    int r = download_hash(run, s->blob, &hash);
    for (size_t i = 0; i < ranges_count(&s->chunks) && r == 0; i++)
        r = ranges_add(&wanted, ranges_items(&s->chunks)[i].start, ranges_items(&s->chunks)[i].end);
    if (r == 0)
        r = missing_chunks(run->store, &hash, &wanted, NULL, &complete);
    if (r == 0 && ranges_count(&wanted) > 0) {
        r = proto_builder_add(&t->builder, s->blob, &wanted);
        if (r == 0)
            r = proto_builder_add(&t->builder, s->blob + 1, &none);
        r = r == 0 ? 1 : r;
        plan_span_set(s, &wanted);
    }
    ranges_dispose(&wanted);
    return r;
}

// Counts what is there of a child that is looked at for the first time. What is complete when it is to be fetched is not
// looked at again, so that nothing has to be remembered of it.
static int count_there(download_run *run, uint64_t number, uint64_t there, bool complete) {
    int r = 0;
    run->progress.have += there;
    if (complete && run->children)
        return 0;
    if (complete)
        r = ranges_add(&run->before, number, number + 1);
    return r == 0 ? ranges_add(&run->looked, number, number + 1) : r;
}

int download_look(download_run *run, uint64_t number, ranges *wanted, bool *came) {
    bool again = pick_has(&run->looked, number), complete = false;
    iroh_hash hash;
    uint64_t there;
    int r = download_hash(run, number, &hash);
    if (r == 0)
        r = missing_chunks(run->store, &hash, wanted, &there, &complete);
    if (r == 0 && !again)
        r = count_there(run, number, there, complete);
    *came = complete && again && !pick_has(&run->before, number);
    return r;
}

// What a blob wanted whole lacks. A set that does not fit into a request is left to be asked for in parts.
static int missing_blob(download_run *run, uint64_t number, ranges *wanted) {
    bool came = false;
    int r = all_chunks(wanted);
    if (r == 0)
        r = download_look(run, number, wanted, &came);
    run->came += came;
    if (r == 0 && ranges_count(wanted) > PLAN_RANGES_MAX) {
        r = plan_want_chunks(&run->plan, number, wanted, 0);
        ranges_clear(wanted);
    }
    return r;
}

// The first of the blobs at or after `at`; UINT64_MAX: none.
static uint64_t next_blob(const plan_span *s, uint64_t at) {
    for (size_t i = 0; i < ranges_count(&s->blobs); i++) {
        range item = ranges_items(&s->blobs)[i];
        if (item.end > at)
            return item.start > at ? item.start : at;
    }
    return UINT64_MAX;
}

// Adds what is wanted of a blob; *end is the number after the one that was added last.
static int add_to_request(transfer *t, uint64_t number, const ranges *wanted, uint64_t *end) {
    ranges none = RANGES_INIT;
    int r = t->builder.count > 0 && number > *end ? proto_builder_add(&t->builder, *end, &none) : 0;
    *end = number + 1;
    return r == 0 ? proto_builder_add(&t->builder, number, wanted) : r;
}

// 1 when something was added.
static int end_request(transfer *t, uint64_t end) {
    ranges none = RANGES_INIT;
    if (t->builder.count == 0)
        return 0;
    int r = proto_builder_add(&t->builder, end, &none);
    return r == 0 ? 1 : r;
}

static int build_blobs(download_run *run, transfer *t) {
    ranges wanted = RANGES_INIT;
    uint64_t at = next_blob(t->span, 0), end = at;
    int r = 0;
    while (at != UINT64_MAX && r == 0) {
        if (proto_builder_size(&t->builder) > BUILT_MAX) {
            r = plan_shorten(&run->plan, t->span, at);
            break;
        }
        r = missing_blob(run, at, &wanted);
        if (r == 0 && ranges_count(&wanted) == 0) {
            r = ranges_remove(&t->span->blobs, at, at + 1);
        } else if (r == 0) {
            r = add_to_request(t, at, &wanted, &end);
        }
        at = next_blob(t->span, at + 1);
    }
    ranges_dispose(&wanted);
    return r == 0 ? end_request(t, end) : r;
}

static int build_sizes(download_run *run, transfer *t) {
    ranges last = RANGES_INIT;
    uint64_t end = 0;
    int r = 0;
    for (uint64_t i = 1; i <= run->sequence.count && r == 0 && proto_builder_size(&t->builder) <= BUILT_MAX; i++) {
        r = sizes_missing(run, i, &last);
        if (r == 1)
            r = add_to_request(t, i, &last, &end);
    }
    ranges_dispose(&last);
    return r == 0 ? end_request(t, end) : r;
}

static int write_request(transfer *t) {
    t->request = (proto_request){.type = PROTO_GET, .hashes = t->hash.bytes, .count = 1};
    int r = proto_builder_seq(&t->builder, &t->request.seq);
    if (r != 0)
        return r;
    t->len = proto_request_size(&t->request);
    t->bytes = malloc(t->len);
    if (t->bytes == NULL)
        return IROH_ERR_NOMEM;
    writer w = writer_of(t->bytes, t->len);
    proto_request_write(&w, &t->request);
    return 0;
}

static int build_request(download_run *run, transfer *t) {
    if (t->span == NULL)
        return build_sizes(run, t);
    return ranges_count(&t->span->chunks) > 0 ? build_chunks(run, t) : build_blobs(run, t);
}

static int build(download_run *run, transfer *t) {
    const iroh_get_options *o = run->options;
    bool root = run->download->content.format == IROH_BLOB_HASH_SEQ && t->span != NULL && !run->children;
    incoming_limits limits = {.root = o->max_sequence, .blob = root ? o->max_sequence : o->max_size};
    int r = build_request(run, t);
    if (r != 1)
        return r;
    r = write_request(t);
    if (r == 0)
        r = incoming_new(run->store, &t->request, &limits, &t->in);
    return r == 0 ? 1 : r;
}

static int transfer_new(download_run *run, source *v, plan_span *span, transfer **out) {
    transfer *t = calloc(1, sizeof *t);
    *out = t;
    if (t == NULL)
        return IROH_ERR_NOMEM;
    *t = (transfer){.source = v, .span = span, .hash = run->download->content.hash, .heard = run->now};
    t->item = SIZE_MAX;
    t->builder = PROTO_BUILDER_INIT;
    list_init(&t->link);
    list_push_back(&v->transfers, &t->link);
    return 0;
}

int transfer_start(download_run *run, source *v, plan_span *span) {
    transfer *t;
    int r = transfer_new(run, v, span, &t);
    if (r != 0)
        return r;
    span->user = t;
    r = build(run, t);
    if (r == 0)
        return transfer_end(run, t, 0);
    v->told.requests += r == 1;
    return r == 1 ? transfer_step(run, t) : r;
}

int transfer_ask_sizes(download_run *run, source *v) {
    transfer *t;
    int r = transfer_new(run, v, NULL, &t);
    if (r != 0)
        return r;
    run->sizes.one = t;
    r = build(run, t);
    if (r != 1) {
        int dropped = transfer_drop(run, t);
        return r == 0 ? dropped : r;
    }
    v->told.requests++;
    r = transfer_step(run, t);
    return r == 0 ? 1 : r;
}

// Ends

void download_report(download_run *run) {
    run->progress.blobs = run->plan.whole_count + pick_count(&run->finished) + run->came;
    if (run->options->progress != NULL)
        run->options->progress(run->options->user, &run->progress);
}

// A span of chunks may have shown how long the blob is.
static int learn_size(download_run *run, const plan_span *s) {
    iroh_blob_status status;
    iroh_hash hash;
    if (s->blob == UINT64_MAX)
        return 0;
    int r = download_hash(run, s->blob, &hash);
    if (r == 0)
        r = iroh_store_status(run->store, &hash, &status);
    if (r != 0 || (status.state != IROH_BLOB_COMPLETE && !status.size_proven))
        return r;
    // Blobs in parts are counted when all of their parts are there.
    if (status.state == IROH_BLOB_COMPLETE)
        r = ranges_add(&run->finished, s->blob, s->blob + 1);
    return r == 0 ? plan_size(&run->plan, s->blob, status.size, true) : r;
}

// The last part of a blob may have come although the end of the span was taken over.
int transfer_drop(download_run *run, transfer *t) {
    plan_span *s = t->span;
    if (s == NULL) {
        run->sizes.one = NULL;
        return transfer_free(t);
    }
    int r = transfer_free(t);
    if (r == 0)
        r = learn_size(run, s);
    int back = plan_give_back(&run->plan, s);
    return r == 0 ? back : r;
}

int transfer_end(download_run *run, transfer *t, int error) {
    plan_span *s = t->span;
    source *v = t->source;
    if (error != 0)
        v->told.error = error;
    if (s == NULL) {
        int dropped = transfer_drop(run, t);
        sizes_ended(run, v, error);
        return dropped;
    }
    uint64_t blob = ranges_count(&s->chunks) > 0 ? s->blob : UINT64_MAX;
    int r = transfer_free(t);  // closes the writer, so that the store knows all that came
    if (r == 0)
        r = learn_size(run, s);
    if (r == 0)
        r = plan_end(&run->plan, s, error, run->now);
    if (r == 0 && error == 0)
        download_report(run);
    if (r == 0 && error == IROH_ERR_NOT_FOUND && blob != UINT64_MAX)
        r = source_observe(run, v, blob);
    return r;
}

// Receiving

// What was asked for of a blob and is still to come after so many bytes of it. That is not what the store lacks: what others
// have stored meanwhile comes all the same.
static int still_to_come(const transfer *t, uint64_t number, uint64_t bytes, ranges *out) {
    proto_walk w;
    uint64_t index = 0;
    int r;
    proto_walk_start(&w, &t->request.seq);
    do
        r = proto_walk_next(&w, &index);
    while (r == 1 && index < number);
    if (r == 1)
        r = index == number ? 0 : IROH_ERR_INTERNAL;
    for (size_t i = 0; i < ranges_count(&w.set) && r == 0; i++)
        r = ranges_add(out, ranges_items(&w.set)[i].start, ranges_items(&w.set)[i].end);
    proto_walk_dispose(&w);
    return r == 0 ? pick_drop(out, bytes / BAO_CHUNK) : r;
}

static int share_large(download_run *run, const transfer *t, const incoming_state *state) {
    ranges left = RANGES_INIT;
    int r = learn_size(run, t->span);  // of one that was shared before
    if (r == 0)
        r = still_to_come(t, state->index, state->blob_bytes, &left);
    if (r == 0)
        r = plan_open(&run->plan, t->span, state->index, &left, state->size, state->blob_bytes);
    ranges_dispose(&left);
    return r;
}

static int tell_plan(download_run *run, transfer *t, const incoming_state *state) {
    plan_span *s = t->span;
    uint64_t more = state->bytes - t->came;
    if (s == NULL)
        return 0;
    int r = plan_came(&run->plan, s, state->index, state->blob_bytes, more, run->now);
    if (r != 0 || state->size == 0 || (state->size == t->claimed && state->index == t->index))
        return r;
    t->claimed = state->size;
    t->index = state->index;
    if (s->blob == state->index)
        return plan_size(&run->plan, s->blob, state->size, false);
    return state->size >= OPEN_BYTES ? share_large(run, t, state) : 0;
}

static void count(download_run *run, transfer *t, const incoming_state *state) {
    iroh_get_progress *p = &run->progress;
    p->bytes += state->bytes - t->came;
    t->source->told.bytes += state->bytes - t->came;
    t->came = state->bytes;
    p->index = state->index;
    p->size = state->size;
    t->source->told.rate = run->plan.providers[t->source->number]->rate;
}

// What of the results of `incoming` the other side is to blame for; the rest is the store's.
static bool is_theirs(int error) {
    return error == IROH_ERR_NOT_FOUND || error == IROH_ERR_PROTOCOL || error == IROH_ERR_TOO_LARGE ||
           error == IROH_ERR_FINISHED;
}

// 0: go on. 1: the transfer is gone. Else an error of this side.
static int over(download_run *run, transfer *t, int result) {
    if (result == 0)
        return 0;
    if (result < 0 && !is_theirs(result))
        return result;
    int r = transfer_end(run, t, result == 1 ? 0 : result);
    return r == 0 ? 1 : r;
}

static int take(download_run *run, transfer *t, size_t len) {
    size_t used;
    int result = len > 0 ? incoming_take(t->in, run->buffer, len, &used) : incoming_end(t->in);
    const incoming_state *state = incoming_get(t->in);
    t->heard = run->now;
    int r = tell_plan(run, t, state);
    if (r != 0)
        return r;
    count(run, t, state);
    download_report(run);
    if (len == 0 && result == 0)
        result = 1;
    return over(run, t, result);
}

// Sending. 1 when the request is on its way, 0 to wait, or an error of the stream.
static int send_request(transfer *t) {
    if (t->stream == NULL) {
        int r = iroh_connection_open_bi(t->source->connection, 0, &t->stream);
        t->events = IROH_POLL_OPEN_BI;
        if (r != 0)
            return r == IROH_ERR_AGAIN ? 0 : r;
    }
    t->events = IROH_POLL_WRITE;
    while (t->sent < t->len) {
        int64_t n = iroh_stream_write(t->stream, t->bytes + t->sent, t->len - t->sent, 0);
        if (n == IROH_ERR_AGAIN)
            return 0;
        if (n == IROH_ERR_STOPPED) {  // who refuses may stop reading before saying why
            t->sent = t->len;
            break;
        }
        if (n < 0)
            return (int)n;
        t->sent += (size_t)n;
        if (t->sent == t->len) {
            int r = iroh_stream_finish(t->stream);
            if (r != 0 && r != IROH_ERR_STOPPED)
                return r;
        }
    }
    t->events = IROH_POLL_READ;
    return 1;
}

static int failed(download_run *run, transfer *t, int error) {
    if (error == IROH_ERR_NOMEM)
        return error;
    return transfer_end(run, t, getter_explain(t->source->connection, t->stream, error));
}

int transfer_step(download_run *run, transfer *t) {
    int r = send_request(t);
    if (r < 0)
        return failed(run, t, r);
    for (int i = 0; i < ROUNDS && r == 1; i++) {
        int64_t n = iroh_stream_read(t->stream, run->buffer, DOWNLOADER_BUFFER, 0);
        if (n == IROH_ERR_AGAIN)
            break;
        if (n < 0)
            return failed(run, t, (int)n);
        int end = take(run, t, (size_t)n);
        if (end != 0)
            return end == 1 ? 0 : end;
        if (t->span != NULL && plan_span_over(t->span))  // others fetch the rest
            return transfer_drop(run, t);
    }
    if (run->options->stall_ms >= 0 && run->now - t->heard >= (uint64_t)run->options->stall_ms * NS_PER_MS)
        return transfer_end(run, t, IROH_ERR_TIMEOUT);
    return 0;
}
