// The configuration file of the original, and what it leaves open.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <iroh/error.h>
#include <iroh/relay.h>

#include "base/addr.h"
#include "base/toml.h"

#define HTTP_DEFAULT "[::]:80"
#define HTTP_DEV_DEFAULT "[::]:3340"
#define HTTPS_PORT 443
#define QUIC_PORT 7842
#define METRICS_PORT 9090
#define DAY_S 86400
#define CERTIFICATE "default.crt"
#define KEY "default.key"

struct iroh_relay_file {
    iroh_relay_config config;
    char http[ADDR_TEXT_MAX], https[ADDR_TEXT_MAX], quic[ADDR_TEXT_MAX], metrics[ADDR_TEXT_MAX];
    char *certificate_path, *key_path, *callback_url, *callback_bearer;
    iroh_public_key *ids;
    char **tokens;
    size_t token_count;
};

void iroh_relay_config_default(iroh_relay_config *c) {
    *c = (iroh_relay_config){.http_bind = HTTP_DEV_DEFAULT, .relay = true, .log_level = IROH_RELAY_INFO};
}

// What is being read: the first complaint counts.
typedef struct loading {
    iroh_relay_file *file;
    bool dev;
    char *why;
    int error;
} loading;

__attribute__((format(printf, 3, 4))) static bool complain(loading *l, int error, const char *format, ...) {
    va_list args;
    if (l->error != 0)
        return false;
    l->error = error;
    va_start(args, format);
    (void)vsnprintf(l->why, IROH_RELAY_WHY_SIZE, format, args);
    va_end(args);
    return false;
}

// --- Values by type

static const toml_value *get(loading *l, const toml_value *table, const char *key, int kind, const char *kind_name) {
    const toml_value *v = toml_get(table, key);
    if (v == NULL || v->kind == kind)
        return v;
    (void)complain(l, IROH_ERR_SYNTAX, "line %u: %s must be %s", v->line, key, kind_name);
    return NULL;
}

static bool get_bool(loading *l, const toml_value *table, const char *key, bool otherwise) {
    const toml_value *v = get(l, table, key, TOML_BOOLEAN, "true or false");
    return v != NULL ? v->boolean : otherwise;
}

static const char *get_string(loading *l, const toml_value *table, const char *key) {
    const toml_value *v = get(l, table, key, TOML_STRING, "a string");
    return v != NULL ? v->string : NULL;
}

static const toml_value *get_table(loading *l, const toml_value *table, const char *key) {
    return get(l, table, key, TOML_TABLE, "a table");
}

static uint32_t get_positive(loading *l, const toml_value *table, const char *key) {
    const toml_value *v = get(l, table, key, TOML_INTEGER, "an integer");
    if (v == NULL)
        return 0;
    if (v->integer > 0 && v->integer <= UINT32_MAX)
        return (uint32_t)v->integer;
    (void)complain(l, IROH_ERR_RANGE, "line %u: %s must be from 1 to %u", v->line, key, UINT32_MAX);
    return 0;
}

static double get_rate(loading *l, const toml_value *table, const char *key) {
    const toml_value *v = toml_get(table, key);
    double rate = v == NULL ? 0 : v->kind == TOML_FLOAT ? v->number : v->kind == TOML_INTEGER ? (double)v->integer : -1;
    if (rate >= 0 && rate <= UINT32_MAX)
        return rate;
    (void)complain(l, IROH_ERR_RANGE, "line %u: %s must be a number of 0 or more", v->line, key);
    return 0;
}

// The address under `key`, or else that of `host` with `port`, written to `out`. False: there is a complaint.
static bool get_address(loading *l, const toml_value *table, const char *key, const char *host, uint16_t port,
                        char *out) {
    addr a;
    const char *text = get_string(l, table, key);
    if (addr_parse(&a, text != NULL ? text : host, strlen(text != NULL ? text : host)) != 0)
        return complain(l, IROH_ERR_SYNTAX, "%s: %s is no address with a port", key, text);
    if (text == NULL && port != 0)
        a.port = port;
    (void)addr_format(&a, out);
    return l->error == 0;
}

static bool keep(loading *l, const char *text, char **out) {
    *out = text != NULL ? strdup(text) : NULL;
    return text == NULL || *out != NULL || complain(l, IROH_ERR_NOMEM, "out of memory");
}

static size_t count_of(const toml_value *array) {
    size_t count = 0;
    for (const toml_value *v = array->first; v != NULL; v = v->next)
        count++;
    return count;
}

// --- Access

static void load_ids(loading *l, const toml_value *list) {
    iroh_relay_file *f = l->file;
    f->ids = calloc(count_of(list) + 1, sizeof *f->ids);
    if (f->ids == NULL)
        (void)complain(l, IROH_ERR_NOMEM, "out of memory");
    for (const toml_value *v = list->first; v != NULL && l->error == 0; v = v->next) {
        if (v->kind != TOML_STRING || iroh_public_key_from_text(&f->ids[f->config.id_count], v->string) != 0)
            (void)complain(l, IROH_ERR_KEY, "line %u: not an endpoint id", v->line);
        else
            f->config.id_count++;
    }
    f->config.ids = f->ids;
}

static void add_token(loading *l, const char *token) {
    iroh_relay_file *f = l->file;
    if (token[0] == '\0')
        (void)complain(l, IROH_ERR_ARG, "a shared token must not be empty");
    else if (keep(l, token, &f->tokens[f->token_count]))
        f->token_count++;
}

static void load_tokens(loading *l, const toml_value *list, const char *instead) {
    iroh_relay_file *f = l->file;
    f->tokens = calloc(count_of(list) + 1, sizeof(char *));
    if (f->tokens == NULL)
        (void)complain(l, IROH_ERR_NOMEM, "out of memory");
    else if (instead != NULL)
        add_token(l, instead);
    for (const toml_value *v = list->first; v != NULL && instead == NULL && l->error == 0; v = v->next) {
        if (v->kind != TOML_STRING)
            (void)complain(l, IROH_ERR_SYNTAX, "line %u: a token must be a string", v->line);
        else
            add_token(l, v->string);
    }
    if (f->token_count == 0)
        (void)complain(l, IROH_ERR_ARG, "access.shared_token needs at least one token");
    f->config.tokens = (const char *const *)f->tokens;
    f->config.token_count = f->token_count;
}

static void load_callback(loading *l, const toml_value *http, const char *bearer) {
    iroh_relay_file *f = l->file;
    const char *url = get_string(l, http, "url");
    const char *token = get_string(l, http, "bearer_token");
    if (url == NULL)
        (void)complain(l, IROH_ERR_ARG, "access.http needs a url");
    (void)keep(l, url, &f->callback_url);
    (void)keep(l, bearer != NULL ? bearer : token, &f->callback_bearer);
    f->config.callback_url = f->callback_url;
    f->config.callback_bearer = f->callback_bearer;
}

static void load_access(loading *l, const toml_value *root, const iroh_relay_environment *environment) {
    const toml_value *access = toml_get(root, "access");
    if (access == NULL || (access->kind == TOML_STRING && strcmp(access->string, "everyone") == 0))
        return;
    if (access->kind != TOML_TABLE || access->first == NULL || access->first->next != NULL) {
        (void)complain(l, IROH_ERR_SYNTAX,
                       "line %u: access must be \"everyone\" or exactly one of allowlist, denylist, "
                       "shared_token and http",
                       access->line);
        return;
    }
    static const struct {
        const char *name;
        int mode, kind;
    } modes[] = {{"allowlist", IROH_RELAY_ALLOWLIST, TOML_ARRAY},
                 {"denylist", IROH_RELAY_DENYLIST, TOML_ARRAY},
                 {"shared_token", IROH_RELAY_TOKENS, TOML_ARRAY},
                 {"http", IROH_RELAY_CALLBACK, TOML_TABLE}};
    const toml_value *v = access->first;
    size_t i = 0;
    while (i < sizeof modes / sizeof modes[0] && strcmp(v->key, modes[i].name) != 0)
        i++;
    if (i == sizeof modes / sizeof modes[0] || v->kind != modes[i].kind) {
        (void)complain(l, IROH_ERR_SYNTAX, "line %u: access.%s is unknown or of the wrong type", v->line, v->key);
        return;
    }
    l->file->config.access = modes[i].mode;
    if (modes[i].mode == IROH_RELAY_TOKENS)
        load_tokens(l, v, environment != NULL ? environment->access_token : NULL);
    else if (modes[i].mode == IROH_RELAY_CALLBACK)
        load_callback(l, v, environment != NULL ? environment->callback_bearer : NULL);
    else
        load_ids(l, v);
}

// --- Limits

static void load_limits(loading *l, const toml_value *root) {
    iroh_relay_config *c = &l->file->config;
    const toml_value *limits = get_table(l, root, "limits");
    const toml_value *rx = get_table(l, get_table(l, limits, "client"), "rx");
    c->accepts_per_second = get_rate(l, limits, "accept_conn_limit");
    c->accept_burst = get_positive(l, limits, "accept_conn_burst");
    c->rx_bytes_per_second = get_positive(l, rx, "bytes_per_second");
    c->rx_burst_bytes = get_positive(l, rx, "max_burst_bytes");
    if (c->rx_burst_bytes != 0 && c->rx_bytes_per_second == 0)
        (void)complain(l, IROH_ERR_ARG, "limits.client.rx.max_burst_bytes needs bytes_per_second");
}

// --- TLS

// `<cert_dir>/<name>` unless the key names a path.
static void load_path(loading *l, const toml_value *tls, const char *key, const char *name, char **out) {
    const char *path = get_string(l, tls, key), *dir = get_string(l, tls, "cert_dir");
    if (path != NULL) {
        (void)keep(l, path, out);
        return;
    }
    dir = dir != NULL ? dir : ".";
    size_t size = strlen(dir) + strlen(name) + 2;
    *out = malloc(size);
    if (*out == NULL)
        (void)complain(l, IROH_ERR_NOMEM, "out of memory");
    else
        (void)snprintf(*out, size, "%s/%s", dir, name);
}

static void load_certificates(loading *l, const toml_value *tls) {
    iroh_relay_file *f = l->file;
    const char *mode = get_string(l, tls, "cert_mode");
    if (mode == NULL) {
        (void)complain(l, IROH_ERR_SYNTAX, "line %u: tls needs a cert_mode", tls->line);
        return;
    }
    if (strcmp(mode, "Reloading") == 0)
        f->config.certificate_reload = DAY_S;
    else if (strcmp(mode, "LetsEncrypt") == 0)
        (void)complain(l, IROH_ERR_UNSUPPORTED,
                       "cert_mode \"LetsEncrypt\" is not supported: let an ACME client fetch the "
                       "certificate, use \"Manual\", and send SIGHUP after each renewal (see docs/relay.md)");
    else if (strcmp(mode, "Manual") != 0)
        (void)complain(l, IROH_ERR_SYNTAX, "cert_mode must be \"Manual\", \"Reloading\" or \"LetsEncrypt\", not \"%s\"",
                       mode);
    if (l->error != 0)
        return;
    load_path(l, tls, "manual_cert_path", CERTIFICATE, &f->certificate_path);
    load_path(l, tls, "manual_key_path", KEY, &f->key_path);
    f->config.certificate_path = f->certificate_path;
    f->config.key_path = f->key_path;
}

static void load_tls(loading *l, const toml_value *root) {
    iroh_relay_file *f = l->file;
    const toml_value *tls = get_table(l, root, "tls");
    bool discovery = get_bool(l, root, "enable_quic_addr_discovery", false);
    if (tls == NULL) {
        if (discovery)
            (void)complain(l, IROH_ERR_ARG, "enable_quic_addr_discovery needs [tls]");
        return;
    }
    load_certificates(l, tls);
    if (!get_address(l, tls, "https_bind_addr", f->http, HTTPS_PORT, f->https))
        return;
    if (!l->dev && !get_bool(l, tls, "dangerous_http_only", false))
        f->config.https_bind = f->https;
    if (discovery && get_address(l, tls, "quic_bind_addr", f->https, QUIC_PORT, f->quic))
        f->config.quic_bind = f->quic;
}

// --- All of it

static void load(loading *l, const toml_value *root, const iroh_relay_environment *environment) {
    iroh_relay_file *f = l->file;
    iroh_relay_config_default(&f->config);
    f->config.relay = get_bool(l, root, "enable_relay", true);
    if (!get_address(l, root, "http_bind_addr", l->dev ? HTTP_DEV_DEFAULT : HTTP_DEFAULT, 0, f->http))
        return;
    f->config.http_bind = f->http;
    if (get_bool(l, root, "enable_metrics", true) &&
        get_address(l, root, "metrics_bind_addr", f->http, METRICS_PORT, f->metrics))
        f->config.metrics_bind = f->metrics;
    (void)get(l, root, "key_cache_capacity", TOML_INTEGER, "an integer");  // there is no such cache here
    load_access(l, root, environment);
    load_limits(l, root);
    load_tls(l, root);
}

int iroh_relay_file_parse(const char *text, size_t len, bool dev, const iroh_relay_environment *environment,
                          iroh_relay_file **out, char *why) {
    toml_value *root = NULL;
    toml_error error;
    loading l = {.file = calloc(1, sizeof(iroh_relay_file)), .dev = dev, .why = why};
    why[0] = '\0';
    if (l.file == NULL)
        return IROH_ERR_NOMEM;
    int r = toml_parse(text, len, &root, &error);
    if (r != 0)
        (void)complain(&l, r, "line %u: %s", error.line, error.why);
    else
        load(&l, root, environment);
    toml_free(root);
    if (l.error != 0) {
        iroh_relay_file_free(l.file);
        return l.error;
    }
    *out = l.file;
    return 0;
}

const iroh_relay_config *iroh_relay_file_config(const iroh_relay_file *f) {
    return &f->config;
}

void iroh_relay_file_free(iroh_relay_file *f) {
    if (f == NULL)
        return;
    for (size_t i = 0; i < f->token_count; i++)
        free(f->tokens[i]);
    free(f->tokens);
    free(f->ids);
    free(f->certificate_path);
    free(f->key_path);
    free(f->callback_url);
    free(f->callback_bearer);
    free(f);
}
