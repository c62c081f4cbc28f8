// iroh blob: a store of one's own.
#include <stdio.h>
#include <string.h>

#include "share.h"

#define STORE_DEFAULT ".iroh-blobs"

typedef struct blob_command {
    const char *name;
    size_t args;  // at least, after the name
    int (*run)(const cli_options *o, iroh_store *s);
} blob_command;

static int add(const cli_options *o, iroh_store *s) {
    for (size_t i = 1; i < o->arg_count; i++) {
        iroh_hash hash;
        char text[IROH_HASH_HEX_SIZE];
        int r = iroh_store_add_path(s, o->args[i], NULL, &hash);
        if (r != 0) {
            cli_error("cannot add %s: %s", o->args[i], iroh_strerror(r));
            return EXIT_FAILED;
        }
        iroh_hash_to_hex(&hash, text);
        printf("%s  %s\n", text, o->args[i]);
    }
    return EXIT_OK;
}

static int get(const cli_options *o, iroh_store *s) {
    iroh_addr *from;
    iroh_content content;
    char text[IROH_CONTENT_TEXT_SIZE];
    int r = iroh_blob_ticket_parse(o->args[1], &from, &content);
    if (r != 0)
        return cli_failed("not a ticket of blobs", r);
    share_line line;
    iroh_get_progress total;
    share_line_start(&line);
    int status = share_fetch(o, &line, from, &content, s, NULL, &total);
    iroh_addr_free(from);
    iroh_content_to_text(&content, text);
    if (status == EXIT_OK)
        printf("%s\n", text);
    return status;
}

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

static int export(const cli_options *o, iroh_store *s) {
    iroh_content content;
    int r = iroh_content_from_text(&content, o->args[1]);
    if (r != 0)
        return cli_failed("not a hash", r);
    if (o->to == NULL) {
        cli_error("blob export wants --to FILE");
        return EXIT_USAGE;
    }
    r = iroh_store_export(s, &content.hash, o->to, NULL);
    return r == 0 ? EXIT_OK : cli_failed("cannot export", r);
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

static int verify(const cli_options *o, iroh_store *s) {
    iroh_verify_options options = {.repair = true};
    iroh_verify_stats stats;
    (void)o;
    int r = iroh_store_verify(s, &options, &stats);
    if (r != 0)
        return cli_failed("cannot verify", r);
    printf("%llu blobs, %llu bytes, %llu damaged, %llu repaired\n", (unsigned long long)stats.blobs,
           (unsigned long long)stats.bytes, (unsigned long long)stats.damaged, (unsigned long long)stats.repaired);
    return stats.damaged == 0 ? EXIT_OK : EXIT_FAILED;
}

static const blob_command commands[] = {{"add", 1, add},       {"get", 1, get},    {"list", 0, list},
                                        {"export", 1, export}, {"gc", 0, collect}, {"verify", 0, verify}};

int cmd_blob(const cli_options *o) {
    const blob_command *found = NULL;
    for (size_t i = 0; o->arg_count > 0 && i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(o->args[0], commands[i].name) == 0)
            found = &commands[i];
    }
    if (found == NULL || o->arg_count < 1 + found->args) {
        cli_error("blob wants add PATH..., get TICKET, export HASH, list, gc or verify");
        return EXIT_USAGE;
    }
    iroh_store *s = share_store(o->store != NULL ? o->store : STORE_DEFAULT);
    if (s == NULL)
        return EXIT_FAILED;
    int status = found->run(o, s);
    iroh_store_free(s);
    return status;
}
