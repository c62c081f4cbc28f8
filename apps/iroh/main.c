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
     "send PATH...                         share files and folders until interrupted; prints a ticket"},
    {"receive", cmd_receive,
     "receive TICKET                       fetch what a ticket of send or sendme names into this folder (--to DIR)"},
    {"blob", cmd_blob,
     "blob add PATH...                     add files to a store (--store DIR) and print their hashes\n"
     "  blob get TICKET                      fetch into the store\n"
     "  blob export HASH --to FILE           write a file\n"
     "  blob list | gc | verify              what is there; remove what no tag keeps; check it all (and repair)"},
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
                  "  --relay URL      be reachable through this relay; also: default, staging (public ones) or none; "
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
                  "  --json           results as JSON\n"
                  "  -v               say more; repeatable\n"
                  "  --version        print the version\n");
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
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        cli_options o;
        return cli_parse(&o, argc, argv, 2) ? commands[i].run(&o) : EXIT_USAGE;
    }
    cli_error("no command '%s'; see iroh --help", argv[1]);
    return EXIT_USAGE;
}
