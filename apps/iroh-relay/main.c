// iroh-relay: the relay server as a program. Flags, environment and configuration file are those of the original.
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <iroh/iroh.h>
#include <iroh/relay.h>

#define CONFIG_MAX (1 << 20)  // bytes of a configuration file

enum { EXIT_USAGE = 2 };

static const char usage[] = "A relay server for iroh endpoints.\n"
                            "\n"
                            "usage: iroh-relay [--dev] [-c FILE]\n"
                            "\n"
                            "  --dev                     plain HTTP on port 3340, for development\n"
                            "  -c, --config-path FILE    configuration (TOML)\n"
                            "  -h, --help                this text\n"
                            "  -V, --version             the version\n"
                            "\n"
                            "SIGHUP reads the certificate files again; SIGTERM and SIGINT end the server.\n"
                            "RUST_LOG=error|warn|info|debug sets how much is said on standard error.\n";

typedef struct options {
    bool dev;
    const char *config_path;
} options;

// --- What is said

static const char *const level_names[] = {"ERROR", " WARN", " INFO", "DEBUG"};

static void say(void *user, int level, const char *line) {
    char when[32] = "";
    struct timespec now;
    struct tm tm;
    (void)user;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &tm) != NULL)
        (void)strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)fprintf(stderr, "%s.%06ldZ %s iroh-relay: %s\n", when, now.tv_nsec / 1000, level_names[level], line);
}

// The most that any part of a filter such as "info,iroh_relay=debug" asks for.
static int log_level(void) {
    static const struct {
        const char *name;
        int level;
    } names[] = {{"trace", IROH_RELAY_DEBUG},
                 {"debug", IROH_RELAY_DEBUG},
                 {"info", IROH_RELAY_INFO},
                 {"warn", IROH_RELAY_WARN},
                 {"error", IROH_RELAY_ERROR}};
    const char *filter = getenv("RUST_LOG");
    for (size_t i = 0; filter != NULL && i < sizeof names / sizeof names[0]; i++) {
        if (strstr(filter, names[i].name) != NULL)
            return names[i].level;
    }
    return IROH_RELAY_INFO;
}

// --- The configuration

// The content of the file, which the caller frees; null after a message.
static char *read_config(const char *path, size_t *len) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        (void)fprintf(stderr, "iroh-relay: cannot read %s: %s\n", path, strerror(errno));
        return NULL;
    }
    char *text = malloc(CONFIG_MAX);
    if (text != NULL)
        *len = fread(text, 1, CONFIG_MAX, f);
    bool failed = text == NULL || ferror(f) || *len == CONFIG_MAX;
    if (failed) {
        (void)fprintf(stderr, "iroh-relay: cannot read %s\n", path);
        free(text);
        text = NULL;
    }
    (void)fclose(f);
    return text;
}

static iroh_relay_file *load(const options *o) {
    char why[IROH_RELAY_WHY_SIZE];
    size_t len = 0;
    char *text = NULL;
    iroh_relay_file *file = NULL;
    const iroh_relay_environment environment = {getenv("IROH_RELAY_ACCESS_TOKEN"),
                                                getenv("IROH_RELAY_HTTP_BEARER_TOKEN")};
    if (o->config_path != NULL && (text = read_config(o->config_path, &len)) == NULL)
        return NULL;
    int r = iroh_relay_file_parse(text != NULL ? text : "", len, o->dev, &environment, &file, why);
    free(text);
    if (r != 0)
        (void)fprintf(stderr, "iroh-relay: %s%s%s\n", o->config_path != NULL ? o->config_path : "",
                      o->config_path != NULL ? ": " : "", why);
    return r == 0 ? file : NULL;
}

// --- Running

static sigset_t signals_of_interest(void) {
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    return set;
}

static void serve(iroh_relay *relay, const sigset_t *signals) {
    for (int signal; sigwait(signals, &signal) == 0;) {
        if (signal != SIGHUP)
            return;
        (void)iroh_relay_reload(relay);
    }
}

static int run(const options *o) {
    sigset_t signals = signals_of_interest();
    iroh_relay *relay;
    iroh_relay_file *file = load(o);
    if (file == NULL)
        return EXIT_FAILURE;
    iroh_relay_config config = *iroh_relay_file_config(file);
    config.log = say;
    config.log_level = log_level();
    // Before there are threads, which inherit it: signals are waited for, and interrupt nobody.
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    int r = iroh_relay_start(&config, &relay);
    iroh_relay_file_free(file);
    if (r != 0) {
        (void)fprintf(stderr, "iroh-relay: cannot start: %s\n", iroh_strerror(r));
        return EXIT_FAILURE;
    }
    serve(relay, &signals);
    say(NULL, IROH_RELAY_INFO, "ending");
    iroh_relay_stop(relay);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    enum { DEV = 1000 };
    static const struct option long_options[] = {{"dev", no_argument, NULL, DEV},
                                                 {"config-path", required_argument, NULL, 'c'},
                                                 {"help", no_argument, NULL, 'h'},
                                                 {"version", no_argument, NULL, 'V'},
                                                 {0}};
    options o = {0};
    for (int c; (c = getopt_long(argc, argv, "c:hV", long_options, NULL)) != -1;) {
        switch (c) {
        case DEV:
            o.dev = true;
            break;
        case 'c':
            o.config_path = optarg;
            break;
        case 'h':
            (void)fputs(usage, stdout);
            return EXIT_SUCCESS;
        case 'V':
            (void)printf("iroh-relay %s\n", iroh_version());
            return EXIT_SUCCESS;
        default:
            (void)fputs(usage, stderr);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        (void)fprintf(stderr, "iroh-relay: unexpected argument %s\n", argv[optind]);
        return EXIT_USAGE;
    }
    return run(&o);
}
