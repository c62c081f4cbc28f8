// Bytes a second through the stream layer alone, in one thread: write, STREAM frames of 1400 bytes, receive, read, and
// acknowledge, as a connection does it but without packets, keys and sockets. One line: min and median of the rounds.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "quic/streams.h"

#define ROUNDS 9
#define ROUND_BYTES (UINT64_C(1) << 30)
#define PACKET 1400
#define BATCH 32       // packets between two reads, as a batch of datagrams brings them
#define IN_FLIGHT 64   // packets until the acknowledgement comes
#define IO_SIZE 65536  // bytes of one write or read

typedef struct world {
    quic_streams out, in;
    pool notes;
    quic_sent_frame *flying[IN_FLIGHT];
    size_t next;
    quic_stream *writer, *reader;
} world;

static uint64_t now_ns(void) {
    struct timespec t;
    (void)timespec_get(&t, TIME_UTC);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void fail(const char *what) {
    fprintf(stderr, "quic_streams: %s\n", what);
    exit(1);
}

static void set_up(world *w) {
    quic_streams_config config = {
        .streams_bidi = 100,
        .streams_uni = 100,
        .stream_window = 1250000,
        .conn_window = VARINT_MAX,
        .send_buffer = 10000000,
        .map_seed = {1, 2},
    };
    quic_params params = {
        .initial_max_data = config.conn_window,
        .initial_max_stream_data_uni = config.stream_window,
        .initial_max_streams_uni = config.streams_uni,
    };
    *w = (world){.next = 0};
    pool_init(&w->notes, sizeof(quic_sent_frame), 64, POOL_SLABS);
    quic_streams_init(&w->out, &config);
    config.role = QUIC_SERVER;
    quic_streams_init(&w->in, &config);
    quic_streams_set_peer(&w->out, &params);
    quic_streams_set_peer(&w->in, &params);
    if (quic_streams_open(&w->out, false, &w->writer) != 0)
        fail("no stream");
}

static void acknowledge(world *w, quic_sent_frame **slot) {
    while (*slot != NULL) {
        quic_sent_frame *f = *slot;
        *slot = f->next;
        quic_streams_acked(&w->out, f);
        pool_give(&w->notes, f);
    }
}

static void receive(quic_streams *s, const uint8_t *bytes, size_t len) {
    reader r = reader_of(bytes, len);
    quic_frame f;
    const quic_frame_info *info;
    while (reader_left(&r) > 0) {
        if (quic_frame_decode(&r, &f, &info) != 0)
            fail("bad frame");
        int error =
            f.type == FRAME_MAX_STREAM_DATA ? quic_streams_on_max_stream_data(s, &f) : quic_streams_on_stream(s, &f);
        if (error != 0)
            fail("refused frame");
    }
}

static void send_packet(world *w, quic_streams *from, quic_streams *to) {
    uint8_t bytes[PACKET];
    quic_builder b = {.w = writer_of(bytes, sizeof bytes), .pool = &w->notes};
    quic_streams_write_control(from, &b);
    quic_streams_write_data(from, &b);
    receive(to, bytes, writer_len(&b.w));
    quic_sent_frame **slot = &w->flying[w->next++ % IN_FLIGHT];
    acknowledge(w, slot);
    *slot = b.frames;
}

static uint64_t read_all(world *w, uint8_t *buffer) {
    if (w->reader == NULL)
        w->reader = quic_streams_accept(&w->in, false);
    uint64_t sum = 0;
    for (int n; w->reader != NULL && (n = quic_stream_read(w->reader, buffer, IO_SIZE)) > 0;)
        sum += (uint64_t)n;
    // The windows that reading opened; nobody acknowledges them.
    if (quic_streams_want_send(&w->in)) {
        uint8_t bytes[PACKET];
        quic_builder b = {.w = writer_of(bytes, sizeof bytes), .pool = &w->notes};
        quic_streams_write_control(&w->in, &b);
        receive(&w->out, bytes, writer_len(&b.w));
        acknowledge(w, &b.frames);
    }
    return sum;
}

static double round_of(world *w, uint8_t *source, uint8_t *sink) {
    uint64_t start = now_ns(), got = 0;
    while (got < ROUND_BYTES) {
        if (quic_stream_write(w->writer, source, IO_SIZE) < 0)
            fail("write");
        while (quic_streams_want_send(&w->out)) {
            for (int i = 0; i < BATCH && quic_streams_want_send(&w->out); i++)
                send_packet(w, &w->out, &w->in);
            got += read_all(w, sink);
        }
    }
    return (double)got / (double)(now_ns() - start);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void) {
    world *w = malloc(sizeof *w);
    uint8_t *source = malloc(IO_SIZE), *sink = malloc(IO_SIZE);
    if (w == NULL || source == NULL || sink == NULL)
        fail("out of memory");
    memset(source, 7, IO_SIZE);
    set_up(w);
    double rates[ROUNDS];
    for (int i = 0; i < ROUNDS; i++)
        rates[i] = round_of(w, source, sink);
    qsort(rates, ROUNDS, sizeof *rates, ascending);
    printf("quic_streams: %d-byte packets, write to read: min %.2f GB/s, median %.2f GB/s\n", PACKET, rates[0],
           rates[ROUNDS / 2]);
    for (size_t i = 0; i < IN_FLIGHT; i++)
        acknowledge(w, &w->flying[i]);
    quic_streams_dispose(&w->out);
    quic_streams_dispose(&w->in);
    pool_dispose(&w->notes);
    free(w);
    free(source);
    free(sink);
    return 0;
}
