// An ordered set of objects with keys of bytes: a treap whose links live in the objects, so that membership allocates
// nothing. Balanced by priorities that the caller draws, whatever the order of the keys.
#ifndef BLOBS_STORE_TREE_H
#define BLOBS_STORE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct store_node {
    struct store_node *left, *right;
    uint32_t priority;
} store_node;

typedef struct store_key {
    const uint8_t *bytes;
    size_t len;
} store_key;

typedef struct store_tree {
    store_node *root;
    store_key (*key)(const store_node *node);
} store_tree;

// In order of bytes; a prefix comes first.
int store_key_compare(store_key a, store_key b);

store_node *store_tree_find(const store_tree *t, store_key key);  // null when absent

// The first object whose key is at least `key`, or greater, with `after`; null at the end.
store_node *store_tree_next(const store_tree *t, store_key key, bool after);

// The key must not be in the tree yet. node->priority is set.
void store_tree_insert(store_tree *t, store_node *node);

// The object that was there, or null.
store_node *store_tree_remove(store_tree *t, store_key key);

#endif
