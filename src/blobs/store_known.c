#include "blobs/store_known.h"

#include <stdlib.h>
#include <string.h>

#include "blobs/store_os.h"

void store_known_init(store_known *k) {
    pthread_mutex_init(&k->lock, NULL);
    k->places = NULL;
}

void store_known_dispose(store_known *k) {
    free(k->places);
    pthread_mutex_destroy(&k->lock);
}

static store_known_place *place_of(store_known *k, const iroh_hash *hash) {
    return &k->places[(hash->bytes[0] | (size_t)hash->bytes[1] << 8) % STORE_KNOWN_PLACES];
}

static bool holds(const store_known_place *p, const iroh_hash *hash) {
    return p->stamp.size > 0 && memcmp(p->hash.bytes, hash->bytes, sizeof hash->bytes) == 0;
}

void store_known_add(store_known *k, const iroh_hash *hash, const store_stamp *stamp) {
    pthread_mutex_lock(&k->lock);
    if (k->places == NULL)
        k->places = calloc(STORE_KNOWN_PLACES, sizeof *k->places);
    if (k->places != NULL)
        *place_of(k, hash) = (store_known_place){.hash = *hash, .stamp = *stamp};
    pthread_mutex_unlock(&k->lock);
}

bool store_known_has(store_known *k, const iroh_hash *hash, const store_stamp *stamp) {
    pthread_mutex_lock(&k->lock);
    const store_known_place *p = k->places != NULL ? place_of(k, hash) : NULL;
    bool has = p != NULL && holds(p, hash) && store_os_same(&p->stamp, stamp);
    pthread_mutex_unlock(&k->lock);
    return has;
}

void store_known_forget(store_known *k, const iroh_hash *hash) {
    pthread_mutex_lock(&k->lock);
    if (k->places != NULL && holds(place_of(k, hash), hash))
        place_of(k, hash)->stamp.size = 0;
    pthread_mutex_unlock(&k->lock);
}
