// iroh blob: a store of one's own.
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "blob.h"

#define STORE_DEFAULT ".iroh-blobs"

typedef struct blob_command {
    const char *name;
    size_t args;  // at least, after the name
    int (*run)(const cli_options *o, iroh_store *s);
} blob_command;

bool blob_content(const char *text, iroh_content *out) {
    int r = iroh_content_from_text(out, text);
    if (r != 0)
        cli_error("not a hash: %s", iroh_strerror(r));
    return r == 0;
}

// --- Adding

typedef struct adding {
    share_line line;
    char where[IROH_FOLDER_WHERE];  // what an error is about
} adding;

static bool on_file(void *user, const char *name, uint64_t done, uint64_t size) {
    adding *a = user;
    char text[SHARE_TEXT_MAX], so_far[SHARE_SIZE_MAX];
    share_line_show(&a->line, false, "adding %s  %s", share_text(name, strlen(name), text),
                    size > 0 ? share_size(done, so_far) : "");
    return !share_interrupted(&a->line);
}

static bool on_bytes(void *user, uint64_t done, uint64_t size) {
    adding *a = user;
    return on_file(user, a->where, done, size);
}

static void set_tag(const cli_options *o, iroh_add_options *add) {
    add->tag = o->tag;
    add->tag_len = o->tag != NULL ? strlen(o->tag) : 0;
    add->mode = o->reference ? IROH_ADD_REFERENCE : IROH_ADD_COPY;
}

static int add_folder(const cli_options *o, iroh_store *s, const char *path, adding *a, iroh_hash *out) {
    iroh_collection *c;
    iroh_batch *batch;
    iroh_add_options add = {.format = IROH_BLOB_HASH_SEQ};
    int r = iroh_collection_new(&c);
    if (r != 0)
        return r;
    set_tag(o, &add);
    r = iroh_batch_new(s, &batch);
    if (r == 0) {
        iroh_folder_options folder = {.mode = add.mode, .batch = batch, .progress = on_file, .user = a};
        folder.where = a->where;
        r = iroh_collection_import(c, s, path, &folder);
        iroh_collection_sort(c);
        if (r == 0)
            r = iroh_collection_save(c, s, &add, out);
        iroh_batch_free(batch);
    }
    iroh_collection_free(c);
    return r;
}

static int add_one(const cli_options *o, iroh_store *s, const char *path, adding *a) {
    struct stat st;
    iroh_content content = {.format = IROH_BLOB_RAW};
    iroh_add_options add = {.progress = on_bytes, .user = a};
    char text[IROH_CONTENT_TEXT_SIZE], where[SHARE_TEXT_MAX];
    int r;
    set_tag(o, &add);
    (void)snprintf(a->where, sizeof a->where, "%s", path);
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        content.format = IROH_BLOB_HASH_SEQ;
        r = add_folder(o, s, path, a, &content.hash);
    } else {
        r = iroh_store_add_path(s, path, &add, &content.hash);
    }
    share_line_clear(&a->line);
    if (r != 0 && share_interrupted(&a->line))
        return EXIT_INTERRUPTED;
    if (r != 0) {
        cli_error("cannot add %s: %s", share_text(a->where, strlen(a->where), where), iroh_strerror(r));
        return EXIT_FAILED;
    }
    iroh_content_to_text(&content, text);
    printf("%s  %s\n", text, path);
    return EXIT_OK;
}

static int add(const cli_options *o, iroh_store *s) {
    adding a = {.where = ""};
    int status = EXIT_OK;
    if (o->tag != NULL && o->arg_count > 2) {
        cli_error("--tag names one file or folder; here are %zu", o->arg_count - 1);
        return EXIT_USAGE;
    }
    share_line_start(&a.line, o);
    for (size_t i = 1; i < o->arg_count && status == EXIT_OK; i++)
        status = add_one(o, s, o->args[i], &a);
    return status;
}

// --- Getting and writing

static int get(const cli_options *o, iroh_store *s) {
    iroh_addr *from;
    iroh_content content;
    char text[IROH_CONTENT_TEXT_SIZE];
    int r = iroh_blob_ticket_parse(o->args[1], &from, &content);
    if (r != 0)
        return cli_failed("not a ticket of blobs", r);
    share_line line;
    share_total total;
    share_line_start(&line, o);
    int status = share_fetch(o, &line, &from, 1, &content, s, NULL, &total);
    iroh_addr_free(from);
    iroh_content_to_text(&content, text);
    if (status == EXIT_OK) {
        share_report(&line, &total);
        printf("%s\n", text);
    }
    return status;
}

static int export_collection(const cli_options *o, iroh_store *s, const iroh_hash *hash) {
    iroh_collection *c;
    char where[IROH_FOLDER_WHERE] = "", text[SHARE_TEXT_MAX];
    iroh_folder_options folder = {.mode = IROH_EXPORT_COPY, .where = where};
    int r = iroh_collection_load(s, hash, &c);
    if (r != 0)
        return cli_failed("no collection", r);
    r = iroh_collection_export(c, s, o->to, &folder);
    iroh_collection_free(c);
    if (r == 0)
        return EXIT_OK;
    cli_error("cannot write %s: %s", share_text(where, strlen(where), text), iroh_strerror(r));
    return EXIT_FAILED;
}

static int export(const cli_options *o, iroh_store *s) {
    iroh_content content;
    if (!blob_content(o->args[1], &content))
        return EXIT_FAILED;
    if (o->to == NULL) {
        cli_error("blob export wants --to PATH");
        return EXIT_USAGE;
    }
    if (content.format == IROH_BLOB_HASH_SEQ)
        return export_collection(o, s, &content.hash);
    int r = iroh_store_export(s, &content.hash, o->to, NULL);
    return r == 0 ? EXIT_OK : cli_failed("cannot export", r);
}

// --- Upkeep

static int list(const cli_options *o, iroh_store *s) {
    iroh_hash hash, after;
    iroh_blob_status status;
    (void)o;
    int r = iroh_store_next(s, NULL, &hash, &status);
    for (; r == 0; r = iroh_store_next(s, &after, &hash, &status)) {
        char text[IROH_HASH_HEX_SIZE];
        iroh_hash_to_hex(&hash, text);
        if (status.state != IROH_BLOB_ABSENT)
            printf("%s  %llu%s\n", text, (unsigned long long)status.size,
                   status.state == IROH_BLOB_PARTIAL ? "  partial" : "");
        after = hash;
    }
    return r == IROH_ERR_NOT_FOUND ? EXIT_OK : cli_failed("cannot read the store", r);
}

static int collect(const cli_options *o, iroh_store *s) {
    iroh_gc_stats stats;
    (void)o;
    int r = iroh_store_gc(s, NULL, NULL, &stats);
    if (r != 0)
        return cli_failed("cannot collect", r);
    printf("%llu kept, %llu removed\n", (unsigned long long)stats.kept, (unsigned long long)stats.removed);
    return EXIT_OK;
}

static bool on_verified(void *user, const iroh_hash *hash, int result, uint64_t bad) {
    static const char *const words[] = {"good", "partial", "a wrong outboard", "damaged", "gone"};
    char text[IROH_HASH_HEX_SIZE];
    if (result >= IROH_VERIFY_OUTBOARD) {
        iroh_hash_to_hex(hash, text);
        printf("%s  %s, %llu bad chunks\n", text, words[result], (unsigned long long)bad);
    }
    return !share_interrupted(user);
}

static int verify(const cli_options *o, iroh_store *s) {
    share_line line;
    share_line_start(&line, o);
    iroh_verify_options options = {.repair = true, .report = on_verified, .user = &line};
    iroh_verify_stats stats;
    int r = iroh_store_verify(s, &options, &stats);
    if (r != 0 && share_interrupted(&line))
        return EXIT_INTERRUPTED;
    if (r != 0)
        return cli_failed("cannot verify", r);
    printf("%llu blobs, %llu bytes, %llu damaged, %llu repaired\n", (unsigned long long)stats.blobs,
           (unsigned long long)stats.bytes, (unsigned long long)stats.damaged, (unsigned long long)stats.repaired);
    return stats.damaged == 0 ? EXIT_OK : EXIT_FAILED;
}

static const blob_command commands[] = {{"add", 1, add},     {"get", 1, get},    {"export", 1, export},
                                        {"list", 0, list},   {"gc", 0, collect}, {"verify", 0, verify},
                                        {"tag", 1, blob_tag}};

int cmd_blob(const cli_options *o) {
    const blob_command *found = NULL;
    for (size_t i = 0; o->arg_count > 0 && i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(o->args[0], commands[i].name) == 0)
            found = &commands[i];
    }
    if (found == NULL || o->arg_count < 1 + found->args) {
        cli_error("blob wants add PATH..., get TICKET, export HASH, list, gc, verify or tag ...; see iroh blob --help");
        return EXIT_USAGE;
    }
    iroh_store *s = share_store(o->store != NULL ? o->store : STORE_DEFAULT);
    if (s == NULL)
        return EXIT_FAILED;
    int status = found->run(o, s);
    iroh_store_free(s);
    return status;
}
