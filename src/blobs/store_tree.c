#include "blobs/store_tree.h"

#include <string.h>

int store_key_compare(store_key a, store_key b) {
    size_t shared = a.len < b.len ? a.len : b.len;
    int c = shared > 0 ? memcmp(a.bytes, b.bytes, shared) : 0;
    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

store_node *store_tree_find(const store_tree *t, store_key key) {
    store_node *n = t->root;
    while (n != NULL) {
        int c = store_key_compare(key, t->key(n));
        if (c == 0)
            return n;
        n = c < 0 ? n->left : n->right;
    }
    return NULL;
}

store_node *store_tree_next(const store_tree *t, store_key key, bool after) {
    store_node *n = t->root, *best = NULL;
    while (n != NULL) {
        int c = store_key_compare(key, t->key(n));
        if (c < 0 || (c == 0 && !after)) {
            best = n;
            n = n->left;
        } else {
            n = n->right;
        }
    }
    return best;
}

// Cuts the subtree at `n` into the keys below and above `key`, which is not in it.
static void split(const store_tree *t, store_node *n, store_key key, store_node **below, store_node **above) {
    while (n != NULL) {
        if (store_key_compare(key, t->key(n)) < 0) {
            *above = n;
            above = &n->left;
            n = n->left;
        } else {
            *below = n;
            below = &n->right;
            n = n->right;
        }
    }
    *below = *above = NULL;
}

void store_tree_insert(store_tree *t, store_node *node) {
    store_key key = t->key(node);
    store_node **at = &t->root;
    while (*at != NULL && (*at)->priority >= node->priority)
        at = store_key_compare(key, t->key(*at)) < 0 ? &(*at)->left : &(*at)->right;
    split(t, *at, key, &node->left, &node->right);
    *at = node;
}

// Puts two subtrees, all of `a` before all of `b`, in the place `at`.
static void join(store_node **at, store_node *a, store_node *b) {
    while (a != NULL && b != NULL) {
        if (a->priority >= b->priority) {
            *at = a;
            at = &a->right;
            a = a->right;
        } else {
            *at = b;
            at = &b->left;
            b = b->left;
        }
    }
    *at = a != NULL ? a : b;
}

store_node *store_tree_remove(store_tree *t, store_key key) {
    store_node **at = &t->root;
    while (*at != NULL) {
        store_node *n = *at;
        int c = store_key_compare(key, t->key(n));
        if (c == 0) {
            join(at, n->left, n->right);
            return n;
        }
        at = c < 0 ? &n->left : &n->right;
    }
    return NULL;
}
