// Moving blobs between endpoints: tickets, collections of named blobs, providers and getters.
//
// The protocol is that of iroh-blobs ("/iroh-bytes/4"). Whatever is received is verified before it is stored; what was
// verified stays when a transfer fails, and asking again fetches only what is missing. Memory does not grow with the
// size of a blob.
#ifndef IROH_BLOBS_TRANSFER_H
#define IROH_BLOBS_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <iroh/blobs.h>
#include <iroh/iroh.h>

#ifdef __cplusplus
extern "C" {
#endif

#define IROH_BLOBS_ALPN "/iroh-bytes/4"

// ---------------------------------------------------------------------------------------------------------------------
// Tickets: who has a blob and what it is, as one word of text, "blob..."

// The caller frees *addr, which is null after an error. Errors of iroh_ticket_parse.
IROH_API int iroh_blob_ticket_parse(const char *text, iroh_addr **addr, iroh_content *content);

// Its length without the terminator. A blob ticket holds one relay, and no custom addresses. IROH_ERR_TOO_LARGE (room),
// IROH_ERR_NOMEM.
IROH_API int iroh_blob_ticket_format(const iroh_addr *addr, const iroh_content *content, char *out, size_t room);

// ---------------------------------------------------------------------------------------------------------------------
// Collections: blobs with names, in order. In a store, a hash sequence whose first child has the names.

typedef struct iroh_collection iroh_collection;

IROH_API int iroh_collection_new(iroh_collection **out);  // empty; IROH_ERR_NOMEM
IROH_API void iroh_collection_free(iroh_collection *c);   // null is ignored

// Appends. IROH_ERR_UTF8 (a name), IROH_ERR_TOO_LARGE (more than 1 GiB of names), IROH_ERR_NOMEM.
IROH_API int iroh_collection_add(iroh_collection *c, const char *name, size_t len, const iroh_hash *hash);

IROH_API size_t iroh_collection_count(const iroh_collection *c);
// Name and blob number `i` < count. The name is the collection's, not terminated, and may be any text: the same twice, or
// one that no file may have.
IROH_API const char *iroh_collection_name(const iroh_collection *c, size_t i, size_t *len);
IROH_API iroh_hash iroh_collection_hash(const iroh_collection *c, size_t i);

// Puts entries in the order of their names, by bytes.
IROH_API void iroh_collection_sort(iroh_collection *c);

// Writes it to the store; *out is its hash, of format IROH_BLOB_HASH_SEQ. `o` is about the collection as in
// iroh_store_add_bytes and may be null. Errors of iroh_store_add_bytes.
IROH_API int iroh_collection_save(const iroh_collection *c, iroh_store *s, const iroh_add_options *o, iroh_hash *out);

// Reads it from the store. IROH_ERR_NOT_FOUND (not there, or its names are not), IROH_ERR_SYNTAX (no collection),
// IROH_ERR_UTF8, IROH_ERR_TOO_LARGE (names of more than 1 GiB, or more than 2^32 entries), IROH_ERR_NOMEM, and those of
// the store.
IROH_API int iroh_collection_load(iroh_store *s, const iroh_hash *hash, iroh_collection **out);

// True for a relative path below a folder: parts between single slashes, none of them empty, "." or "..", without
// backslashes, and without zero bytes. A collection that somebody else made may have other names.
IROH_API bool iroh_name_is_safe(const char *name, size_t len);

typedef struct iroh_folder_options {
    int mode;           // IROH_ADD_... or IROH_EXPORT_...
    iroh_batch *batch;  // importing: keeps what is added; null: nothing does until the collection is saved
    // Called before each file and now and then while it is added or written, with its name in the collection, bytes done
    // and its size; false ends the call with IROH_ERR_CLOSED.
    bool (*progress)(void *user, const char *name, uint64_t done, uint64_t size);
    void *user;
    char *where;  // if not null: room for IROH_FOLDER_WHERE bytes, gets the path or name that an error is about
} iroh_folder_options;

#define IROH_FOLDER_WHERE 1024

// Adds a file, or all regular files below a folder, to the store and to the collection. Names begin with the last part of
// `path`. Symbolic links below `path` and special files are left out, and so are empty folders. IROH_ERR_UTF8 and
// IROH_ERR_ARG (a file name that cannot go into a collection), IROH_ERR_NOT_FOUND, IROH_ERR_ACCESS, IROH_ERR_IO,
// IROH_ERR_LIMIT (folders too deep), and errors of iroh_store_add_path.
IROH_API int iroh_collection_import(iroh_collection *c, iroh_store *s, const char *path, const iroh_folder_options *o);

// Writes all blobs of the collection, which are complete in the store, as files below `dir`, and makes folders as needed.
// All names are looked at before anything is written: IROH_ERR_ARG when one is not safe or comes twice. Symbolic links
// below `dir` are not followed: IROH_ERR_ACCESS. IROH_ERR_EXISTS when a file is there already. On an error, files that
// were written before stay.
IROH_API int iroh_collection_export(const iroh_collection *c, iroh_store *s, const char *dir,
                                    const iroh_folder_options *o);

// ---------------------------------------------------------------------------------------------------------------------
// Getting

typedef struct iroh_get_progress {
    uint64_t bytes;  // of data verified by this call
    uint64_t blobs;  // done by this call
    uint64_t count;  // blobs in all, as far as known: 0 before
    uint64_t index;  // of the blob that is on its way: 0 a blob or hash sequence itself, i its child i - 1
    uint64_t size;   // that it claims
    uint64_t have;   // bytes that were there before, of the blobs looked at
    uint64_t total;  // bytes of all blobs together, where `sizes_of` has found them out; 0: unknown
} iroh_get_progress;

typedef struct iroh_get_options {
    int stall_ms;           // without a byte for so long, the other side is given up: IROH_ERR_TIMEOUT; 30 000
    int cancel_fd;          // readable: the call ends with IROH_ERR_CLOSED; -1
    uint64_t max_size;      // bytes that a blob may claim; no limit
    uint64_t max_sequence;  // bytes that a hash sequence may claim whose children are wanted; 32 MiB
    // Chunks of 1024 bytes that are wanted of an IROH_BLOB_RAW, as boundaries: from the first on they are, from the second
    // on not, and so on, ascending. A boundary beyond the end means the last chunk. Null: all.
    const uint64_t *chunks;
    size_t chunk_count;
    // If a hash sequence has no more children than this, their sizes are asked for before they are fetched, with one
    // request. A download that gets no answer goes on after a moment. 0.
    size_t sizes_of;
    // What keeps the content, once it is there: the named tag, the temporary tag, and if none is wanted a new tag whose
    // name begins with `auto-`. With `chunks`, nothing does.
    const void *tag;
    size_t tag_len;
    iroh_temp_tag **temp_tag;
    void (*progress)(void *user, const iroh_get_progress *p);  // after every piece received
    void *user;
} iroh_get_options;

IROH_API void iroh_get_options_default(iroh_get_options *o);

// Fetches what is missing of a blob, or of a hash sequence and its children, over a connection to somebody who has it. `o`
// may be null. IROH_ERR_NOT_FOUND (the other side has not got all of it), IROH_ERR_ACCESS and IROH_ERR_LIMIT (it refuses),
// IROH_ERR_PROTOCOL (bytes that do not verify, or a size that cannot be), IROH_ERR_FINISHED (it ended in the middle),
// IROH_ERR_TOO_LARGE, IROH_ERR_LENGTH (no hash sequence), IROH_ERR_TIMEOUT, the connection's errors and the store's.
IROH_API int iroh_blobs_get(iroh_connection *c, iroh_store *s, const iroh_content *content, const iroh_get_options *o);

// Fetches what is missing of many blobs on one stream, in their order. `chunks` is not for this. Nothing keeps what
// arrives but `batch` (may be null).
IROH_API int iroh_blobs_get_many(iroh_connection *c, iroh_store *s, const iroh_hash *hashes, size_t count,
                                 iroh_batch *batch, const iroh_get_options *o);

// Whether nothing of it is missing: 1 or 0. Errors of the store, IROH_ERR_LENGTH (no hash sequence).
IROH_API int iroh_content_is_complete(iroh_store *s, const iroh_content *content);

// Sends a blob, or a hash sequence and its children, which are complete in the store, to a provider that takes pushes.
// Waits until the bytes have arrived; that they were stored nobody says. IROH_ERR_ACCESS, IROH_ERR_LIMIT (refused),
// IROH_ERR_NOT_FOUND (not in the store).
IROH_API int iroh_blobs_push(iroh_connection *c, iroh_store *s, const iroh_content *content, const iroh_get_options *o);

// Which chunks of a blob another endpoint has.
typedef struct iroh_remote_observer iroh_remote_observer;

IROH_API int iroh_remote_observer_new(iroh_connection *c, const iroh_hash *hash, int timeout_ms,
                                      iroh_remote_observer **out);
IROH_API void iroh_remote_observer_free(iroh_remote_observer *o);  // null is ignored

// Waits for news; the first call has the state at the beginning. Boundaries as in iroh_observer_next. *complete: all
// chunks are there, as the other side says; it may be wrong, and it may have parts that it cannot send. 0,
// IROH_ERR_FINISHED (there will be no more news), IROH_ERR_PROTOCOL, IROH_ERR_TIMEOUT, the connection's errors.
IROH_API int iroh_remote_observer_next(iroh_remote_observer *o, int timeout_ms, uint64_t *size, uint64_t *out,
                                       size_t room, size_t *count, bool *complete);

// Its stream, for iroh_poll: readable while there may be news. Stays the observer's.
IROH_API iroh_stream *iroh_remote_observer_stream(iroh_remote_observer *o);

// ---------------------------------------------------------------------------------------------------------------------
// Downloading from several providers at once
//
// A large blob is split between the providers, and so are the children of a hash sequence: each is asked for as much as it
// sends in about a second, and one that has nothing left to do takes over what others have not got round to. Nobody need be
// trusted or have all of it. A provider that sends wrong bytes or refuses is not asked again; one that is silent, breaks
// off or cannot be reached loses its part to the others, and is tried again a few times, ever later; one that lacks a part
// is asked for the rest, and for what it gets meanwhile. Connections are shared between the downloads of a downloader.

typedef struct iroh_downloader iroh_downloader;
typedef struct iroh_download iroh_download;

typedef struct iroh_downloader_options {
    size_t max_connections;  // open at once; 1024
    size_t max_connecting;   // of them still connecting; 64
    int idle_ms;             // a connection that no download uses is closed after so long; 5 000
    int connect_ms;          // connecting may take so long; 10 000
    unsigned tries;          // a provider that gives nothing so often in a row is given up; 5
    iroh_slice alpn;         // empty: IROH_BLOBS_ALPN
    // Called once for each new connection; an error (IROH_ERR_...) closes it and counts as that of the provider. It must
    // not wait, nor call the downloader. May be null.
    int (*on_connected)(void *user, iroh_connection *c);
    void *user;
} iroh_downloader_options;

IROH_API void iroh_downloader_options_default(iroh_downloader_options *o);

// Downloads over `ep` into `s`, which outlast it. `o` may be null. Safe from any thread if the endpoint is. IROH_ERR_ARG,
// IROH_ERR_NOMEM.
IROH_API int iroh_downloader_new(iroh_endpoint *ep, iroh_store *s, const iroh_downloader_options *o,
                                 iroh_downloader **out);
// Closes its connections. Its downloads are freed before. Null is ignored.
IROH_API void iroh_downloader_free(iroh_downloader *d);

// A download, without providers yet. IROH_ERR_ARG, IROH_ERR_NOMEM, IROH_ERR_IO.
IROH_API int iroh_download_new(iroh_downloader *d, const iroh_content *content, iroh_download **out);
IROH_API void iroh_download_free(iroh_download *d);  // not while it runs; null is ignored

// Adds a provider, which is copied: an id with or without addresses. Also from another thread, while the download runs. An
// id that is there already is not added again, but its addresses are put together. IROH_ERR_ARG, IROH_ERR_NOMEM.
IROH_API int iroh_download_add(iroh_download *d, const iroh_addr *provider);

// Fetches what is missing, as iroh_blobs_get does, one run at a time; several downloads may run at once on threads of
// their own. It fails when none of the providers can give something that is missing: with the most telling of their
// errors, which are those of iroh_blobs_get and of connecting, and with IROH_ERR_NOT_FOUND when there is none. Before that
// it waits for `wait_ms` (-1: for ever) for a provider to be added, or for one of them to get what it lacks. Errors of the
// store end it at once. What was verified is kept in any case, and another run goes on from there with all providers.
IROH_API int iroh_download_run(iroh_download *d, int wait_ms, const iroh_get_options *o);

// How a provider does.
typedef struct iroh_download_source {
    iroh_public_key id;
    uint64_t bytes;     // of data, verified, in all runs
    uint64_t requests;  // made
    uint64_t rate;      // bytes per second, as last measured; 0: unknown
    int error;          // the latest; 0: none
    bool given_up;      // until the next run
} iroh_download_source;

// Provider number `i`, in the order in which they were added. While the download runs, only its progress callback may call
// this. IROH_ERR_RANGE.
IROH_API int iroh_download_source_get(const iroh_download *d, size_t i, iroh_download_source *out);

// ---------------------------------------------------------------------------------------------------------------------
// Providing

typedef struct iroh_provider iroh_provider;

// What a provider does when asked; a mask.
enum { IROH_SERVE_GET = 1, IROH_SERVE_GET_MANY = 2, IROH_SERVE_OBSERVE = 4, IROH_SERVE_PUSH = 8 };

enum {
    IROH_PROVIDER_CONNECTED = 0,
    IROH_PROVIDER_DISCONNECTED = 1,
    IROH_PROVIDER_REQUEST = 2,   // begins
    IROH_PROVIDER_BLOB = 3,      // the transfer of a blob begins
    IROH_PROVIDER_PROGRESS = 4,  // bytes were sent or received
    IROH_PROVIDER_DONE = 5,      // a request ended well
    IROH_PROVIDER_FAILED = 6     // a request ended with `error`
};

typedef struct iroh_provider_event {
    int kind;  // IROH_PROVIDER_...
    iroh_public_key peer;
    uint64_t connection;      // iroh_connection_stable_id
    uint64_t stream;          // iroh_stream_id
    int request;              // IROH_SERVE_..., from IROH_PROVIDER_REQUEST on
    const iroh_hash *hashes;  // that were asked for
    size_t hash_count;
    uint64_t index;  // of the blob in the request
    iroh_hash hash;  // of the blob
    uint64_t size;   // of the blob
    uint64_t bytes;  // of the request's stream so far
    int error;
} iroh_provider_event;

typedef struct iroh_provider_config {
    unsigned serve;          // IROH_SERVE_...; all but IROH_SERVE_PUSH
    size_t max_connections;  // beyond it connections are closed with code 2, "limit"; 1000
    size_t max_requests;     // answered at once, about 300 KiB each; beyond it they are refused with "limit"; 1000
    uint64_t max_push;       // bytes that a pushed blob may claim; 2^40
    // Bytes per second that blobs are sent with: all together, and on each connection; 0: no limit. All streams that send
    // get the same share of a limit; a limit above 2^32 - 1 is one of that.
    uint64_t rate, connection_rate;
    // Called on the thread that runs the provider. To IROH_PROVIDER_CONNECTED, _REQUEST, _BLOB and _PROGRESS the answer
    // counts: 0 to go on, IROH_ERR_ACCESS or IROH_ERR_LIMIT to refuse, and any other error to end with "internal". To
    // _PROGRESS of a blob that is being sent, a positive answer is the time in ms before more of the request is sent.
    int (*event)(void *user, const iroh_provider_event *e);
    void *user;
} iroh_provider_config;

IROH_API void iroh_provider_config_default(iroh_provider_config *config);

// Serves blobs out of a store. One thread at a time uses a provider. `config` may be null. IROH_ERR_NOMEM.
IROH_API int iroh_provider_new(iroh_store *s, const iroh_provider_config *config, iroh_provider **out);
IROH_API void iroh_provider_free(iroh_provider *p);  // closes its connections; null is ignored

// Takes over a connection that was accepted for IROH_BLOBS_ALPN, also on an error. All connections of a provider belong
// to one endpoint.
IROH_API int iroh_provider_add(iroh_provider *p, iroh_connection *c);

// Serves, and if `ep` is not null, accepts connections of it, until `stop_fd` (-1: none) is readable or nothing has
// happened for so long: 0. Errors of iroh_endpoint_accept and iroh_poll.
IROH_API int iroh_provider_run(iroh_provider *p, iroh_endpoint *ep, int stop_fd, int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
