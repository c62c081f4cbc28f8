// The inside of a provider: connections, and on each any number of requests, every one a small state machine that is
// called when its stream is ready. Nothing waits but the one call of iroh_poll in provider.c.
#ifndef BLOBS_PROVIDER_H
#define BLOBS_PROVIDER_H

#include <iroh/blobs_transfer.h>

#include "base/list.h"
#include "blobs/buffers.h"
#include "blobs/incoming.h"
#include "blobs/outgoing.h"
#include "blobs/throttle.h"

#define PROVIDER_BUFFER 262144  // bytes

struct iroh_provider {
    iroh_store *store;
    iroh_provider_config config;
    list_link connections;
    size_t connection_count, stream_count;
    size_t request_count;  // streams whose request has begun
    iroh_pollitem *items;  // of the latest wait
    size_t room;
    uint8_t *input;    // PROVIDER_BUFFER bytes, for whoever reads
    buffers *buffers;  // of PROVIDER_BUFFER bytes, for those who send
    throttle throttle;
    uint64_t due;  // ns: when the next stream may go on that waits for its time
};

typedef struct provider_connection {
    list_link link;
    iroh_provider *provider;
    iroh_connection *handle;
    list_link streams;
    bool over;
    iroh_public_key peer;
    throttle throttle;
} provider_connection;

typedef struct provider_stream provider_stream;

// Goes on with a request. 0 to wait for `events`, 1 when it is over, or an error, with which it has failed.
typedef int provider_step(provider_stream *s);

struct provider_stream {
    list_link link;
    provider_connection *connection;
    iroh_stream *handle;
    provider_step *step;
    unsigned events;  // IROH_POLL_* of the stream that are waited for
    int fd;           // that is waited for, or -1
    // The request
    uint8_t *body;  // with the type in front
    size_t len, room;
    size_t data;  // push: where the data begins in `body`, read together with it
    bool begun;   // it has been read, and told
    proto_request request;
    // What it is doing
    outgoing *out;
    incoming *in;
    iroh_observer *observer;
    proto_have known, told;  // of the observed blob
    uint8_t *buffer;         // bytes that wait to be sent: [start, end); may be null when none do
    bool lends;              // it is one of the provider's buffers, which can be lent to the stream
    size_t start, end;
    int last;        // what comes when they are sent: 0 more, 1 the end, or an error
    uint64_t bytes;  // sent or received
    uint64_t blobs;  // told of
    // Sending within limits
    size_t granted;       // bytes that may be sent from `wait_until` on
    uint64_t wait_until;  // ns; 0: nothing is waited for
};

// Reading the request (provider_request.c)
int provider_receive(provider_stream *s);

// What follows (provider_send.c, provider_observe.c, provider_push.c). `provider_*_start` makes the step the next one.
int provider_send_start(provider_stream *s);
int provider_observe_start(provider_stream *s);
int provider_push_start(provider_stream *s);

// Sends what waits in `buffer`: 1 when nothing does any more, 0 when the stream is full.
int provider_flush(provider_stream *s);

// The same within the limits on rates, which may take time; sets `events` too.
int provider_flush_in_time(provider_stream *s);
void provider_delay(provider_stream *s, int ms);  // nothing is sent for so long

// Tells of an event about a request, which is given a kind and what differs from the last: 0, or a refusal.
int provider_tell(provider_stream *s, int kind, uint64_t index, const iroh_hash *hash, uint64_t size, int error);

// Tells that blob number `count` of the request has begun, if that was not told yet, and of progress: 0, a refusal, or ms
// for which nothing more is to be sent.
int provider_tell_blob(provider_stream *s, uint64_t count, uint64_t index, const iroh_hash *hash, uint64_t size);

#endif
