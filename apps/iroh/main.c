// iroh: connect to any device by its public key.
#include <stdio.h>
#include <string.h>

#include "cli.h"

typedef struct command {
    const char *name;
    int (*run)(const cli_options *o);
    const char *help;
} command;

static const command commands[] = {
    {"id", cmd_id, "id                                   print the endpoint id"},
    {"ticket", cmd_ticket, "ticket TICKET                        explain a ticket"},
    {"pipe", cmd_pipe,
     "pipe listen                          wait for one connection, bridge it to standard input and output\n"
     "  pipe connect TICKET                  connect, bridge to standard input and output\n"
     "  pipe listen-tcp --host H:P           forward every stream to a TCP address\n"
     "  pipe connect-tcp --addr A:P TICKET   accept TCP connections, forward each\n"
     "  pipe listen-unix --socket-path P     the same with unix sockets\n"
     "  pipe connect-unix --socket-path P TICKET"},
    {"send", cmd_send,
     "send PATH...                         share files and folders until interrupted; prints a ticket (--qr: also as\n"
     "                                       a picture; --ticket-type relay|addresses|relayandaddresses)"},
    {"receive", cmd_receive,
     "receive TICKET...                    fetch what a ticket of send or sendme names into this folder (--to DIR);\n"
     "                                       several tickets of the same: from all senders at once"},
    {"blob", cmd_blob,
     "blob add PATH...                     add files, and folders as collections, to a store (--store DIR) and print\n"
     "                                       their hashes (--tag NAME; --reference: leave them where they are)\n"
     "  blob get TICKET                      fetch into the store (--tag NAME)\n"
     "  blob export HASH --to PATH           write a file; of sHASH, a collection, its files below the folder PATH\n"
     "  blob list                            what is there: hash, bytes, and whether it is partial\n"
     "  blob tag list [PREFIX]               tags keep what they name\n"
     "  blob tag add NAME HASH               or replace; sHASH: a collection with its files\n"
     "  blob tag rename OLD NEW\n"
     "  blob tag remove NAME...\n"
     "  blob gc                              remove what no tag keeps\n"
     "  blob verify                          read all of it again, and repair"},
    {"net", cmd_net, "net                                  what relays tell of this machine's network"},
    {"ping", cmd_ping, "ping TICKET | ping serve             measure round trips (--count N, --interval MS)"},
    {"perf", cmd_perf,
     "perf serve                           answer measurements\n"
     "  perf run TICKET                      measure throughput, requests and handshakes (--only upload,download,\n"
     "                                       requests,handshakes; --seconds N, --bytes N)\n"
     "  perf idle N TICKET                   measure the memory of N connections that do nothing"},
};

static void usage(FILE *to) {
    (void)fprintf(to, "usage: iroh COMMAND [OPTIONS]\n\ncommands:\n");
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        (void)fprintf(to, "  %s\n", commands[i].help);
    (void)fprintf(to,
                  "\noptions:\n"
                  "  --key FILE       the secret key is kept in FILE, which is made on first use (else: IROH_SECRET, "
                  "or a fresh key)\n"
                  "  --bind ADDR      listen on this address, such as 127.0.0.1:0 or [::]:4433; repeatable\n"
                  "  --recv-only      pipe: do not read standard input\n"
                  "  --custom-alpn A  pipe: another protocol name, in hex or as utf8:NAME; no greeting is sent\n"
                  "  --congestion C   cubic (the default), newreno or bbr3\n"
                  "  --relay URL      be reachable through this relay, and look there for a peer that is named by its "
                  "id alone; also:\n"
                  "                   default, staging (public ones) or none; "
                  "repeatable\n"
                  "  --relay-token T  what the relay wants to hear; of several, each follows its --relay\n"
                  "  --relay-quic P   the UDP port of its QUIC address discovery, 7842 if not given, or none; follows "
                  "its --relay\n"
                  "  --ca-file FILE   roots to trust for relays instead of the system's\n"
                  "  --proxy URL      reach relays through this HTTP or SOCKS proxy, [USER:PASSWORD@]HOST:PORT\n"
                  "  --proxy-from-env through that of HTTP_PROXY, http_proxy, HTTPS_PROXY or https_proxy\n"
                  "  --relay-only     never connect directly\n"
                  "  --direct-only    use no relays\n"
                  "  --to DIR         receive: write there\n"
                  "  --store DIR      blob: the store, .iroh-blobs if not given\n"
                  "  --no-progress    do not show how far it is\n"
                  "  --json           results as JSON\n"
                  "  -v               say more; repeatable\n"
                  "  --version        print the version\n");
}

static bool wants_help(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    }
    return false;
}

static int run(const command *c, int argc, char **argv) {
    cli_options o;
    if (wants_help(argc, argv)) {
        printf("usage:\n  %s\n\nfor the options, see iroh --help\n", c->help);
        return EXIT_OK;
    }
    return cli_parse(&o, argc, argv, 2) ? c->run(&o) : EXIT_USAGE;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("iroh %s\n", iroh_version());
        return EXIT_OK;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return EXIT_OK;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return run(&commands[i], argc, argv);
    }
    cli_error("no command '%s'; see iroh --help", argv[1]);
    return EXIT_USAGE;
}
