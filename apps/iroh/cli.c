#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KEY_TEXT 64

// --- Messages

static void message(const char *prefix, const char *format, va_list args) {
    char line[1024];
    (void)vsnprintf(line, sizeof line, format, args);
    (void)fprintf(stderr, "%s%s\n", prefix, line);
}

void cli_error(const char *format, ...) {
    va_list args;
    va_start(args, format);
    message("iroh: ", format, args);
    va_end(args);
}

void cli_note(const char *format, ...) {
    va_list args;
    va_start(args, format);
    message("", format, args);
    va_end(args);
}

int cli_failed(const char *what, int error) {
    cli_error("%s: %s", what, iroh_strerror(error));
    return EXIT_FAILED;
}

// The peer chose these bytes: only plain characters may reach the terminal.
static void make_plain(char *text) {
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

int cli_connection_failed(const char *what, int error, const iroh_connection *c) {
    iroh_close_info info;
    if (c == NULL || iroh_connection_close_info(c, &info) != 0 || !info.by_peer)
        return cli_failed(what, error);
    make_plain(info.reason);
    cli_error("%s: %s (code %llu%s%.200s)", what, iroh_strerror(error), (unsigned long long)info.code,
              info.reason_len > 0 ? ", " : "", info.reason);
    return EXIT_FAILED;
}

// --- Options

typedef struct value_option {
    const char *name;
    size_t offset;
} value_option;

static const value_option value_options[] = {
    {"--key", offsetof(cli_options, key_file)},
    {"--custom-alpn", offsetof(cli_options, custom_alpn)},
    {"--host", offsetof(cli_options, host)},
    {"--addr", offsetof(cli_options, addr)},
    {"--socket-path", offsetof(cli_options, socket_path)},
    {"--count", offsetof(cli_options, count)},
    {"--interval", offsetof(cli_options, interval)},
    {"--seconds", offsetof(cli_options, seconds)},
    {"--only", offsetof(cli_options, only)},
    {"--bytes", offsetof(cli_options, bytes)},
    {"--congestion", offsetof(cli_options, congestion)},
    {"--ca-file", offsetof(cli_options, ca_file)},
    {"--proxy", offsetof(cli_options, proxy)},
    {"--to", offsetof(cli_options, to)},
    {"--store", offsetof(cli_options, store)},
    {"--tag", offsetof(cli_options, tag)},
    {"--ticket-type", offsetof(cli_options, ticket_type)},
};

static const char **value_place(cli_options *o, const char *name) {
    for (size_t i = 0; i < sizeof value_options / sizeof *value_options; i++) {
        if (strcmp(name, value_options[i].name) == 0)
            return (const char **)(void *)((char *)o + value_options[i].offset);
    }
    if (strcmp(name, "--bind") == 0)
        return &o->bind[o->bind_count++];
    if (strcmp(name, "--relay") == 0)
        return &o->relay[o->relay_count++];
    if (strcmp(name, "--relay-quic") == 0)
        return &o->relay_quic[o->relay_count > 0 ? o->relay_count - 1 : 0];
    if (strcmp(name, "--relay-token") == 0)
        return o->relay_count > 0 ? &o->relay_tokens[o->relay_count - 1] : &o->relay_token;
    return NULL;
}

static bool flag(cli_options *o, const char *name) {
    if (strcmp(name, "--json") == 0)
        o->json = true;
    else if (strcmp(name, "--recv-only") == 0)
        o->receive_only = true;
    else if (strcmp(name, "-v") == 0 || strcmp(name, "--verbose") == 0)
        o->verbose++;
    else if (strcmp(name, "-vv") == 0)
        o->verbose += 2;
    else if (strcmp(name, "-vvv") == 0)
        o->verbose += 3;
    else if (strcmp(name, "--direct-only") == 0)
        o->direct_only = true;
    else if (strcmp(name, "--relay-only") == 0)
        o->relay_only = true;
    else if (strcmp(name, "--proxy-from-env") == 0)
        o->proxy_from_env = true;
    else if (strcmp(name, "--qr") == 0)
        o->qr = true;
    else if (strcmp(name, "--no-progress") == 0)
        o->no_progress = true;
    else if (strcmp(name, "--reference") == 0)
        o->reference = true;
    else
        return false;
    return true;
}

static bool may_repeat(const char *a, const char *name, size_t count, size_t max) {
    if (strcmp(a, name) != 0 || count < max)
        return true;
    cli_error("%s may be given %zu times", name, max);
    return false;
}

static bool begins_with_one_of(const char *text, const char *const starts[]) {
    for (; *starts != NULL; starts++)
        if (strncasecmp(text, *starts, strlen(*starts)) == 0)
            return true;
    return false;
}

// Whatever can be seen to be wrong without trying it; the library would find out only while it runs.
static bool check_values(const cli_options *o) {
    static const char *const relays[] = {"http://", "https://", NULL};
    static const char *const proxies[] = {"http://",   "https://",   "socks4://", "socks4a://",
                                          "socks5://", "socks5h://", NULL};
    for (size_t i = 0; i < o->relay_count; i++) {
        const char *url = o->relay[i];
        if (strcmp(url, "default") != 0 && strcmp(url, "staging") != 0 && !begins_with_one_of(url, relays)) {
            cli_error("--relay wants http://..., https://..., default, staging or none, not '%s'", url);
            return false;
        }
    }
    if (o->proxy != NULL && !begins_with_one_of(o->proxy, proxies)) {
        cli_error("--proxy wants a URL such as http://HOST:PORT or socks5h://HOST:PORT, not '%s'", o->proxy);
        return false;
    }
    if (o->congestion != NULL && strcmp(o->congestion, "cubic") != 0 && strcmp(o->congestion, "newreno") != 0 &&
        strcmp(o->congestion, "bbr3") != 0) {
        cli_error("--congestion wants cubic, newreno or bbr3, not '%s'", o->congestion);
        return false;
    }
    if (o->ca_file != NULL && access(o->ca_file, R_OK) != 0) {
        cli_error("cannot read --ca-file %s: %s", o->ca_file, strerror(errno));
        return false;
    }
    return true;
}

// A token that is the only one is for all relays, wherever it stands.
static void share_token(cli_options *o) {
    size_t count = o->relay_token != NULL, last = 0;
    for (size_t i = 0; i < o->relay_count; i++) {
        if (o->relay_tokens[i] == NULL)
            continue;
        count++;
        last = i;
    }
    if (count != 1 || o->relay_token != NULL)
        return;
    o->relay_token = o->relay_tokens[last];
    o->relay_tokens[last] = NULL;
}

// What is said about relays makes sense together; "none" is no relay.
static bool check_relays(cli_options *o) {
    size_t kept = 0;
    bool none = false;
    share_token(o);
    for (size_t i = 0; i < o->relay_count; i++) {
        if (strcmp(o->relay[i], "none") == 0) {
            none = true;
            continue;
        }
        o->relay_tokens[kept] = o->relay_tokens[i];
        o->relay_quic[kept] = o->relay_quic[i];
        o->relay[kept++] = o->relay[i];
    }
    o->relay_count = kept;
    if (none && kept > 0)
        cli_error("--relay none contradicts the other --relay");
    else if ((none || o->direct_only) && o->relay_only)
        cli_error("--relay-only contradicts %s", none ? "--relay none" : "--direct-only");
    else if (o->direct_only && kept > 0)
        cli_error("--direct-only contradicts --relay");
    else {
        o->direct_only |= none;
        return true;
    }
    return false;
}

// Whether there is QUIC address discovery, and where.
static bool check_quic_ports(cli_options *o) {
    for (size_t i = 0; i < o->relay_count; i++) {
        uint64_t port = 0;
        bool none = o->relay_quic[i] != NULL && strcmp(o->relay_quic[i], "none") == 0;
        if (!none && !cli_number("--relay-quic", o->relay_quic[i], 1, UINT16_MAX, 0, &port))
            return false;
        o->relay_quic_port[i] = none ? IROH_NO_QUIC : (int)port;
    }
    return true;
}

bool cli_parse(cli_options *o, int argc, char **argv, int first) {
    *o = (cli_options){0};
    for (int i = first; i < argc; i++) {
        const char *a = argv[i];
        if (a[0] != '-' || a[1] == '\0') {
            if (o->arg_count == sizeof o->args / sizeof *o->args) {
                cli_error("too many arguments at '%s'", a);
                return false;
            }
            o->args[o->arg_count++] = a;
            continue;
        }
        if (flag(o, a))
            continue;
        if (!may_repeat(a, "--bind", o->bind_count, CLI_BIND_MAX) ||
            !may_repeat(a, "--relay", o->relay_count, CLI_RELAY_MAX))
            return false;
        const char **place = value_place(o, a);
        if (place == NULL) {
            cli_error("no option '%s'; see iroh --help", a);
            return false;
        }
        if (i + 1 == argc) {
            cli_error("option %s needs a value", a);
            return false;
        }
        *place = argv[++i];
    }
    return check_relays(o) && check_values(o) && check_quic_ports(o);
}

bool cli_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t fallback, uint64_t *out) {
    *out = fallback;
    if (text == NULL)
        return true;
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || v < min || v > max) {
        cli_error("%s wants a number from %llu to %llu, not '%s'", option, (unsigned long long)min,
                  (unsigned long long)max, text);
        return false;
    }
    *out = v;
    return true;
}

// --- Identity

static bool write_all(int fd, const char *text, size_t len) {
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        text += n;
        len -= (size_t)n;
    }
    return true;
}

// Appears whole or not at all, and never replaces a key that another process made meanwhile.
static bool key_create(const char *path, const iroh_secret_key *key) {
    char hex[KEY_TEXT + 2];
    iroh_secret_key_to_hex(key, hex);
    hex[KEY_TEXT] = '\n';
    size_t room = strlen(path) + 32;
    char *temporary = malloc(room);
    if (temporary == NULL)
        return false;
    (void)snprintf(temporary, room, "%s.%ld.tmp", path, (long)getpid());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write_all(fd, hex, KEY_TEXT + 1) && fsync(fd) == 0;
    if (fd >= 0)
        ok &= close(fd) == 0;
    ok = ok && link(temporary, path) == 0;
    int error = errno;
    if (fd >= 0)
        (void)unlink(temporary);
    free(temporary);
    if (!ok)
        cli_error("cannot make key file %s: %s", path, strerror(error));
    return ok;
}

static bool key_read(const char *path, iroh_secret_key *out) {
    char text[KEY_TEXT * 2 + 1];
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        cli_error("cannot read key file %s: %s", path, strerror(errno));
        return false;
    }
    size_t n = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r' || text[n - 1] == ' '))
        n--;
    text[n] = '\0';
    if (iroh_secret_key_from_text(out, text) == 0)
        return true;
    cli_error("key file %s does not hold a secret key (64 hex digits)", path);
    return false;
}

bool cli_identity(const cli_options *o, iroh_secret_key *out) {
    if (o->key_file != NULL) {
        if (access(o->key_file, F_OK) == 0)
            return key_read(o->key_file, out);
        iroh_secret_key_generate(out);
        return key_create(o->key_file, out);
    }
    const char *secret = getenv("IROH_SECRET");
    if (secret == NULL || secret[0] == '\0') {
        iroh_secret_key_generate(out);
        return true;
    }
    if (iroh_secret_key_from_text(out, secret) == 0)
        return true;
    cli_error("IROH_SECRET is not a secret key (64 hex digits)");
    return false;
}

// --- Endpoints

static void log_to_stderr(void *user, int level, const char *line) {
    static const char *const names[] = {"error", "warn", "info", "debug", "trace"};
    (void)user;
    (void)fprintf(stderr, "%s: %s\n", names[level < 0 || level > 4 ? 4 : level], line);
}

iroh_endpoint *cli_endpoint(const cli_options *o, const iroh_slice *alpns, size_t alpn_count, bool own_thread) {
    iroh_secret_key key;
    if (!cli_identity(o, &key))
        return NULL;
    iroh_endpoint_config c;
    iroh_endpoint_config_default(&c);
    c.secret_key = &key;
    c.alpns = alpns;
    c.alpn_count = alpn_count;
    c.bind = o->bind;
    c.bind_count = o->bind_count;
    c.relays = o->relay;
    c.relay_count = o->relay_count;
    c.relay_token = o->relay_token;
    c.relay_tokens = o->relay_tokens;
    c.relay_quic_ports = o->relay_quic_port;
    c.ca_file = o->ca_file;
    c.proxy = o->proxy;
    c.proxy_from_env = o->proxy_from_env;
    c.direct_only = o->direct_only;
    c.relay_only = o->relay_only;
    c.own_thread = own_thread;
    c.keylog = getenv("SSLKEYLOGFILE") != NULL;
    c.qlog_dir = getenv("QLOGDIR");
    if (o->congestion != NULL)
        c.congestion = o->congestion;
    if (o->verbose > 0) {
        c.log = log_to_stderr;
        c.log_level = o->verbose + 1;
    }
    iroh_endpoint *ep;
    int r = iroh_endpoint_bind(&c, &ep);
    if (r == 0)
        return ep;
    if (o->relay_count > 0 && r != IROH_ERR_BIND)
        cli_error("cannot use relay %s: %s", o->relay[0], iroh_strerror(r));
    else if (o->bind_count > 0)
        cli_error("cannot bind %s: %s", o->bind[0], iroh_strerror(r));
    else
        cli_error("cannot start: %s", iroh_strerror(r));
    return NULL;
}

// A ticket without a relay that answers may be of use nevertheless, and the relay may come back.
static void wait_for_relay(iroh_endpoint *ep) {
    iroh_relay_status status;
    if (iroh_endpoint_wait_online(ep, CLI_ONLINE_MS) == 0)
        return;
    (void)iroh_endpoint_home_relay(ep, NULL, 0, &status);
    make_plain(status.reason);
    if (status.denied)
        cli_error("the relay refuses us: %s", status.reason);
    else if (status.error == 0)
        cli_error("the relay does not answer yet");
    else
        cli_error("the relay does not answer yet: %s%s%s", iroh_strerror(status.error),
                  status.reason[0] != '\0' ? ": " : "", status.reason);
}

bool cli_ticket(iroh_endpoint *ep, const cli_options *o, char out[static CLI_TICKET_MAX]) {
    iroh_addr *addr;
    if (o->relay_count > 0)
        wait_for_relay(ep);
    int r = iroh_endpoint_addr(ep, &addr);
    if (r == 0 && iroh_addr_count(addr) == 0) {
        iroh_addr_free(addr);
        cli_error("nobody could connect: without direct paths, --relay URL is needed");
        return false;
    }
    if (r == 0) {
        r = iroh_ticket_format(addr, out, CLI_TICKET_MAX);
        iroh_addr_free(addr);
    }
    if (r < 0)
        (void)cli_failed("cannot make a ticket", r);
    return r >= 0;
}

const char *cli_path_kind(const iroh_connection *c) {
    iroh_path paths[16];
    int count = iroh_connection_paths(c, paths, 16);
    for (int i = 0; i < count && i < 16; i++) {
        if (paths[i].selected)
            return paths[i].relay ? "relay" : "direct";
    }
    return "none";
}

// --- Signals and clocks

static int signal_pipe[2] = {-1, -1};

// A full pipe is as good as another byte.
static void on_signal(int number) {
    int error = errno;
    char byte = (char)number;
    ssize_t n = write(signal_pipe[1], &byte, 1);
    (void)n;
    errno = error;
}

static bool own_flags(int fd) {
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0;
}

int cli_signals_fd(void) {
    struct sigaction action = {.sa_flags = SA_RESTART};
    action.sa_handler = on_signal;
    (void)sigemptyset(&action.sa_mask);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error of writing
    if (pipe(signal_pipe) != 0 || !own_flags(signal_pipe[0]) || !own_flags(signal_pipe[1]) ||
        sigaction(SIGINT, &action, NULL) != 0 || sigaction(SIGTERM, &action, NULL) != 0)
        cli_error("signals end the program at once: %s", strerror(errno));
    return signal_pipe[0];
}

uint64_t cli_now_ns(void) {
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

double cli_cpu_seconds(void) {
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}
