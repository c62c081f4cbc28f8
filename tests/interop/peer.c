// Arguments, and what both roles need: binding, and the JSON of results.
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    uint16_t suite;
} ciphers[] = {
    {"aes128", IROH_AES_128_GCM},
    {"aes256", IROH_AES_256_GCM},
    {"chacha20", IROH_CHACHA20_POLY1305},
};

enum { CIPHER_COUNT = sizeof ciphers / sizeof ciphers[0] };

const char *peer_cipher_name(uint16_t suite) {
    for (size_t i = 0; i < CIPHER_COUNT; i++)
        if (ciphers[i].suite == suite)
            return ciphers[i].name;
    return "none";
}

static const uint16_t *cipher_find(const char *name) {
    for (size_t i = 0; i < CIPHER_COUNT; i++)
        if (strcmp(ciphers[i].name, name) == 0)
            return &ciphers[i].suite;
    return NULL;
}

static size_t alpns_split(const char *text, iroh_slice out[static PEER_ALPNS_MAX]) {
    size_t count = 0;
    while (text && count < PEER_ALPNS_MAX) {
        const char *comma = strchr(text, ',');
        out[count++] = (iroh_slice){text, comma ? (size_t)(comma - text) : strlen(text)};
        text = comma ? comma + 1 : NULL;
    }
    return count;
}

int peer_bind(const peer_args *args, const char *alpns, iroh_endpoint **out) {
    iroh_endpoint_config config;
    iroh_endpoint_config_default(&config);
    iroh_slice names[PEER_ALPNS_MAX];
    config.alpns = names;
    config.alpn_count = alpns_split(alpns, names);
    config.bind = &args->bind;
    config.bind_count = 1;
    config.keylog = true;
    const char *relays[] = {args->relay, args->other_relay};
    config.relays = relays;
    config.relay_count = !args->relay ? 0 : !args->other_relay ? 1 : 2;
    config.relay_token = args->relay_token;
    config.ca_file = args->ca_file;
    config.relay_only = args->relay_only;
    config.direct_only = !args->relay;
    iroh_secret_key key;
    if (args->secret) {
        if (!peer_unhex(args->secret, key.bytes))
            return IROH_ERR_SYNTAX;
        config.secret_key = &key;
    }
    if (args->cipher) {
        config.cipher_suites = cipher_find(args->cipher);
        config.cipher_suite_count = 1;
        if (!config.cipher_suites)
            return IROH_ERR_ARG;
    }
    return iroh_endpoint_bind(&config, out);
}

// Escapes what JSON needs escaped; other bytes than ASCII never occur in these tests and become '?'.
static void json_escape(const char *text, size_t len, char *out, size_t room) {
    size_t at = 0;
    for (size_t i = 0; i < len && at + 3 < room; i++) {
        char c = text[i];
        if (c == '"' || c == '\\')
            out[at++] = '\\';
        out[at++] = c >= ' ' && c < 0x7f ? c : '?';
    }
    out[at] = 0;
}

void peer_close_json(const iroh_close_info *info, char *out, size_t room) {
    char reason[2 * sizeof info->reason];
    json_escape(info->reason, info->reason_len, reason, sizeof reason);
    const char *kind = "local";
    if (info->error == IROH_ERR_IDLE)
        kind = "timeout";
    else if (info->error == IROH_ERR_STATELESS)
        kind = "reset";
    else if (info->by_peer)
        kind = info->application ? "application" : "transport";
    snprintf(out, room, "{\"kind\": \"%s\", \"code\": %llu, \"reason\": \"%s\"}", kind, (unsigned long long)info->code,
             reason);
}

// Takes one option with its value from `words`; returns how many words it was, 0 if none fits.
static int option_take(peer_args *args, char **words, int left) {
    const struct {
        const char *name;
        const char **value;
    } options[] = {
        {"--secret", &args->secret},
        {"--alpn", &args->alpn},
        {"--bind", &args->bind},
        {"--id", &args->id},
        {"--cipher", &args->cipher},
        {"--relay", &args->relay},
        {"--other-relay", &args->other_relay},
        {"--relay-token", &args->relay_token},
        {"--ca-file", &args->ca_file},
    };
    if (strcmp(words[0], "--retry") == 0) {
        args->retry = true;
        return 1;
    }
    if (strcmp(words[0], "--relay-only") == 0) {
        args->relay_only = true;
        return 1;
    }
    if (strcmp(words[0], "--refuse") == 0) {
        args->refuse = true;
        return 1;
    }
    if (left < 2)
        return 0;
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        if (strcmp(words[0], options[i].name) == 0) {
            *options[i].value = words[1];
            return 2;
        }
    }
    if (strcmp(words[0], "--for") == 0)
        args->limit_s = (unsigned)strtoul(words[1], NULL, 10);
    else if (strcmp(words[0], "--addr") == 0 && args->addr_count < PEER_ADDRS_MAX)
        args->addrs[args->addr_count++] = words[1];
    else
        return 0;
    return 2;
}

static bool args_parse(peer_args *args, char **words, int count) {
    for (int i = 0; i < count;) {
        if (strcmp(words[i], "--do") == 0) {
            args->script = words + i + 1;
            args->script_len = count - i - 1;
            return args->script_len > 0;
        }
        int taken = option_take(args, words + i, count - i);
        if (taken == 0)
            return false;
        i += taken;
    }
    return true;
}

int main(int argc, char **argv) {
    peer_args args = {.alpn = "interop/echo/0", .bind = "127.0.0.1:0"};
    setvbuf(stdout, NULL, _IOLBF, 0);
    bool serving = argc > 1 && strcmp(argv[1], "serve") == 0;
    bool dialling = argc > 1 && strcmp(argv[1], "client") == 0;
    args.limit_s = serving ? 600 : 120;
    if ((!serving && !dialling) || !args_parse(&args, argv + 2, argc - 2) || (dialling && (!args.script || !args.id))) {
        fprintf(stderr, "usage: interop_peer serve|client ... (see tests/interop/README.md)\n");
        return 2;
    }
    return serving ? peer_serve(&args) : peer_client(&args);
}
