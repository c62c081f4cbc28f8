#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pipe.h"

#define ALPN "DUMBPIPEV0"
#define ALPN_MAX 255
#define CLOSE_MS 3000  // for the peers to learn of the end

typedef enum local_kind { STDIO, TCP, UNIX } local_kind;

typedef struct form {
    const char *name;
    bool listens;  // for the peer, and dials locally; else the other way round
    local_kind kind;
    const char *counterpart;  // what the other side types before the ticket
} form;

static const form forms[] = {
    {"listen", true, STDIO, "connect"},
    {"connect", false, STDIO, NULL},
    {"listen-tcp", true, TCP, "connect-tcp --addr 127.0.0.1:8080"},
    {"connect-tcp", false, TCP, NULL},
    {"listen-unix", true, UNIX, "connect-unix --socket-path /path/to/client.sock"},
    {"connect-unix", false, UNIX, NULL},
};

// --- The program

void pipe_part_add(pipe_program *p, pipe_part *part, void (*destroy)(pipe_part *part)) {
    *part = (pipe_part){.next = p->parts, .link = &p->parts, .destroy = destroy};
    if (p->parts != NULL)
        p->parts->link = &part->next;
    p->parts = part;
}

void pipe_part_remove(pipe_part *part) {
    *part->link = part->next;
    if (part->next != NULL)
        part->next->link = part->link;
}

void pipe_over(pipe_program *p, bool ok) {
    if (!p->once)
        return;
    p->status = ok ? EXIT_OK : EXIT_FAILED;
    p->poller.stop = true;
}

static void on_signal(watcher *w, unsigned revents) {
    pipe_program *p = w->owner;
    (void)revents;
    p->status = EXIT_INTERRUPTED;
    p->poller.stop = true;
}

// --- Words of the command line

static int hex_digit(char c) {
    const char *digits = "0123456789abcdef", *at = c == '\0' ? NULL : strchr(digits, c | 0x20);
    return at == NULL ? -1 : (int)(at - digits);
}

// The bytes of "utf8:NAME" or of hex digits: their number, 0 after a message.
static size_t alpn_parse(const char *text, uint8_t out[static ALPN_MAX]) {
    size_t len = strlen(text);
    if (strncmp(text, "utf8:", 5) == 0 && len > 5 && len - 5 <= ALPN_MAX) {
        memcpy(out, text + 5, len - 5);
        return len - 5;
    }
    bool ok = len > 0 && len % 2 == 0 && len / 2 <= ALPN_MAX;
    for (size_t i = 0; ok && i < len; i++) {
        int digit = hex_digit(text[i]);
        ok = digit >= 0;
        out[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : out[i / 2] | digit);
    }
    if (ok)
        return len / 2;
    cli_error("--custom-alpn wants 1 to %d bytes in hex, or utf8:NAME, not '%s'", ALPN_MAX, text);
    return 0;
}

static const form *form_find(const cli_options *o) {
    for (size_t i = 0; o->arg_count > 0 && i < sizeof forms / sizeof *forms; i++)
        if (strcmp(o->args[0], forms[i].name) == 0)
            return &forms[i];
    if (o->arg_count > 0)
        cli_error("no command 'pipe %s'; see iroh --help", o->args[0]);
    else
        cli_error("pipe wants a command, such as listen; see iroh --help");
    return NULL;
}

// The option that says where the local side is; null for standard input and output.
static const char *local_place(const cli_options *o, const form *f) {
    if (f->kind == STDIO)
        return NULL;
    if (f->kind == UNIX)
        return o->socket_path;
    return f->listens ? o->host : o->addr;
}

static bool words_fit(const cli_options *o, const form *f) {
    size_t wanted = f->listens ? 1 : 2;
    if (o->arg_count < wanted)
        cli_error("pipe %s wants a ticket", f->name);
    else if (o->arg_count > wanted)
        cli_error("pipe %s does not take '%s'", f->name, o->args[wanted]);
    else if (f->kind != STDIO && local_place(o, f) == NULL)
        cli_error("pipe %s wants %s", f->name,
                  f->kind == UNIX ? "--socket-path PATH" : (f->listens ? "--host HOST:PORT" : "--addr ADDRESS:PORT"));
    else
        return true;
    return false;
}

// --- Start

static bool announce(pipe_program *p, const cli_options *o, const form *f) {
    char ticket[CLI_TICKET_MAX];
    if (!cli_ticket(p->endpoint, o, ticket))
        return false;
    if (f->kind == STDIO)
        cli_note("Listening. To connect, use:");
    else
        cli_note("Forwarding incoming requests to '%s'.\nTo connect, use e.g.:", local_place(o, f));
    cli_note("iroh pipe %s%s%s %s", f->counterpart, o->custom_alpn != NULL ? " --custom-alpn " : "",
             o->custom_alpn != NULL ? o->custom_alpn : "", ticket);
    return true;
}

static bool start_listener(pipe_program *p, const cli_options *o, const form *f) {
    const char *place = local_place(o, f);
    if (f->kind == TCP && (p->local = pipe_address_tcp(place)) == NULL)
        return false;
    if (f->kind == UNIX && (p->local = pipe_address_unix(place)) == NULL)
        return false;
    return announce(p, o, f) && pipe_accept_start(p);
}

static bool start_connector(pipe_program *p, const cli_options *o, const form *f) {
    if (f->kind == STDIO) {
        pipe_local l;
        pipe_local_stdio(&l, p->receive_only);
        pipe_dial_start(p, &l);
        return true;
    }
    const char *place = local_place(o, f);
    int fd = f->kind == TCP ? pipe_listen_tcp(place) : pipe_listen_unix(place);
    if (fd < 0 || !pipe_door_start(p, fd))
        return false;
    cli_note("Listening on %s.", place);
    return true;
}

// The endpoint, until the work is over.
static void run(pipe_program *p, const cli_options *o, const form *f) {
    watcher signals = watcher_of_fd(cli_signals_fd(), on_signal, p);
    p->endpoint = cli_endpoint(o, &p->alpn, f->listens ? 1 : 0, false);
    if (p->endpoint == NULL)
        return;
    poller_init(&p->poller);
    bool ok = poller_set(&p->poller, &signals, IROH_POLL_READ) == 0 &&
              (f->listens ? start_listener(p, o, f) : start_connector(p, o, f));
    int r = ok ? poller_run(&p->poller) : 0;
    if (r != 0)
        p->status = cli_failed("waiting", r);
    while (p->parts != NULL)
        p->parts->destroy(p->parts);
    if (ok && !f->listens && f->kind == UNIX)
        (void)unlink(o->socket_path);
    pipe_address_free(p->local);
    poller_dispose(&p->poller);
    (void)iroh_endpoint_close(p->endpoint, CLOSE_MS);
    iroh_endpoint_free(p->endpoint);
}

int cmd_pipe(const cli_options *o) {
    uint8_t name[ALPN_MAX];
    const form *f = form_find(o);
    if (f == NULL || !words_fit(o, f))
        return EXIT_USAGE;
    pipe_program p = {.alpn = {ALPN, sizeof ALPN - 1},
                      .greeting = o->custom_alpn == NULL,
                      .receive_only = o->receive_only,
                      .once = f->kind == STDIO,
                      .status = EXIT_FAILED};
    if (!p.greeting) {
        p.alpn = (iroh_slice){name, alpn_parse(o->custom_alpn, name)};
        if (p.alpn.len == 0)
            return EXIT_USAGE;
    }
    iroh_addr *peer = NULL;
    if (!f->listens && (peer = cli_target(o, o->args[1])) == NULL)
        return EXIT_FAILED;
    p.peer = peer;
    run(&p, o, f);
    iroh_addr_free(peer);
    return p.status;
}
