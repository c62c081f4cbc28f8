// iroh receive: fetches what a ticket of send, or of sendme, names, from all whose tickets are given at once. What was
// received is kept in a folder beside the target until all is there, so that the same command again goes on where it ended.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "share.h"

#define FOLDER_MAX 4096

typedef struct receiver {
    share_line line;
    const char *dir;
    char folder[FOLDER_MAX];  // of the store
    iroh_content content;
    iroh_addr **from;
    size_t from_count;
    iroh_store *store;
    iroh_temp_tag *tag;
    iroh_collection *files;
    share_total total;
} receiver;

static bool on_progress(void *user, const char *name, uint64_t done, uint64_t size) {
    receiver *v = user;
    char text[SHARE_TEXT_MAX], so_far[SHARE_SIZE_MAX];
    share_line_show(&v->line, false, "writing %s  %s", share_text(name, strlen(name), text),
                    size > 0 ? share_size(done, so_far) : "");
    return !share_interrupted(&v->line);
}

// What the ticket names, as a collection: a single blob gets the name of its hash.
static int load_files(receiver *v) {
    if (v->content.format == IROH_BLOB_HASH_SEQ)
        return iroh_collection_load(v->store, &v->content.hash, &v->files);
    char name[IROH_HASH_HEX_SIZE];
    iroh_hash_to_hex(&v->content.hash, name);
    int r = iroh_collection_new(&v->files);
    return r == 0 ? iroh_collection_add(v->files, name, strlen(name), &v->content.hash) : r;
}

static int write_failed(receiver *v, int error, const char *where) {
    char text[SHARE_TEXT_MAX];
    share_line_clear(&v->line);
    if (share_interrupted(&v->line))
        return EXIT_INTERRUPTED;
    const char *name = share_text(where, strlen(where), text);
    if (error == IROH_ERR_EXISTS)
        cli_error("%s is there already; nothing was overwritten", name);
    else if (error == IROH_ERR_ARG)
        cli_error("refusing to write '%s': not a safe name", name);
    else
        cli_error("cannot write %s: %s", name, iroh_strerror(error));
    return EXIT_FAILED;
}

static int write_files(receiver *v) {
    char where[IROH_FOLDER_WHERE] = "";
    int r = load_files(v);
    if (r != 0) {
        cli_error("this is no collection of files: %s", iroh_strerror(r));
        return EXIT_FAILED;
    }
    iroh_folder_options o = {.mode = IROH_EXPORT_REFERENCE, .progress = on_progress, .user = v, .where = where};
    r = iroh_collection_export(v->files, v->store, v->dir, &o);
    share_line_clear(&v->line);
    if (r != 0)
        return write_failed(v, r, where);
    v->total.files = iroh_collection_count(v->files);
    share_report(&v->line, &v->total);
    return EXIT_OK;
}

static bool prepare(receiver *v) {
    char hash[IROH_HASH_HEX_SIZE];
    iroh_hash_to_hex(&v->content.hash, hash);
    if (mkdir(v->dir, 0777) != 0 && errno != EEXIST) {
        cli_error("cannot make %s: %s", v->dir, strerror(errno));
        return false;
    }
    int n = snprintf(v->folder, sizeof v->folder, "%s/.iroh-receive-%s", v->dir, hash);
    if (n < 0 || (size_t)n >= sizeof v->folder) {
        cli_error("the path %s is too long", v->dir);
        return false;
    }
    v->store = share_store(v->folder);
    return v->store != NULL;
}

static int receive(receiver *v, const cli_options *o) {
    if (!prepare(v))
        return EXIT_FAILED;
    int status = share_fetch(o, &v->line, v->from, v->from_count, &v->content, v->store, &v->tag, &v->total);
    if (status == EXIT_OK)
        status = write_files(v);
    iroh_collection_free(v->files);
    iroh_temp_tag_free(v->tag);
    iroh_store_free(v->store);
    if (status == EXIT_OK)
        share_remove_folder(v->folder);
    else
        cli_note("%sthe same command again goes on from here", status == EXIT_INTERRUPTED ? "interrupted; " : "");
    return status;
}

// Another ticket: of the same content, and perhaps of somebody else.
static int take_ticket(receiver *v, const char *text) {
    iroh_content content;
    int r = iroh_blob_ticket_parse(text, &v->from[v->from_count], &content);
    if (r != 0) {
        cli_error("not a ticket of blobs: %s", iroh_strerror(r));
        return EXIT_FAILED;
    }
    bool first = v->from_count++ == 0;
    if (first)
        v->content = content;
    if (content.format == v->content.format && memcmp(&content.hash, &v->content.hash, sizeof content.hash) == 0)
        return EXIT_OK;
    cli_error("the tickets name different contents; several are for several senders of the same");
    return EXIT_USAGE;
}

int cmd_receive(const cli_options *o) {
    receiver v = {.dir = o->to != NULL ? o->to : "."};
    int status = EXIT_OK;
    if (o->arg_count == 0) {
        cli_error("receive wants a ticket");
        return EXIT_USAGE;
    }
    v.from = calloc(o->arg_count, sizeof(iroh_addr *));
    if (v.from == NULL)
        return cli_failed("cannot begin", IROH_ERR_NOMEM);
    for (size_t i = 0; i < o->arg_count && status == EXIT_OK; i++)
        status = take_ticket(&v, o->args[i]);
    if (status == EXIT_OK) {
        share_line_start(&v.line, o);
        status = receive(&v, o);
    }
    for (size_t i = 0; i < v.from_count; i++)
        iroh_addr_free(v.from[i]);
    free(v.from);
    return status;
}
