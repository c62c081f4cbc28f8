// Congestion controllers on one bottleneck: goodput and queueing delay over a grid of rate, round-trip time, loss and
// buffer, in virtual time, as a markdown table.
//
// A client sends one stream to a server, both real QUIC endpoints with the simulator's TLS. Between them is a link of
// fixed rate with a drop-tail buffer; the way back only delays. The network is this file's own, smaller than that of
// tests/sim: datagrams of a link stay in order, so that a gigabit over a long path is a queue and no search.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <iroh/error.h>

#include "base/clock.h"
#include "quic/endpoint.h"
#include "sim/faketls.h"

#define ROOM 65536
#define SEGMENTS 16
#define SEND_BUFFER_TRIPS                                                                                              \
    6  // round trips over a full buffer for which the sender may repeat a datagram that is lost again
#define CHUNK 65536
#define DATAGRAM_MAX 1500
#define BUFFER_DATAGRAMS 4  // that every buffer holds, however little the path does
#define WARM_UP_SECONDS 10  // not measured: slow start, and what it broke
#define SECONDS 10
#define HISTOGRAM 512      // steps of the queueing delay, up to that of a full buffer
#define CLEAN_TARGET 0.95  // of the bottleneck, for --check
#define JOBS_MAX 64

// --- One run

typedef struct cell {
    uint64_t mbit, rtt_ms;
    uint32_t loss;  // of 10 000
    double buffer;  // of the path's bandwidth-delay product
    const quic_cc_ops *controller;
} cell;

typedef struct result {
    double used;                    // share of its time that the bottleneck was sending
    double goodput;                 // share of its rate that reached the application
    double delay_mean, delay_high;  // s in the queue; of 95 % of the datagrams
    uint64_t lost;
} result;

typedef struct flight {
    struct flight *next;
    uint64_t arrival;
    size_t len;
    uint8_t ecn;
    uint8_t bytes[DATAGRAM_MAX];
} flight;

typedef struct wire {
    uint64_t rate;   // bytes per second, 0: infinite
    uint64_t delay;  // ns
    uint64_t buffer, loss;
    uint64_t busy_until;
    flight *first, **last;
} wire;

typedef struct node {
    quic_endpoint *ep;
    quic_conn *conn;
    quic_stream *stream;
    addr address;
    wire out;
    uint64_t random;
} node;

typedef struct world {
    uint64_t now;
    uint64_t random;
    node client, server;
    flight *spare;
    uint64_t received;  // bytes that the server's application has read
    bool measuring;
    uint64_t carried;  // bytes that came through the bottleneck
    uint64_t waits, wait_sum;
    uint64_t histogram[HISTOGRAM + 1];
    uint64_t wait_max;  // ns: a full buffer
} world;

static void fail(const char *what) {
    (void)fprintf(stderr, "congestion: %s\n", what);
    exit(1);
}

static uint64_t draw(uint64_t *state) {
    // splitmix64
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void fill(void *user, void *out, size_t len) {
    uint8_t *p = out;
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)draw(user);
}

static uint64_t bdp_of(const cell *c) {
    return c->mbit * 125 * c->rtt_ms;
}

static uint64_t buffer_of(const cell *c) {
    uint64_t least = BUFFER_DATAGRAMS * DATAGRAM_MAX, wanted = (uint64_t)(c->buffer * (double)bdp_of(c));
    return wanted > least ? wanted : least;
}

// Limits that are not the controller's are out of the way.
static void open_node(node *n, const cell *c, uint8_t index) {
    static const tls_alpn alpn = {.name = (const uint8_t *)"bench", .len = 5};
    quic_endpoint_config config;
    quic_endpoint_config_default(&config);
    config.tls = &sim_faketls;
    memset(config.identity.seed, index, sizeof config.identity.seed);
    memset(config.identity.public_key, index + 100, sizeof config.identity.public_key);
    n->random = index;
    config.random = (entropy){.fill = fill, .user = &n->random};
    config.alpns = &alpn;
    config.alpn_count = 1;
    quic_transport *t = &config.transport;
    t->congestion = c->controller;
    t->stream_window = t->conn_window = UINT64_C(1) << 32;
    t->send_buffer = SEND_BUFFER_TRIPS * (bdp_of(c) + buffer_of(c)) + (UINT64_C(1) << 20);
    n->address = addr_ip4((uint8_t[4]){10, 0, 0, index}, 1000);
    n->out.last = &n->out.first;
    if (quic_endpoint_new(&config, &n->ep) != 0)
        fail("no endpoint");
}

static void dial(world *w) {
    static const tls_alpn alpn = {.name = (const uint8_t *)"bench", .len = 5};
    uint8_t key[32];
    memset(key, 102, sizeof key);
    quic_connect_config connect = {
        .remotes = &w->server.address, .remote_count = 1, .peer_key = key, .alpns = &alpn, .alpn_count = 1};
    if (quic_endpoint_connect(w->client.ep, &connect, w->now, &w->client.conn) != 0)
        fail("cannot connect");
}

// --- The network

static flight *make_flight(world *w) {
    flight *f = w->spare;
    if (f != NULL)
        w->spare = f->next;
    else if ((f = malloc(sizeof *f)) == NULL)
        fail("out of memory");
    f->next = NULL;
    return f;
}

static void measure(world *w, uint64_t wait) {
    if (!w->measuring)
        return;
    w->waits++;
    w->wait_sum += wait;
    uint64_t step = wait * HISTOGRAM / w->wait_max;
    w->histogram[step < HISTOGRAM ? step : HISTOGRAM]++;
}

static void fly(world *w, wire *l, const uint8_t *bytes, size_t len, uint8_t ecn) {
    uint64_t leaves = w->now;
    if (l->rate > 0) {
        uint64_t start = time_max(l->busy_until, w->now);
        if (draw(&w->random) % 10000 < l->loss)
            return;
        if ((double)(start - w->now) * (double)l->rate / (double)NS_PER_S + (double)len > (double)l->buffer)
            return;
        measure(w, start - w->now);
        leaves = l->busy_until = start + len * NS_PER_S / l->rate;
    }
    flight *f = make_flight(w);
    f->arrival = leaves + l->delay;
    f->len = len;
    f->ecn = ecn;
    memcpy(f->bytes, bytes, len);
    *l->last = f;
    l->last = &f->next;
}

static void land(world *w, wire *l, node *to, const addr *from) {
    flight *f = l->first;
    l->first = f->next;
    w->carried += w->measuring && l->rate > 0 ? f->len : 0;
    if (l->first == NULL)
        l->last = &l->first;
    quic_datagram d = {.bytes = f->bytes, .len = f->len, .remote = *from, .local = to->address, .ecn = f->ecn};
    quic_endpoint_receive(to->ep, &d, w->now);
    f->next = w->spare;
    w->spare = f;
}

// --- The applications

static void write_all(world *w) {
    static const uint8_t chunk[CHUNK];
    node *n = &w->client;
    if (n->stream == NULL && quic_streams_open(quic_conn_streams(n->conn), false, &n->stream) != 0)
        return;
    while (quic_stream_write(n->stream, chunk, sizeof chunk) > 0) {}
    quic_conn_wake(n->conn);
}

static void read_all(world *w, quic_conn *c) {
    static uint8_t sink[CHUNK];
    node *n = &w->server;
    if (n->stream == NULL && (n->stream = quic_streams_accept(quic_conn_streams(c), false)) == NULL)
        return;
    int got;
    while ((got = quic_stream_read(n->stream, sink, sizeof sink)) > 0)
        w->received += (uint64_t)got;
    quic_conn_wake(c);
}

static void events(world *w, node *n) {
    quic_incoming *in;
    quic_conn *c;
    quic_stream *st;
    uint32_t what;
    uint8_t stream_event;
    while ((in = quic_endpoint_next_incoming(n->ep)) != NULL) {
        if (quic_incoming_accept(in, w->now, &n->conn) != 0)
            fail("cannot accept");
    }
    while ((c = quic_endpoint_next_event(n->ep, &what)) != NULL) {
        if ((what & CONN_CLOSED) != 0)
            fail("the connection was closed");
        while ((st = quic_streams_next_event(quic_conn_streams(c), &stream_event)) != NULL) {}
        if (n == &w->client && (n->stream != NULL || (what & CONN_CONNECTED) != 0))
            write_all(w);
        else if (n == &w->server)
            read_all(w, c);
    }
}

static void settle(world *w, node *n) {
    static uint8_t room[ROOM];
    quic_transmit t;
    events(w, n);
    while (quic_endpoint_transmit(n->ep, w->now, room, sizeof room, SEGMENTS, &t)) {
        for (size_t at = 0; at < t.len; at += t.segment)
            fly(w, &n->out, room + at, t.len - at < t.segment ? t.len - at : t.segment, t.ecn);
    }
    events(w, n);
}

static void run_until(world *w, uint64_t end) {
    node *c = &w->client, *s = &w->server;
    for (;;) {
        uint64_t to_server = c->out.first != NULL ? c->out.first->arrival : TIME_NEVER;
        uint64_t to_client = s->out.first != NULL ? s->out.first->arrival : TIME_NEVER;
        uint64_t client_at = quic_endpoint_deadline(c->ep), server_at = quic_endpoint_deadline(s->ep);
        uint64_t at = time_min(time_min(to_server, to_client), time_min(client_at, server_at));
        if (at > end)
            break;
        w->now = time_max(w->now, at);
        if (to_server <= w->now)
            land(w, &c->out, s, &c->address);
        else if (server_at <= w->now)
            quic_endpoint_timeout(s->ep, w->now);
        if (to_server <= w->now || server_at <= w->now)
            settle(w, s);
        if (to_client <= w->now)
            land(w, &s->out, c, &s->address);
        else if (client_at <= w->now)
            quic_endpoint_timeout(c->ep, w->now);
        if (to_client <= w->now || client_at <= w->now)
            settle(w, c);
    }
    w->now = end;
}

// --- Results

static double high_wait(const world *w) {
    uint64_t seen = 0;
    size_t i = 0;
    while (i < HISTOGRAM && (seen += w->histogram[i]) * 100 < w->waits * 95)
        i++;
    return (double)(i + 1) / HISTOGRAM * (double)w->wait_max / (double)NS_PER_S;
}

static void free_flights(flight *f) {
    while (f != NULL) {
        flight *next = f->next;
        free(f);
        f = next;
    }
}

static result run(const cell *c, uint64_t seconds) {
    world *w = calloc(1, sizeof *w);
    if (w == NULL)
        fail("out of memory");
    w->now = NS_PER_S;
    w->random = 1;
    open_node(&w->client, c, 1);
    open_node(&w->server, c, 2);
    w->client.out.rate = c->mbit * 125000;
    w->client.out.buffer = buffer_of(c);
    w->client.out.loss = c->loss;
    w->client.out.delay = w->server.out.delay = c->rtt_ms * NS_PER_MS / 2;
    w->wait_max = buffer_of(c) * NS_PER_S / w->client.out.rate;
    dial(w);
    settle(w, &w->client);
    run_until(w, w->now + WARM_UP_SECONDS * NS_PER_S);
    uint64_t before = w->received;
    w->measuring = true;
    run_until(w, w->now + seconds * NS_PER_S);
    quic_conn_stats stats;
    quic_conn_stats_get(w->client.conn, &stats);
    result r = {
        .used = (double)w->carried / (double)(c->mbit * 125000 * seconds),
        .goodput = (double)(w->received - before) / (double)(c->mbit * 125000 * seconds),
        .delay_mean = w->waits > 0 ? (double)w->wait_sum / (double)w->waits / (double)NS_PER_S : 0,
        .delay_high = high_wait(w),
        .lost = stats.lost_packets,
    };
    quic_endpoint_free(w->client.ep);
    quic_endpoint_free(w->server.ep);
    free_flights(w->client.out.first);
    free_flights(w->server.out.first);
    free_flights(w->spare);
    free(w);
    return r;
}

// --- The grid

static const uint64_t rates[] = {1, 10, 100, 1000};
static const uint64_t rtts[] = {5, 40, 150};
static const uint32_t losses[] = {0, 10, 100};
static const double buffers[] = {0.5, 1, 4};
static const quic_cc_ops *const controllers[] = {&quic_cc_newreno, &quic_cc_cubic, &quic_cc_bbr3};

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define ROWS (COUNT(rates) * COUNT(rtts) * COUNT(losses) * COUNT(buffers))
#define CELLS (ROWS * COUNT(controllers))

static cell cell_at(size_t i) {
    cell c = {.controller = controllers[i % COUNT(controllers)]};
    i /= COUNT(controllers);
    c.buffer = buffers[i % COUNT(buffers)];
    i /= COUNT(buffers);
    c.loss = losses[i % COUNT(losses)];
    i /= COUNT(losses);
    c.rtt_ms = rtts[i % COUNT(rtts)];
    c.mbit = rates[i / COUNT(rtts)];
    return c;
}

// What of the grid to run; 0, negative or null: all.
typedef struct selection {
    uint64_t mbit, rtt_ms;
    double loss, buffer;
    const char *controller;
    uint64_t seconds, jobs;
    bool check;
} selection;

static bool selected(const selection *s, const cell *c) {
    return (s->mbit == 0 || s->mbit == c->mbit) && (s->rtt_ms == 0 || s->rtt_ms == c->rtt_ms) &&
           (s->loss < 0 || (uint32_t)(s->loss * 100 + 0.5) == c->loss) && (s->buffer <= 0 || s->buffer == c->buffer) &&
           (s->controller == NULL || strcmp(s->controller, c->controller->name) == 0);
}

static void run_share(const selection *s, result *results, size_t job) {
    size_t turn = 0;
    // The slow ones first, so that no job is left with several of them at the end.
    for (size_t i = CELLS; i-- > 0;) {
        cell c = cell_at(i);
        if (selected(s, &c) && turn++ % s->jobs == job)
            results[i] = run(&c, s->seconds);
    }
}

static void run_all(const selection *s, result *results) {
    pid_t children[JOBS_MAX];
    for (size_t job = 0; job < s->jobs; job++) {
        children[job] = fork();
        if (children[job] < 0)
            fail("cannot fork");
        if (children[job] == 0) {
            run_share(s, results, job);
            exit(0);
        }
    }
    bool ok = true;
    for (size_t job = 0; job < s->jobs; job++) {
        int status;
        ok &= waitpid(children[job], &status, 0) > 0 && status == 0;
    }
    if (!ok)
        exit(1);
}

static void print_row(const selection *s, const result *results, size_t row) {
    cell c = cell_at(row * COUNT(controllers));
    bool any = false;
    for (size_t k = 0; k < COUNT(controllers); k++) {
        c.controller = controllers[k];
        any |= selected(s, &c);
    }
    if (!any)
        return;
    printf("| %llu | %llu | %g | %g |", (unsigned long long)c.mbit, (unsigned long long)c.rtt_ms, c.loss / 100.0,
           c.buffer);
    for (size_t k = 0; k < COUNT(controllers); k++) {
        const result *r = &results[row * COUNT(controllers) + k];
        c.controller = controllers[k];
        if (selected(s, &c))
            printf(" %.1f / %.1f / %.1f / %.1f |", 100 * r->used, 100 * r->goodput, 1000 * r->delay_mean,
                   1000 * r->delay_high);
        else
            printf(" - |");
    }
    printf("\n");
}

static void print_table(const selection *s, const result *results) {
    printf("| Mbit/s | RTT, ms | loss, %% | buffer, BDP |");
    for (size_t k = 0; k < COUNT(controllers); k++)
        printf(" %s |", controllers[k]->name);
    printf("\n|---:|---:|---:|---:|");
    for (size_t k = 0; k < COUNT(controllers); k++)
        printf("---:|");
    printf("\n");
    for (size_t row = 0; row < ROWS; row++)
        print_row(s, results, row);
}

// Clean links with a buffer of at least a bandwidth-delay product are what CUBIC and BBRv3 must fill.
static int check(const selection *s, const result *results) {
    int failed = 0;
    for (size_t i = 0; i < CELLS; i++) {
        cell c = cell_at(i);
        if (!selected(s, &c) || c.loss > 0 || c.buffer < 1 || c.controller == &quic_cc_newreno ||
            results[i].used >= CLEAN_TARGET)
            continue;
        (void)fprintf(stderr, "congestion: %s fills %.1f %% of %llu Mbit/s over %llu ms with a buffer of %g BDP\n",
                      c.controller->name, 100 * results[i].used, (unsigned long long)c.mbit,
                      (unsigned long long)c.rtt_ms, c.buffer);
        failed = 1;
    }
    return failed;
}

static void usage(void) {
    (void)fprintf(stderr, "usage: bench_congestion [--rate MBIT] [--rtt MS] [--loss PERCENT] [--buffer BDP]\n"
                          "                        [--controller NAME] [--seconds N] [--jobs N] [--check]\n");
    exit(2);
}

static selection parse(int argc, char **argv) {
    selection s = {.loss = -1, .seconds = SECONDS, .jobs = 1};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--check") == 0) {
            s.check = true;
            continue;
        }
        const char *name = argv[i], *value = argv[++i];
        if (value == NULL)
            usage();
        if (strcmp(name, "--rate") == 0)
            s.mbit = strtoull(value, NULL, 10);
        else if (strcmp(name, "--rtt") == 0)
            s.rtt_ms = strtoull(value, NULL, 10);
        else if (strcmp(name, "--loss") == 0)
            s.loss = strtod(value, NULL);
        else if (strcmp(name, "--buffer") == 0)
            s.buffer = strtod(value, NULL);
        else if (strcmp(name, "--controller") == 0)
            s.controller = value;
        else if (strcmp(name, "--seconds") == 0)
            s.seconds = strtoull(value, NULL, 10);
        else if (strcmp(name, "--jobs") == 0)
            s.jobs = strtoull(value, NULL, 10);
        else
            usage();
    }
    if (s.seconds == 0 || s.jobs == 0 || s.jobs > JOBS_MAX)
        usage();
    return s;
}

int main(int argc, char **argv) {
    selection s = parse(argc, argv);
    result *results = mmap(NULL, CELLS * sizeof *results, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (results == MAP_FAILED)
        fail("out of memory");
    run_all(&s, results);
    print_table(&s, results);
    return s.check ? check(&s, results) : 0;
}
