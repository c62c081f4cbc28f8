// Each line is a verb and its words; each is answered by one line, {"done": LINE} with "error" or "result".
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>

#include "quic_peer.h"
#include "sys/loop.h"

enum { WORDS_MAX = 8, PATHS_SHOWN = 16 };

// What a command has to work with. The words that were not given are empty.
typedef struct command {
    quic_peer *peer;
    quic_conn *conn;
    const char *words[WORDS_MAX];
    char result[4096];  // JSON, empty: none
} command;

static uint64_t number(const command *k, size_t word) {
    return strtoull(k->words[word], NULL, 10);
}

static int address(const command *k, size_t word, addr *out) {
    return addr_parse(out, k->words[word], strlen(k->words[word]));
}

static quic_path_status status(const command *k, size_t word) {
    return strcmp(k->words[word], "backup") == 0 ? PATH_BACKUP : PATH_AVAILABLE;
}

static int run_connect(command *k) {
    return quic_peer_connect(k->peer, number(k, 1));
}

static int run_open(command *k) {
    addr remote, any = {0};
    uint32_t id;
    int r = address(k, 1, &remote);
    if (r == 0)
        r = quic_conn_open_path(k->conn, &remote, &any, status(k, 2), sys_now(), &id);
    if (r == 0)
        snprintf(k->result, sizeof k->result, "{\"path\": %" PRIu32 "}", id);
    return r;
}

static int run_abandon(command *k) {
    return quic_conn_close_path(k->conn, (uint32_t)number(k, 1), PATH_CODE_APPLICATION, sys_now());
}

static int run_status(command *k) {
    return quic_conn_set_path_status(k->conn, (uint32_t)number(k, 1), status(k, 2));
}

static int run_candidate(command *k) {
    addr a;
    int r = address(k, 1, &a);
    return r == 0 ? quic_conn_add_candidate(k->conn, &a) : r;
}

static int run_uncandidate(command *k) {
    addr a;
    int r = address(k, 1, &a);
    return r == 0 ? quic_conn_remove_candidate(k->conn, &a) : r;
}

static int run_round(command *k) {
    return quic_conn_start_round(k->conn, sys_now());
}

static int run_echo(command *k) {
    return quic_peer_echo(k->peer, k->conn, number(k, 1));
}

static int run_keys(command *k) {
    return quic_conn_update_keys(k->conn, sys_now());
}

static int run_rebind(command *k) {
    return quic_peer_rebind(k->peer);
}

static int run_network(command *k) {
    quic_conn_network_changed(k->conn, NULL, NULL, sys_now());
    return 0;
}

static int run_close(command *k) {
    quic_conn_close(k->conn, number(k, 1), (const uint8_t *)k->words[2], strlen(k->words[2]), sys_now());
    return 0;
}

static int run_deaf(command *k) {
    quic_peer *p = k->peer;
    if (p->deaf_count == QP_DEAF_MAX)
        return IROH_ERR_LIMIT;
    int r = address(k, 1, &p->deaf[p->deaf_count]);
    p->deaf_count += r == 0;
    return r;
}

static int run_stats(command *k) {
    quic_path_info paths[PATHS_SHOWN];
    size_t n = quic_conn_paths(k->conn, paths, PATHS_SHOWN);
    quic_conn_stats s;
    quic_conn_stats_get(k->conn, &s);
    FILE *out = fmemopen(k->result, sizeof k->result, "w");
    if (out == NULL)
        return IROH_ERR_NOMEM;
    fprintf(out, "{\"key_updates\": %" PRIu64 ", \"paths\": [", s.key_updates);
    for (size_t i = 0; i < n && i < PATHS_SHOWN; i++) {
        const quic_path_info *p = &paths[i];
        char remote[ADDR_TEXT_MAX], observed[ADDR_TEXT_MAX];
        addr_format(&p->remote, remote);
        addr_format(&p->observed, observed);
        fprintf(out,
                "%s{\"path\": %" PRIu32 ", \"remote\": \"%s\", \"observed\": \"%s\", \"status\": \"%s\", "
                "\"abandoned\": %s, \"in_use\": %s, \"bytes_sent\": %" PRIu64 ", \"bytes_received\": %" PRIu64
                ", \"mtu\": %u}",
                i > 0 ? ", " : "", p->id, remote, observed, p->status == PATH_BACKUP ? "backup" : "available",
                p->abandoned ? "true" : "false", p->in_use ? "true" : "false", p->bytes_sent, p->bytes_received,
                (unsigned)p->mtu);
    }
    fprintf(out, "]}");
    fclose(out);
    return 0;
}

static const struct {
    const char *verb;
    bool needs_conn;
    int (*run)(command *k);
} commands[] = {
    {"connect", false, run_connect}, {"open", true, run_open},           {"abandon", true, run_abandon},
    {"status", true, run_status},    {"candidate", true, run_candidate}, {"uncandidate", true, run_uncandidate},
    {"round", true, run_round},      {"echo", true, run_echo},           {"keys", true, run_keys},
    {"rebind", false, run_rebind},   {"network", true, run_network},     {"close", true, run_close},
    {"deaf", false, run_deaf},       {"stats", true, run_stats},
};

static int run(command *k) {
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].verb, k->words[0]) == 0)
            return commands[i].needs_conn && k->conn == NULL ? IROH_ERR_NOT_FOUND : commands[i].run(k);
    }
    return IROH_ERR_UNSUPPORTED;
}

void quic_peer_obey(quic_peer *p, char *line) {
    char whole[256];
    snprintf(whole, sizeof whole, "%s", line);
    command k = {.peer = p, .conn = p->conn};
    char *rest = line;
    for (size_t i = 0; i < WORDS_MAX; i++) {
        char *word = strsep(&rest, " ");
        k.words[i] = word != NULL ? word : "";
    }
    int r = run(&k);
    if (r != 0)
        printf("{\"done\": \"%s\", \"error\": \"%s\"}\n", whole, iroh_error_name(r));
    else if (k.result[0] != 0)
        printf("{\"done\": \"%s\", \"result\": %s}\n", whole, k.result);
    else
        printf("{\"done\": \"%s\"}\n", whole);
}
