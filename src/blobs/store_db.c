#include "blobs/store_db.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blobs/store_db_error.h"
#include "blobs/store_have.h"

#define LAYOUT 1                // PRAGMA user_version
#define APPLICATION 0x69726f68  // PRAGMA application_id: "iroh"
#define CACHE_KIB 4096

// Small blobs and outboards stand apart in the order of their arrival, so that the tables that are searched stay small and
// bulk writes go to the end of the file.
static const char layout[] = "CREATE TABLE blobs(hash BLOB PRIMARY KEY, state INTEGER NOT NULL, place INTEGER NOT NULL,"
                             " outboard_place INTEGER NOT NULL, flags INTEGER NOT NULL, size INTEGER NOT NULL,"
                             " bytes INTEGER, outboard INTEGER, have BLOB, path BLOB, modified INTEGER) WITHOUT ROWID;"
                             "CREATE TABLE bytes(id INTEGER PRIMARY KEY, content BLOB NOT NULL);"
                             "CREATE TABLE tags(name BLOB PRIMARY KEY, hash BLOB NOT NULL, format INTEGER NOT NULL)"
                             " WITHOUT ROWID;";

enum { FLAG_PROVEN = 1, FLAG_DIRTY = 2 };

enum {
    GET,
    PUT,
    INSERT,
    REMOVE,
    NEXT,
    BYTES_GET,
    BYTES_PUT,
    BYTES_REMOVE,
    TAG_GET,
    TAG_PUT,
    TAG_REMOVE,
    TAG_FROM,
    TAG_AFTER,
    BEGIN,
    COMMIT,
    ROLLBACK,
    STATEMENTS
};

static const char *const texts[STATEMENTS] = {
    [GET] = "SELECT state, place, outboard_place, flags, size, bytes, outboard, have, path, modified FROM blobs"
            " WHERE hash = ?1",
    [PUT] = "INSERT OR REPLACE INTO blobs(hash, state, place, outboard_place, flags, size, bytes, outboard, have, path,"
            " modified) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [INSERT] =
        "INSERT OR IGNORE INTO blobs(hash, state, place, outboard_place, flags, size, bytes, outboard, have, path,"
        " modified) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [REMOVE] = "DELETE FROM blobs WHERE hash = ?1",
    [NEXT] = "SELECT hash FROM blobs WHERE hash > ?1 ORDER BY hash LIMIT 1",
    [BYTES_GET] = "SELECT content FROM bytes WHERE id = ?1",
    [BYTES_PUT] = "INSERT INTO bytes(content) VALUES(?1)",
    [BYTES_REMOVE] = "DELETE FROM bytes WHERE id = ?1",
    [TAG_GET] = "SELECT hash, format FROM tags WHERE name = ?1",
    [TAG_PUT] = "INSERT OR REPLACE INTO tags(name, hash, format) VALUES(?1, ?2, ?3)",
    [TAG_REMOVE] = "DELETE FROM tags WHERE name = ?1",
    [TAG_FROM] = "SELECT name, hash, format FROM tags WHERE name >= ?1 ORDER BY name LIMIT 1",
    [TAG_AFTER] = "SELECT name, hash, format FROM tags WHERE name > ?1 ORDER BY name LIMIT 1",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
};

struct store_db {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
    bool open;  // a transaction
    bool lost;
};

// Runs a statement to its first row: 1, or 0 when there is none.
static int step(store_db *db, int which) {
    int code = sqlite3_step(db->statements[which]);
    if (code == SQLITE_ROW)
        return 1;
    if (code == SQLITE_DONE)
        return 0;
    int r = store_db_error(db->db, code);
    if (db->open && sqlite3_get_autocommit(db->db)) {
        db->open = false;
        db->lost = true;
    }
    return r;
}

static sqlite3_stmt *prepared(store_db *db, int which) {
    sqlite3_stmt *s = db->statements[which];
    sqlite3_reset(s);
    return s;
}

static void done(store_db *db, int which) {
    sqlite3_reset(db->statements[which]);
    sqlite3_clear_bindings(db->statements[which]);
}

static int begin(store_db *db) {
    if (db->open)
        return 0;
    (void)prepared(db, BEGIN);
    int r = step(db, BEGIN);
    done(db, BEGIN);
    db->open = r == 0;
    return r;
}

// Bindings borrow; `done` lets go of them before the caller's memory is.
static void bind_bytes(sqlite3_stmt *s, int at, const void *bytes, size_t len) {
    if (len == 0)
        sqlite3_bind_zeroblob(s, at, 0);  // a null pointer would bind NULL
    else
        sqlite3_bind_blob64(s, at, bytes, len, SQLITE_STATIC);
}

// Opening

static int pragmas(store_db *db, bool power_safe) {
    char text[400];
    // One process: the index of the log can stay in its memory. Nothing is written to the disk before a commit, so that
    // only a commit can fail for want of space.
    (void)snprintf(text, sizeof text,
                   "PRAGMA locking_mode = EXCLUSIVE; PRAGMA page_size = 8192; PRAGMA journal_mode = WAL;"
                   "PRAGMA synchronous = %s; PRAGMA cache_size = -%d; PRAGMA cache_spill = OFF;"
                   "PRAGMA wal_autocheckpoint = 4096; PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY",
                   power_safe ? "FULL" : "OFF", CACHE_KIB);
    int code = sqlite3_exec(db->db, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : store_db_error(db->db, code);
}

static int number_of(store_db *db, const char *pragma, int *out) {
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(db->db, pragma, -1, &s, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(s)) == SQLITE_ROW) {
        *out = sqlite3_column_int(s, 0);
        code = SQLITE_OK;
    }
    sqlite3_finalize(s);
    return code == SQLITE_OK ? 0 : store_db_error(db->db, code);
}

static int check_layout(store_db *db) {
    int version = 0, r = number_of(db, "PRAGMA user_version", &version);
    if (r != 0)
        return r;
    if (version > LAYOUT || version < 0)
        return IROH_ERR_VERSION;
    if (version == LAYOUT)
        return 0;
    char text[1024];
    (void)snprintf(text, sizeof text, "BEGIN; %s PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", layout,
                   APPLICATION, LAYOUT);
    int code = sqlite3_exec(db->db, text, NULL, NULL, NULL);
    return code == SQLITE_OK ? 0 : store_db_error(db->db, code);
}

static int prepare_all(store_db *db) {
    for (int i = 0; i < STATEMENTS; i++) {
        int code = sqlite3_prepare_v3(db->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &db->statements[i], NULL);
        if (code != SQLITE_OK)
            return store_db_error(db->db, code);
    }
    return 0;
}

int store_db_open(const char *path, bool power_safe, store_db **out) {
    store_db *db = calloc(1, sizeof *db);
    *out = NULL;
    if (db == NULL)
        return IROH_ERR_NOMEM;
    int code = sqlite3_open_v2(path, &db->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (db->db != NULL)
        sqlite3_extended_result_codes(db->db, 1);
    int r = code == SQLITE_OK ? pragmas(db, power_safe) : store_db_error(db->db, code);
    if (r == 0)
        r = check_layout(db);
    if (r == 0)
        r = prepare_all(db);
    if (r != 0)
        store_db_close(db);
    else
        *out = db;
    return r;
}

void store_db_close(store_db *db) {
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(db->statements[i]);
    sqlite3_close(db->db);
    free(db);
}

bool store_db_changed(const store_db *db) {
    return db->open;
}

bool store_db_lost(store_db *db) {
    bool lost = db->lost;
    db->lost = false;
    return lost;
}

int store_db_commit(store_db *db) {
    if (!db->open)
        return 0;
    (void)prepared(db, COMMIT);
    int r = step(db, COMMIT);
    done(db, COMMIT);
    if (r != 0)  // SQLite would let us try again, but who waits wants an answer
        store_db_rollback(db);
    db->open = false;
    return r;
}

void store_db_rollback(store_db *db) {
    if (!db->open)
        return;
    (void)prepared(db, ROLLBACK);
    (void)step(db, ROLLBACK);
    done(db, ROLLBACK);
    db->open = false;
    db->lost = true;
}

// Bytes in their own table

static int bytes_put(store_db *db, const void *bytes, size_t len, int64_t *id) {
    sqlite3_stmt *s = prepared(db, BYTES_PUT);
    bind_bytes(s, 1, bytes, len);
    int r = step(db, BYTES_PUT);
    done(db, BYTES_PUT);
    *id = sqlite3_last_insert_rowid(db->db);
    return r;
}

// `*out` is null for an id of 0.
static int bytes_get(store_db *db, int64_t id, uint8_t **out, size_t *len) {
    *out = NULL;
    *len = 0;
    if (id == 0)
        return 0;
    sqlite3_stmt *s = prepared(db, BYTES_GET);
    sqlite3_bind_int64(s, 1, id);
    int r = step(db, BYTES_GET);
    if (r == 1) {
        const void *content = sqlite3_column_blob(s, 0);
        *len = (size_t)sqlite3_column_bytes(s, 0);
        *out = malloc(*len + 1);
        if (*out != NULL && *len > 0)
            memcpy(*out, content, *len);
        r = *out != NULL ? 0 : IROH_ERR_NOMEM;
    } else if (r == 0) {
        r = IROH_ERR_CORRUPT;  // a row names bytes that are not there
    }
    done(db, BYTES_GET);
    return r;
}

static int bytes_remove(store_db *db, int64_t id) {
    if (id == 0)
        return 0;
    sqlite3_stmt *s = prepared(db, BYTES_REMOVE);
    sqlite3_bind_int64(s, 1, id);
    int r = step(db, BYTES_REMOVE);
    done(db, BYTES_REMOVE);
    return r;
}

// Rows

static int path_of(sqlite3_stmt *s, int column, char **out) {
    const void *path = sqlite3_column_blob(s, column);
    size_t len = (size_t)sqlite3_column_bytes(s, column);
    if (path == NULL)
        return IROH_ERR_CORRUPT;
    *out = malloc(len + 1);
    if (*out == NULL)
        return IROH_ERR_NOMEM;
    memcpy(*out, path, len);
    (*out)[len] = '\0';
    return 0;
}

static int read_columns(sqlite3_stmt *s, store_row *out, int64_t ids[2]) {
    out->state = (uint8_t)sqlite3_column_int(s, 0);
    out->place = (uint8_t)sqlite3_column_int(s, 1);
    out->outboard_place = (uint8_t)sqlite3_column_int(s, 2);
    out->proven = (sqlite3_column_int(s, 3) & FLAG_PROVEN) != 0;
    out->dirty = (sqlite3_column_int(s, 3) & FLAG_DIRTY) != 0;
    out->size = (uint64_t)sqlite3_column_int64(s, 4);
    ids[0] = sqlite3_column_int64(s, 5);
    ids[1] = sqlite3_column_int64(s, 6);
    out->stamp = (store_stamp){.size = out->size, .modified = sqlite3_column_int64(s, 9)};
    int r = store_have_decode(sqlite3_column_blob(s, 7), (size_t)sqlite3_column_bytes(s, 7), &out->have);
    if (r == 0 && out->place == STORE_EXTERNAL)
        r = path_of(s, 8, &out->path);
    bool known = (out->state == IROH_BLOB_PARTIAL || out->state == IROH_BLOB_COMPLETE) &&
                 out->place <= STORE_EXTERNAL && out->outboard_place <= STORE_FILE && out->size <= INT64_MAX;
    return r == 0 && !known ? IROH_ERR_CORRUPT : r;
}

// The columns of a row and the ids of its bytes.
static int get_row(store_db *db, const uint8_t hash[32], store_row *out, int64_t ids[2]) {
    *out = (store_row){.have = RANGES_INIT};
    sqlite3_stmt *s = prepared(db, GET);
    bind_bytes(s, 1, hash, 32);
    int r = step(db, GET);
    if (r == 1)
        r = read_columns(s, out, ids);
    else if (r == 0)
        r = IROH_ERR_NOT_FOUND;
    done(db, GET);
    return r;
}

int store_db_get(store_db *db, const uint8_t hash[32], bool bytes, store_row *out) {
    int64_t ids[2] = {0, 0};
    size_t len;
    int r = get_row(db, hash, out, ids);
    if (r == 0 && bytes && (r = bytes_get(db, ids[0], &out->data, &len)) == 0) {
        if (out->place == STORE_INLINE && (out->data == NULL || len != out->size))
            r = IROH_ERR_CORRUPT;
    }
    if (r == 0 && bytes)
        r = bytes_get(db, ids[1], &out->outboard, &out->outboard_len);
    if (r != 0)
        store_row_dispose(out);
    return r;
}

static int old_ids(store_db *db, const uint8_t hash[32], int64_t ids[2]) {
    store_row old;
    ids[0] = ids[1] = 0;
    int r = get_row(db, hash, &old, ids);
    store_row_dispose(&old);
    // A row that cannot be read is replaced or removed all the same; at worst its bytes stay behind.
    return r == IROH_ERR_NOT_FOUND || r == IROH_ERR_CORRUPT ? 0 : r;
}

// `which` is PUT or INSERT.
static int put_columns(store_db *db, int which, const uint8_t hash[32], const store_row *row, const int64_t ids[2]) {
    uint8_t *have;
    size_t len;
    int r = store_have_encode(&row->have, &have, &len);
    if (r != 0)
        return r;
    sqlite3_stmt *s = prepared(db, which);
    bind_bytes(s, 1, hash, 32);
    sqlite3_bind_int(s, 2, row->state);
    sqlite3_bind_int(s, 3, row->place);
    sqlite3_bind_int(s, 4, row->outboard_place);
    sqlite3_bind_int(s, 5, (row->proven ? FLAG_PROVEN : 0) | (row->dirty ? FLAG_DIRTY : 0));
    sqlite3_bind_int64(s, 6, (int64_t)row->size);
    if (ids[0] != 0)
        sqlite3_bind_int64(s, 7, ids[0]);
    if (ids[1] != 0)
        sqlite3_bind_int64(s, 8, ids[1]);
    if (len > 0)
        bind_bytes(s, 9, have, len);
    if (row->path != NULL) {
        bind_bytes(s, 10, row->path, strlen(row->path));
        sqlite3_bind_int64(s, 11, row->stamp.modified);
    }
    r = step(db, which);
    done(db, which);
    free(have);
    return r;
}

static int replace(store_db *db, const uint8_t hash[32], const store_row *row, const int64_t ids[2]) {
    int64_t old[2];
    int r = old_ids(db, hash, old);
    if (r == 0)
        r = put_columns(db, PUT, hash, row, ids);
    if (r == 0)
        r = bytes_remove(db, old[0]);
    return r == 0 ? bytes_remove(db, old[1]) : r;
}

int store_db_put(store_db *db, const uint8_t hash[32], const store_row *row) {
    int64_t ids[2] = {0, 0};
    int r = begin(db);
    if (r == 0 && row->data != NULL)
        r = bytes_put(db, row->data, row->size, &ids[0]);
    if (r == 0 && row->outboard_len > 0)
        r = bytes_put(db, row->outboard, row->outboard_len, &ids[1]);
    // Most rows are new; only where there was one before is it worth looking for the bytes that it leaves behind.
    if (r == 0)
        r = put_columns(db, INSERT, hash, row, ids);
    return r == 0 && sqlite3_changes(db->db) == 0 ? replace(db, hash, row, ids) : r;
}

int store_db_remove(store_db *db, const uint8_t hash[32]) {
    int64_t old[2];
    int r = begin(db);
    if (r == 0)
        r = old_ids(db, hash, old);
    if (r == 0) {
        bind_bytes(prepared(db, REMOVE), 1, hash, 32);
        r = step(db, REMOVE);
        done(db, REMOVE);
    }
    if (r == 0)
        r = bytes_remove(db, old[0]);
    return r == 0 ? bytes_remove(db, old[1]) : r;
}

int store_db_next(store_db *db, const uint8_t *after, uint8_t out[32]) {
    sqlite3_stmt *s = prepared(db, NEXT);
    bind_bytes(s, 1, after, after != NULL ? 32 : 0);
    int r = step(db, NEXT);
    if (r == 1 && sqlite3_column_bytes(s, 0) == 32) {
        memcpy(out, sqlite3_column_blob(s, 0), 32);
        r = 0;
    } else if (r >= 0) {
        r = r == 1 ? IROH_ERR_CORRUPT : IROH_ERR_NOT_FOUND;
    }
    done(db, NEXT);
    return r;
}

// Tags

static int read_content(sqlite3_stmt *s, int column, iroh_content *out) {
    if (sqlite3_column_bytes(s, column) != 32)
        return IROH_ERR_CORRUPT;
    memcpy(out->hash.bytes, sqlite3_column_blob(s, column), 32);
    out->format = sqlite3_column_int(s, column + 1);
    return 0;
}

int store_db_tag_get(store_db *db, const void *name, size_t len, iroh_content *out) {
    sqlite3_stmt *s = prepared(db, TAG_GET);
    bind_bytes(s, 1, name, len);
    int r = step(db, TAG_GET);
    if (r >= 0)
        r = r == 1 ? read_content(s, 0, out) : IROH_ERR_NOT_FOUND;
    done(db, TAG_GET);
    return r;
}

int store_db_tag_put(store_db *db, const void *name, size_t len, const iroh_content *content) {
    int r = begin(db);
    if (r != 0)
        return r;
    sqlite3_stmt *s = prepared(db, TAG_PUT);
    bind_bytes(s, 1, name, len);
    bind_bytes(s, 2, content->hash.bytes, 32);
    sqlite3_bind_int(s, 3, content->format);
    r = step(db, TAG_PUT);
    done(db, TAG_PUT);
    return r;
}

int store_db_tag_remove(store_db *db, const void *name, size_t len) {
    int r = begin(db);
    if (r != 0)
        return r;
    bind_bytes(prepared(db, TAG_REMOVE), 1, name, len);
    r = step(db, TAG_REMOVE);
    done(db, TAG_REMOVE);
    if (r == 0 && sqlite3_changes(db->db) == 0)
        r = IROH_ERR_NOT_FOUND;
    return r;
}

int store_db_tag_rename(store_db *db, const void *from, size_t from_len, const void *to, size_t to_len) {
    iroh_content content;
    int r = store_db_tag_get(db, from, from_len, &content);
    if (r == 0)
        r = store_db_tag_put(db, to, to_len, &content);
    if (r == 0 && (from_len != to_len || memcmp(from, to, to_len) != 0))
        r = store_db_tag_remove(db, from, from_len);
    return r;
}

int store_db_tag_next(store_db *db, const void *from, size_t len, bool after, iroh_tag *out) {
    int which = after ? TAG_AFTER : TAG_FROM;
    sqlite3_stmt *s = prepared(db, which);
    bind_bytes(s, 1, from, len);
    int r = step(db, which);
    if (r == 1) {
        out->len = (size_t)sqlite3_column_bytes(s, 0);
        r = out->len <= IROH_TAG_MAX ? read_content(s, 1, &out->content) : IROH_ERR_CORRUPT;
        if (r == 0 && out->len > 0)
            memcpy(out->name, sqlite3_column_blob(s, 0), out->len);
    } else if (r == 0) {
        r = IROH_ERR_NOT_FOUND;
    }
    done(db, which);
    return r;
}
