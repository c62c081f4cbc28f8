// Writers of one blob who disagree about its size, where one is overtaken by others while it writes.
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "blobs/store_state.h"
#include "unit/store_support.h"

#define SIZE 60000                     // four groups; their outboard is kept with the row
#define LIE ((uint64_t)8 << 20)        // has its outboard in a file
#define GROUP (BAO_GROUP / BAO_CHUNK)  // chunks

static struct {
    iroh_store *store;
    store_blob *blob;
    uint8_t *data;
    const store_file_ops *ops;  // the true ones
    bool overtaken;
} w;

static void lie(void) {
    const bao_item leaf = {
        .leaf = true, .chunk = 0, .chunks = GROUP, .pair = BAO_NO_PAIR, .len = BAO_GROUP, .bytes = w.data};
    store_writer *liar;
    assert_int_equal(store_writer_new(w.blob, LIE, &liar), 0);
    assert_int_equal(store_writer_put(liar, &leaf, 1), 0);
    assert_int_equal(store_writer_close(liar), 0);
}

// The first write is overtaken: one writer has the outboard moved to a file, another brings the true size back.
static int slow_write(store_file *f, uint64_t offset, const store_piece *pieces, size_t count) {
    if (!w.overtaken) {
        w.overtaken = true;
        lie();
        assert_int_equal(store_receive(w.store, w.data, SIZE, GROUP, 2 * GROUP), 0);
    }
    return w.ops->write(f, offset, pieces, count);
}

static void what_an_overtaken_writer_writes_is_not_lost(void **state) {
    (void)state;
    store_file_ops slow;
    w.data = store_bytes(1, SIZE);
    const iroh_hash hash = store_hash(w.data, SIZE);
    assert_int_equal(iroh_store_memory(NULL, &w.store), 0);
    assert_int_equal(store_blob_open(w.store, &hash, &w.blob), 0);
    assert_int_equal(store_receive(w.store, w.data, SIZE, 0, GROUP), 0);
    assert_true(w.blob->data != NULL && w.blob->outboard == NULL);
    w.ops = w.blob->data->ops;
    slow = *w.ops;
    slow.write = slow_write;
    w.blob->data->ops = &slow;
    assert_int_equal(store_receive(w.store, w.data, SIZE, 2 * GROUP, BAO_END), 0);
    assert_true(w.overtaken && w.blob->outboard != NULL);
    w.blob->data->ops = w.ops;
    store_blob_close(w.blob);
    assert_int_equal(store_status_of(w.store, &hash).state, IROH_BLOB_COMPLETE);
    assert_true(store_serves(w.store, &hash, w.data, SIZE));
    iroh_store_free(w.store);
    free(w.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_an_overtaken_writer_writes_is_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
