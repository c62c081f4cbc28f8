// The inside of a download: one loop over the connections to all its providers, which carries out what the plan says.
//
// A source is a provider with its connection, a transfer one request to it. They belong to the thread that runs the
// download; only the list of new providers is shared with others.
#ifndef BLOBS_DOWNLOADER_H
#define BLOBS_DOWNLOADER_H

#include <pthread.h>

#include <iroh/blobs_transfer.h>

#include "blobs/downloader_plan.h"
#include "blobs/hash_seq.h"
#include "blobs/incoming.h"
#include "blobs/pool.h"

#define DOWNLOADER_BUFFER 262144  // bytes read at once

struct iroh_downloader {
    iroh_endpoint *endpoint;
    iroh_store *store;
    iroh_downloader_options options;
    uint8_t *alpn;
    conn_pool *pool;
    // A thread closes what is idle, unless the endpoint has none itself.
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t reaper;
    bool reaping, stop;
};

typedef struct source {
    iroh_addr *addr;
    size_t number;  // in the plan
    conn_use *use;  // null: not connected
    iroh_connection *connection;
    uint64_t dial_due;  // ns
    list_link transfers;
    iroh_remote_observer *observer;
    uint64_t observed;  // the blob
    bool not_observable;
    bool more_news;     // than were heard so far
    uint64_t news_due;  // ns: when they are heard again
    bool asked;         // for sizes
    size_t item;        // that is waited for, of the connection or the observer; SIZE_MAX: none
    iroh_download_source told;
} source;

typedef struct download_run download_run;

typedef struct transfer {
    list_link link;
    source *source;
    plan_span *span;      // null: it asks for sizes
    iroh_stream *stream;  // null until it can be opened
    proto_builder builder;
    proto_request request;
    iroh_hash hash;  // that is asked for
    uint8_t *bytes;  // of the request
    size_t len, sent;
    incoming *in;
    uint64_t came;     // of data, as far as told
    uint64_t index;    // of the blob on its way, as far as told
    uint64_t claimed;  // size of the blob on its way, as far as told
    uint64_t heard;    // ns
    unsigned events;   // that are waited for, of the stream, or without one of the connection
    size_t item;       // SIZE_MAX: none
} transfer;

struct iroh_download {
    iroh_downloader *owner;
    iroh_content content;
    source **sources;
    size_t count, room;
    pthread_mutex_t lock;  // of the two that follow
    iroh_addr **added;
    size_t added_count;
    int wake[2];  // a pipe: readable when a provider was added
};

// Asking for the sizes of all children.
typedef struct size_query {
    bool wanted;    // it goes on
    transfer *one;  // null: nobody is asked at the moment
    bool answered;  // somebody has told what he can
    uint64_t until;
} size_query;

struct download_run {
    iroh_download *download;
    iroh_store *store;
    const iroh_get_options *options;
    plan plan;
    bool children;  // the blobs of the sequence are what is wanted now
    hash_seq sequence;
    size_query sizes;
    ranges finished;  // blobs fetched in parts that were counted
    ranges looked;    // children that were looked at and will be again
    ranges before;    // of them those that were complete at the first look
    uint64_t came;    // others that were complete when it was their turn: somebody else had sent them before
    iroh_get_progress progress;
    iroh_pollitem *items;
    size_t item_count, item_room;
    uint8_t *buffer;
    uint64_t now;
    // Since when nobody could give what is missing, and how much had come by then. TIME_NEVER: somebody could.
    uint64_t stuck, stuck_bytes;
    uint64_t ask_due, ask_wait;  // ns: when they are asked all the same, and how long until the next time
};

// The loop (downloader_run.c): fetches what is missing. Waits for `patience_ms` when nobody has it.
int download_fetch(iroh_download *d, int patience_ms, const iroh_get_options *o);

// Transfers (downloader_transfer.c). Errors are those of this side; what the other side does wrong goes to the plan.

// Begins what the span says; when all of it turns out to be there, ends the span.
int transfer_start(download_run *run, source *v, plan_span *span);
int transfer_step(download_run *run, transfer *t);            // frees it when it is over
int transfer_end(download_run *run, transfer *t, int error);  // tells the plan: 0 all came, or the provider's error
int transfer_drop(download_run *run, transfer *t);            // without blame
int transfer_ask_sizes(download_run *run, source *v);         // 1 begun, 0 when there is nothing to ask
int download_hash(download_run *run, uint64_t number, iroh_hash *out);  // of a blob of the content
// Leaves of `wanted` what is lacking of a child; at the first look, counts what is there of it. *came: it is complete, and
// was not then.
int download_look(download_run *run, uint64_t number, ranges *wanted, bool *came);
void download_report(download_run *run);  // tells of the progress

// Sizes (downloader_sizes.c): one who is connected is asked for the last chunks of all children, which prove how long they
// are; another one instead when that one is silent.

int sizes_begin(download_run *run);  // 1 when all are known: the progress has their sum; 0 when somebody is to be asked
// 0: it goes on, until *due at most. 1: it is over, and the progress has the sum if all are known.
int sizes_turn(download_run *run, uint64_t *due);
int sizes_missing(download_run *run, uint64_t number, ranges *out);  // what to ask for of a child: 1, or 0 for nothing
void sizes_ended(download_run *run, source *v, int error);           // the request did

// Sources (downloader_source.c)

int source_new(const iroh_addr *from, source **out);
int source_learn(source *v, const iroh_addr *more);  // other addresses of it, for the next time that it is dialled
void source_free(source *v);                         // which is not connected
int source_turn(download_run *run, source *v);       // connects, hears news, begins and ends transfers
void source_detach(download_run *run, source *v, bool broken);
int source_observe(download_run *run, source *v, uint64_t blob);  // begins to watch what it has

#endif
