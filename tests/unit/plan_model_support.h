// A download in virtual time, for tests of the plan: providers that are a speed, a delay and a way to fail, and what has
// come as a byte for each chunk. Nothing here allocates but the plan.
#ifndef PLAN_MODEL_SUPPORT_H
#define PLAN_MODEL_SUPPORT_H

#include "blobs/downloader_plan.h"

#define MODEL_PROVIDERS 6
#define MODEL_BLOBS 400
#define MODEL_CHUNKS 65536
#define MODEL_ITEMS (MODEL_BLOBS + PLAN_RANGES_MAX)
#define MODEL_TICK (UINT64_C(5) * 1000000)  // ns

enum { MODEL_HONEST, MODEL_LIES, MODEL_STALLS, MODEL_DIES, MODEL_REFUSES, MODEL_AWAY };

typedef struct model_provider {
    uint64_t rate;     // bytes per second
    uint64_t latency;  // ns
    int how;           // MODEL_..., from `limit` bytes on
    uint64_t limit;
    unsigned modulo, rest;   // 0: has everything; else the groups (of raw blobs) or blobs with this rest
    bool groups;             // groups also of blobs that are wanted whole
    bool observable, loses;  // tells what it has; what it sent just before it fails is lost
    // What it does
    uint64_t sent, due, news_at, news_blob;  // ns: connected; tells what it has
    double budget;
    size_t number;
} model_provider;

typedef struct model_item {
    uint64_t blob, start, end;  // chunks
} model_item;

typedef struct model_transfer {
    plan_span *span;  // null: free
    model_item items[MODEL_ITEMS];
    size_t count, at;
    uint64_t ready;  // ns
    uint64_t came;   // bytes of the blob on its way
    bool told;       // of its size
} model_transfer;

typedef struct model {
    plan plan;
    uint64_t now;
    bool whole;  // the blobs are wanted whole; else there is one, of unknown size
    size_t blobs;
    uint64_t chunks[MODEL_BLOBS], first[MODEL_BLOBS];  // of each blob, and where they begin in `got`
    unsigned char got[MODEL_CHUNKS], cover[MODEL_CHUNKS];
    model_provider providers[MODEL_PROVIDERS];
    size_t count;
    model_transfer transfers[MODEL_PROVIDERS][PLAN_SPANS];
    uint64_t twice;  // chunks that came although they were there
    int error;       // of this side
} model;

void model_init(model *m, bool whole);
void model_add_blob(model *m, uint64_t chunks);
void model_add_provider(model *m, model_provider p);

// Runs it to the end: 1, or the plan's error; IROH_ERR_TIMEOUT after so many virtual seconds. `check` looks at the plan now
// and then: what has not come is wanted or asked for exactly once; returns IROH_ERR_INTERNAL when it is not.
int model_run(model *m, unsigned seconds, bool check);
void model_dispose(model *m);

uint64_t model_left(const model *m);  // chunks that have not come
bool model_has(const model_provider *p, bool whole, uint64_t blob, uint64_t chunk);

#endif
