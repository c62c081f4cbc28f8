#include "sys/lookup.h"

#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "sys/sockaddr.h"

#define NAME_MAX_LEN 255
#define THREAD_STACK (256 * 1024)

struct sys_lookup {
    pthread_mutex_t lock;  // of all below but the name
    sys_loop *loop;        // null: nobody waits
    int refs;              // the owner's and the thread's
    bool done;
    int count;
    addr found[SYS_LOOKUP_MAX];
    char name[NAME_MAX_LEN + 1];
};

static void unref_locked(sys_lookup *q) {
    bool last = --q->refs == 0;
    pthread_mutex_unlock(&q->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&q->lock);
    free(q);
}

static int take(const struct addrinfo *all, addr out[static SYS_LOOKUP_MAX]) {
    int count = 0;
    for (const struct addrinfo *i = all; i != NULL && count < SYS_LOOKUP_MAX; i = i->ai_next) {
        sys_sockaddr s = {0};
        if (i->ai_addr == NULL || i->ai_addrlen > sizeof s)
            continue;
        memcpy(&s, i->ai_addr, i->ai_addrlen);
        addr a = sys_sockaddr_addr(&s);
        a.port = 0;
        if (addr_is_ip(&a))
            out[count++] = a;
    }
    return count;
}

static void *ask(void *user) {
    sys_lookup *q = user;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM, .ai_protocol = IPPROTO_UDP};
    struct addrinfo *all = NULL;
    addr found[SYS_LOOKUP_MAX];
    int count = getaddrinfo(q->name, NULL, &hints, &all) == 0 ? take(all, found) : 0;
    if (all != NULL)
        freeaddrinfo(all);
    pthread_mutex_lock(&q->lock);
    memcpy(q->found, found, (size_t)count * sizeof *found);
    q->count = count;
    q->done = true;
    if (q->loop != NULL)
        sys_loop_wake(q->loop);
    unref_locked(q);
    return NULL;
}

// Without the program's signals, and without anybody who waits for its end.
static int start_thread(sys_lookup *q) {
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    if (pthread_attr_init(&attributes) != 0)
        return IROH_ERR_NOMEM;
    (void)pthread_attr_setstacksize(&attributes, THREAD_STACK);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&thread, &attributes, ask, q);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return r == 0 ? 0 : IROH_ERR_IO;
}

int sys_lookup_start(sys_loop *l, const char *host, size_t len, sys_lookup **out) {
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    if (len > NAME_MAX_LEN)
        return IROH_ERR_TOO_LARGE;
    sys_lookup *q = calloc(1, sizeof *q);
    if (q == NULL || pthread_mutex_init(&q->lock, NULL) != 0) {
        free(q);
        return IROH_ERR_NOMEM;
    }
    q->loop = l;
    q->refs = 2;
    memcpy(q->name, host, len);
    int r = start_thread(q);
    if (r != 0) {
        pthread_mutex_destroy(&q->lock);
        free(q);
        return r;
    }
    *out = q;
    return 0;
}

int sys_lookup_result(sys_lookup *q, addr *out, size_t room) {
    pthread_mutex_lock(&q->lock);
    int r = !q->done ? IROH_ERR_AGAIN : q->count == 0 ? IROH_ERR_NOT_FOUND : q->count;
    for (int i = 0; i < r && (size_t)i < room; i++)
        out[i] = q->found[i];
    pthread_mutex_unlock(&q->lock);
    return r;
}

void sys_lookup_free(sys_lookup *q) {
    if (q == NULL)
        return;
    pthread_mutex_lock(&q->lock);
    q->loop = NULL;
    unref_locked(q);
}
