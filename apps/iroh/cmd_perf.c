#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "perf.h"

#define SECONDS_DEFAULT 3
#define BYTES_DEFAULT (UINT64_C(1) << 30)
#define BYTES_MAX (UINT64_C(1) << 50)
#define IDLE_MAX 1000000

static const char *const tests[] = {"upload", "download", "requests", "handshakes"};

// Whether the comma-separated list has the word; no list has them all.
static bool wanted(const char *list, const char *word) {
    size_t len = strlen(word);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, word, len) == 0 && (at[len] == ',' || at[len] == '\0'))
            return true;
    }
    return list == NULL;
}

static bool known(const char *list) {
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        size_t len = strcspn(at, ",");
        bool found = false;
        for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
            found |= strlen(tests[i]) == len && memcmp(tests[i], at, len) == 0;
        if (found)
            continue;
        cli_error("--only wants some of upload,download,requests,handshakes, not '%.*s'", (int)len, at);
        return false;
    }
    return true;
}

static int run_tests(perf_client *c, const cli_options *o) {
    static int (*const transfers[])(perf_client * c) = {perf_requests, perf_upload, perf_download};
    static const char *const names[] = {"requests", "upload", "download"};
    int status = EXIT_OK;
    for (size_t i = 0; i < sizeof transfers / sizeof *transfers && status == EXIT_OK; i++)
        if (wanted(o->only, names[i]))
            status = transfers[i](c);
    if (status == EXIT_OK && wanted(o->only, "handshakes"))
        status = perf_handshakes(c, o);
    return status;
}

int perf_run(const cli_options *o, const iroh_addr *peer) {
    uint64_t seconds, bytes;
    if (!cli_number("--seconds", o->seconds, 0, 3600, SECONDS_DEFAULT, &seconds) ||
        !cli_number("--bytes", o->bytes, 1, BYTES_MAX, BYTES_DEFAULT, &bytes))
        return EXIT_USAGE;
    perf_client c = {.ns = seconds * UINT64_C(1000000000), .bytes = bytes};
    int status = perf_client_open(&c, o, peer);
    if (status == EXIT_OK)
        status = run_tests(&c, o);
    perf_client_close(&c);
    if (status == EXIT_OK)
        perf_figures_print(&c.figures, o->json);
    return status;
}

// perf run TICKET, perf idle N TICKET
static int with_target(const cli_options *o, bool idle) {
    uint64_t count = 0;
    size_t wanted_words = idle ? 3 : 2;
    if (o->arg_count != wanted_words) {
        cli_error(idle ? "usage: iroh perf idle N TICKET" : "usage: iroh perf run TICKET");
        return EXIT_USAGE;
    }
    if (idle && !cli_number("perf idle", o->args[1], 1, IDLE_MAX, 1, &count))
        return EXIT_USAGE;
    if (!known(o->only))
        return EXIT_USAGE;
    iroh_addr *peer = cli_target(o, o->args[wanted_words - 1]);
    if (peer == NULL)
        return EXIT_FAILED;
    int status = idle ? perf_idle(o, peer, count) : perf_run(o, peer);
    iroh_addr_free(peer);
    return status;
}

int cmd_perf(const cli_options *o) {
    const char *word = o->arg_count > 0 ? o->args[0] : "";
    if (strcmp(word, "serve") == 0 && o->arg_count == 1)
        return perf_serve(o);
    if (strcmp(word, "run") == 0)
        return with_target(o, false);
    if (strcmp(word, "idle") == 0)
        return with_target(o, true);
    cli_error("perf wants serve, run TICKET or idle N TICKET; see iroh --help");
    return EXIT_USAGE;
}
