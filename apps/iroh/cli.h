// What the sub-commands share: options, the identity, and messages. Standard output carries only results, standard
// error everything else; a command returns its exit status: 0 success, 1 failure, 2 wrong use.
#ifndef CLI_H
#define CLI_H

#include <iroh/iroh.h>

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

#define CLI_BIND_MAX 8
#define CLI_RELAY_MAX 8
#define CLI_ARGS_MAX 64
#define CLI_ONLINE_MS 5000  // that a listener waits for its relay before it tells its ticket

typedef struct cli_options {
    const char *key_file;            // --key FILE
    const char *bind[CLI_BIND_MAX];  // --bind ADDR, repeatable
    size_t bind_count;
    const char *relay[CLI_RELAY_MAX];  // --relay URL|none|default|staging, repeatable
    size_t relay_count;
    bool relay_only;                          // --relay-only
    bool direct_only;                         // --direct-only
    const char *relay_token;                  // --relay-token TEXT, for all relays
    const char *relay_tokens[CLI_RELAY_MAX];  // for one each: when several are given, each after its --relay
    const char *relay_quic[CLI_RELAY_MAX];    // --relay-quic PORT|none, after the --relay that it is for
    int relay_quic_port[CLI_RELAY_MAX];       // the same as numbers
    const char *ca_file;                      // --ca-file FILE
    const char *proxy;                        // --proxy URL
    bool proxy_from_env;                      // --proxy-from-env
    bool json;                                // --json
    int verbose;                              // -v, repeatable
    bool receive_only;                        // --recv-only
    const char *custom_alpn;                  // --custom-alpn HEX or utf8:TEXT
    const char *host;                         // --host H:P
    const char *addr;                         // --addr A:P
    const char *socket_path;                  // --socket-path P
    const char *count;                        // --count N
    const char *interval;                     // --interval MS
    const char *seconds;                      // --seconds N
    const char *only;                         // --only TEST
    const char *bytes;                        // --bytes N
    const char *congestion;                   // --congestion NAME
    const char *to;                           // --to DIR
    const char *store;                        // --store DIR
    const char *tag;                          // --tag NAME
    const char *ticket_type;                  // --ticket-type NAME
    bool qr;                                  // --qr
    bool no_progress;                         // --no-progress
    bool reference;                           // --reference
    const char *args[CLI_ARGS_MAX];           // positional
    size_t arg_count;
} cli_options;

// Reads argv[first..]. False after one clear line on standard error.
bool cli_parse(cli_options *o, int argc, char **argv, int first);

// A whole number between min and max; `fallback` when the option was not given. False after a message.
bool cli_number(const char *option, const char *text, uint64_t min, uint64_t max, uint64_t fallback, uint64_t *out);

// One line "iroh: ..." on standard error.
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void cli_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
// "iroh: WHAT: reason"; returns EXIT_FAILED.
int cli_failed(const char *what, int error);
// The same with the peer's code and reason if the connection was closed.
int cli_connection_failed(const char *what, int error, const iroh_connection *c);

// The secret key: --key FILE (made on first use), else IROH_SECRET, else a fresh one. False after a message.
bool cli_identity(const cli_options *o, iroh_secret_key *out);

// An endpoint from the options. Null after a message.
iroh_endpoint *cli_endpoint(const cli_options *o, const iroh_slice *alpns, size_t alpn_count, bool own_thread);

// The address in a ticket; or, for an id and for a ticket without addresses, the relays of the options (--relay URL), where
// the peer is then expected. Null after a message.
iroh_addr *cli_target(const cli_options *o, const char *text);

// The endpoint's ticket, once the home relay is connected or CLI_ONLINE_MS have passed; false after a message.
#define CLI_TICKET_MAX 4096
bool cli_ticket(iroh_endpoint *ep, const cli_options *o, char out[static CLI_TICKET_MAX]);

// From now on SIGINT and SIGTERM make this descriptor readable instead of ending the program, and SIGPIPE and SIGXFSZ
// are ignored.
// Once for a program. -1 after a message: then they end it as usual.
int cli_signals_fd(void);

// "direct" or "relay": how data to the peer goes now.
const char *cli_path_kind(const iroh_connection *c);

uint64_t cli_now_ns(void);     // monotonic
double cli_cpu_seconds(void);  // of this process, user and system

int cmd_id(const cli_options *o);
int cmd_ticket(const cli_options *o);
int cmd_pipe(const cli_options *o);
int cmd_net(const cli_options *o);
int cmd_ping(const cli_options *o);
int cmd_perf(const cli_options *o);
int cmd_send(const cli_options *o);
int cmd_receive(const cli_options *o);
int cmd_blob(const cli_options *o);

#endif
