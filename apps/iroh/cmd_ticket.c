// iroh ticket: what a ticket holds.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iroh/blobs_transfer.h>

#include "cli.h"

#define TEXT_START 256  // bytes; most addresses fit

static const char *kind_name(int kind) {
    switch (kind) {
    case IROH_ADDR_RELAY:
        return "relay";
    case IROH_ADDR_IP:
        return "ip";
    default:
        return "custom";
    }
}

// The text of transport address `i`, for the caller to free; null when memory is short.
static char *address_text(const iroh_addr *a, size_t i) {
    char *text = NULL;
    int r = IROH_ERR_TOO_LARGE;
    for (size_t room = TEXT_START; r == IROH_ERR_TOO_LARGE; room *= 2) {
        char *larger = realloc(text, room);
        if (larger == NULL)
            break;
        text = larger;
        r = iroh_addr_text(a, i, text, room);
    }
    if (r >= 0)
        return text;
    free(text);
    return NULL;
}

// Texts of addresses are printable ASCII, so that two characters need an escape.
static void print_json_string(const char *text) {
    (void)putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            (void)putchar('\\');
        (void)putchar(*text);
    }
    (void)putchar('"');
}

static void print_address(const iroh_addr *a, size_t i, const char *text, bool json) {
    const char *kind = kind_name(iroh_addr_kind(a, i));
    if (!json) {
        printf("%-6s  %s\n", kind, text);
        return;
    }
    printf("%s{\"%s\":", i > 0 ? "," : "", kind);
    print_json_string(text);
    (void)putchar('}');
}

static void print_content(const iroh_content *content, bool json) {
    char hex[IROH_HASH_HEX_SIZE];
    const char *format = content->format == IROH_BLOB_RAW ? "raw" : "hash-seq";
    iroh_hash_to_hex(&content->hash, hex);
    printf(json ? "\"hash\":\"%s\",\"format\":\"%s\"," : "hash    %s\nformat  %s\n", hex, format);
}

// `content` is null for the ticket of an endpoint.
static int explain(const iroh_addr *a, const iroh_content *content, bool json) {
    char hex[IROH_KEY_HEX_SIZE];
    const char *kind = content != NULL ? "blob" : "endpoint";
    const iroh_public_key id = iroh_addr_id(a);
    iroh_public_key_to_hex(&id, hex);
    printf(json ? "{\"kind\":\"%s\",\"id\":\"%s\"," : "kind    %s\nid      %s\n", kind, hex);
    if (content != NULL)
        print_content(content, json);
    if (json)
        printf("\"addrs\":[");
    for (size_t i = 0; i < iroh_addr_count(a); i++) {
        char *text = address_text(a, i);
        if (text == NULL)
            return cli_failed("cannot show the ticket", IROH_ERR_NOMEM);
        print_address(a, i, text, json);
        free(text);
    }
    if (json)
        printf("]}\n");
    return EXIT_OK;
}

static int refuse(const char *text, int error) {
    iroh_public_key id;
    if (iroh_public_key_from_text(&id, text) == 0)
        cli_error("this is an endpoint id, not a ticket");
    else if (error == IROH_ERR_KIND)
        cli_error("not a ticket: those begin with \"endpoint\" or \"blob\"");
    else
        cli_error("damaged ticket: %s", iroh_strerror(error));
    return EXIT_FAILED;
}

int cmd_ticket(const cli_options *o) {
    iroh_addr *a;
    if (o->arg_count != 1) {
        cli_error("ticket takes one ticket; see iroh --help");
        return EXIT_USAGE;
    }
    iroh_content content;
    bool blob = strncmp(o->args[0], "blob", 4) == 0;
    int r = blob ? iroh_blob_ticket_parse(o->args[0], &a, &content) : iroh_ticket_parse(o->args[0], &a);
    if (r != 0)
        return refuse(o->args[0], r);
    r = explain(a, blob ? &content : NULL, o->json);
    iroh_addr_free(a);
    return r;
}
