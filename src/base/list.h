// Intrusive doubly linked list: the link lives in the object, so membership costs no allocation and removal is O(1).
//
// A head is a `list_link` that points at itself. A link that is in no list points at itself too, which makes removal
// idempotent and membership a comparison.
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct list_link {
    struct list_link *next;
    struct list_link *prev;
} list_link;

// The object of type `type` whose member `member` is at `link`.
#define list_entry(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void list_init(list_link *l) {
    l->next = l->prev = l;
}

static inline bool list_empty(const list_link *head) {
    return head->next == head;
}

static inline bool list_linked(const list_link *l) {
    return l->next != l;
}

static inline void list_remove(list_link *l) {
    l->prev->next = l->next;
    l->next->prev = l->prev;
    l->next = l->prev = l;
}

static inline void list_insert_before(list_link *at, list_link *l) {
    l->prev = at->prev;
    l->next = at;
    at->prev->next = l;
    at->prev = l;
}

static inline void list_push_back(list_link *head, list_link *l) {
    list_insert_before(head, l);
}

static inline void list_push_front(list_link *head, list_link *l) {
    list_insert_before(head->next, l);
}

// The first link, removed; null when empty.
static inline list_link *list_pop_front(list_link *head) {
    list_link *l = head->next;
    if (l == head)
        return NULL;
    list_remove(l);
    return l;
}

#endif
