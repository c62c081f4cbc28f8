// Several stores that are served by threads, servers that misbehave, and somebody who downloads from all of them, for tests.
#ifndef BLOBS_SCENE_SUPPORT_H
#define BLOBS_SCENE_SUPPORT_H

#include <stdatomic.h>

#include "unit/blobs_support.h"

#define PARTIES 3
#define SIZE ((size_t)3000001)
#define LARGE ((size_t)12000000)

typedef struct party {
    iroh_store *store;
    bool borrowed;  // the store is somebody else's
    iroh_endpoint *ep;
    iroh_provider *provider;
    pthread_t thread;
    int stop[2];
} party;

// `store` null: one of its own. `rate`: bytes per second; 0: no limit.
void party_open(party *p, iroh_store *store, uint64_t rate);
void party_free(party *p);

// Who answers truly for `limit` bytes in all, and then does not. Who floods has nothing, and when observed tells of ever
// more that he has.
typedef struct villain {
    iroh_store *store;  // of somebody else
    enum { LIES, STALLS, DIES, REFUSES, FLOODS } how;
    size_t limit;
    atomic_size_t sent;
    atomic_size_t items;  // of a flood
    iroh_endpoint *ep;
    pthread_t thread;
    int stop[2];
} villain;

#define VILLAIN_PIECE ((size_t)65536)  // bytes that it writes at once, and so may be off the limit

void villain_open(villain *v, int how, size_t limit, iroh_store *store);
void villain_free(villain *v);

typedef struct scene {
    party parties[PARTIES];
    size_t count;
    iroh_store *here;
    iroh_endpoint *client;
    iroh_downloader *downloader;
    iroh_download *download;
    iroh_get_options options;  // progress goes to `last`
    iroh_get_progress last;
} scene;

void scene_open(scene *s, size_t count, uint64_t rate);  // `rate` of each party
void scene_free(scene *s);
void scene_progress(void *user, const iroh_get_progress *p);        // the callback; `user` is the scene
void scene_downloader(scene *s, const iroh_downloader_options *o);  // another one

void scene_want(scene *s, iroh_content content);  // a download of it from all parties
void scene_add(scene *s, iroh_endpoint *ep);      // a provider for it
int scene_fetch(scene *s);                        // runs it, without waiting for help
iroh_download_source scene_source(const scene *s, size_t i);
uint64_t scene_sum(const scene *s, size_t count);  // of the bytes that the first so many sources gave

iroh_content scene_everywhere(scene *s, size_t size);  // a blob that all parties have

// Copies chunks of a blob from one store to another.
void copy_chunks(iroh_store *from, iroh_store *to, const iroh_content *content, uint64_t first, uint64_t end);

iroh_endpoint *bind_blobs(void);

#endif
