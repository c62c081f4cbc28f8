// iroh blob tag: names that keep blobs.
#include <stdio.h>
#include <string.h>

#include "blob.h"

typedef struct tag_command {
    const char *name;
    size_t min, max;  // arguments after the name
    int (*run)(const cli_options *o, iroh_store *s, const char *const args[], size_t count);
} tag_command;

// Names are any bytes: what is not plain is escaped, so that a line is a tag.
static void print_name(const uint8_t *name, size_t len) {
    for (size_t i = 0; i < len; i++) {
        if (name[i] < ' ' || name[i] > '~' || name[i] == '\\')
            printf("\\x%02x", name[i]);
        else
            (void)putchar(name[i]);
    }
    (void)putchar('\n');
}

static int list(const cli_options *o, iroh_store *s, const char *const args[], size_t count) {
    const char *prefix = count > 0 ? args[0] : "";
    size_t len = strlen(prefix);
    iroh_tag tag;
    (void)o;
    int r = iroh_tag_next(s, prefix, len, false, &tag);
    while (r == 0 && tag.len >= len && memcmp(tag.name, prefix, len) == 0) {
        char text[IROH_CONTENT_TEXT_SIZE];
        iroh_content_to_text(&tag.content, text);
        printf("%-65s  ", text);
        print_name(tag.name, tag.len);
        iroh_tag latest = tag;
        r = iroh_tag_next(s, latest.name, latest.len, true, &tag);
    }
    return r == 0 || r == IROH_ERR_NOT_FOUND ? EXIT_OK : cli_failed("cannot read the store", r);
}

static int add(const cli_options *o, iroh_store *s, const char *const args[], size_t count) {
    iroh_content content;
    (void)o;
    (void)count;
    if (!blob_content(args[1], &content))
        return EXIT_FAILED;
    int r = iroh_tag_set(s, args[0], strlen(args[0]), &content);
    return r == 0 ? EXIT_OK : cli_failed("cannot set the tag", r);
}

static int rename_tag(const cli_options *o, iroh_store *s, const char *const args[], size_t count) {
    (void)o;
    (void)count;
    int r = iroh_tag_rename(s, args[0], strlen(args[0]), args[1], strlen(args[1]));
    if (r == IROH_ERR_NOT_FOUND) {
        cli_error("there is no tag %s", args[0]);
        return EXIT_FAILED;
    }
    return r == 0 ? EXIT_OK : cli_failed("cannot rename the tag", r);
}

static int remove_tags(const cli_options *o, iroh_store *s, const char *const args[], size_t count) {
    int status = EXIT_OK;
    (void)o;
    for (size_t i = 0; i < count; i++) {
        int r = iroh_tag_remove(s, args[i], strlen(args[i]));
        if (r < 0)
            return cli_failed("cannot remove the tag", r);
        if (r > 0)
            continue;
        cli_error("there is no tag %s", args[i]);
        status = EXIT_FAILED;
    }
    return status;
}

static const tag_command commands[] = {
    {"list", 0, 1, list}, {"add", 2, 2, add}, {"rename", 2, 2, rename_tag}, {"remove", 1, CLI_ARGS_MAX, remove_tags}};

int blob_tag(const cli_options *o, iroh_store *s) {
    size_t count = o->arg_count - 2;
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(o->args[1], commands[i].name) == 0 && count >= commands[i].min && count <= commands[i].max)
            return commands[i].run(o, s, o->args + 2, count);
    }
    cli_error("blob tag wants list [PREFIX], add NAME HASH, rename OLD NEW or remove NAME...");
    return EXIT_USAGE;
}
