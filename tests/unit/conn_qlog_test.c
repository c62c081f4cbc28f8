// The diary of a connection with two paths, as a reader of JSON text sequences (RFC 7464) and of the schema sees it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

#include "base/clock.h"
#include "sim/transfer.h"

#define SEED 5
#define RECORD_START '\x1e'
#define PATHS 2
#define TRANSFER 400000  // bytes
#define MTU 1400         // bytes: larger datagrams vanish

enum { CLIENT = 0, SERVER = 1, SIDES = 2 };

typedef struct diary {
    char *text;
    size_t len;
    quic_cid odcid;
    size_t closed;    // how often
    json_t *records;  // array; the first is the header
} diary;

static diary diaries[SIDES];

// --- Writing

static void take(void *user, const char *text, size_t len) {
    diary *d = user;
    d->text = realloc(d->text, d->len + len);
    assert_non_null(d->text);
    memcpy(d->text + d->len, text, len);
    d->len += len;
}

static void note_close(void *user) {
    ((diary *)user)->closed++;
}

static quic_qlog *begin(void *user, quic_role role, const quic_cid *odcid) {
    diary *d = (diary *)user + (role == QUIC_CLIENT ? CLIENT : SERVER);
    const quic_qlog_sink sink = {.write = take, .close = note_close, .user = d};
    assert_null(d->text);  // one connection
    d->odcid = *odcid;
    return quic_qlog_new(role, odcid, &sink);
}

static bool never(sim_world *w) {
    (void)w;
    return false;
}

static void run(sim_world *w, uint64_t ms) {
    (void)sim_run(w, never, ms * NS_PER_MS);
    if (w->failure[0] != '\0')
        fail_msg("%s", w->failure);
}

static void set_up(sim_world *w) {
    const sim_link line = {.delay = 5 * NS_PER_MS, .corrupt = 200, .mtu = MTU};
    quic_endpoint_config config;
    quic_endpoint_config_default(&config);
    config.qlog = begin;
    config.qlog_user = diaries;
    sim_world_init(w, SEED);
    for (size_t i = 0; i < SIDES; i++)
        (void)sim_add_port(sim_add_node(w, &config));
    for (size_t port = 0; port < PATHS; port++)
        sim_set_path(w, &w->nodes[CLIENT], port, &w->nodes[SERVER], port, &line);
    sim_echo_server(&w->nodes[SERVER]);
}

// A connection that echoes over one path, then over the other.
static void live(void) {
    sim_world *w = malloc(sizeof *w);
    sim_transfer t;
    uint32_t id;
    assert_non_null(w);
    set_up(w);
    sim_transfer_start(&t, &w->nodes[CLIENT], &w->nodes[SERVER], 4, TRANSFER, NULL, 0, false);
    run(w, 100);
    assert_int_equal(quic_conn_open_path(t.conn, sim_address(&w->nodes[SERVER], 1), sim_address(&w->nodes[CLIENT], 1),
                                         PATH_AVAILABLE, w->now, &id),
                     0);
    assert_int_equal(id, 1);
    run(w, 20000);
    assert_true(sim_transfer_done(&t));
    sim_transfer_close(&t);
    run(w, 20000);
    sim_transfer_dispose(&t);
    sim_world_dispose(w);
    free(w);
}

// --- Reading

static void parse(diary *d) {
    d->records = json_array();
    const char *at = d->text, *end = d->text + d->len;
    while (at < end) {
        json_error_t error;
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        assert_int_equal(*at, RECORD_START);
        assert_non_null(line_end);
        json_t *record = json_loadb(at + 1, (size_t)(line_end - at - 1), JSON_REJECT_DUPLICATES, &error);
        if (record == NULL)
            fail_msg("%s: %.*s", error.text, (int)(line_end - at - 1), at + 1);
        assert_true(json_is_object(record));
        assert_int_equal(json_array_append_new(d->records, record), 0);
        at = line_end + 1;
    }
}

static int keep_diaries(void **state) {
    (void)state;
    live();
    for (size_t i = 0; i < SIDES; i++)
        parse(&diaries[i]);
    return 0;
}

static int drop_diaries(void **state) {
    (void)state;
    for (size_t i = 0; i < SIDES; i++) {
        free(diaries[i].text);
        json_decref(diaries[i].records);
    }
    return 0;
}

static const char *text_at(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    if (text == NULL)
        fail_msg("no text '%s'", name);
    return text;
}

static json_int_t number_at(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value))
        fail_msg("no number '%s'", name);
    return json_integer_value(value);
}

static const json_t *object_at(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    if (!json_is_object(value))
        fail_msg("no object '%s'", name);
    return value;
}

// Event `i`, which follows the header, if it has this name.
static const json_t *data_of(const diary *d, size_t i, const char *name) {
    const json_t *event = json_array_get(d->records, i);
    return i > 0 && strcmp(text_at(event, "name"), name) == 0 ? object_at(event, "data") : NULL;
}

static const json_t *first_of(const diary *d, const char *name) {
    for (size_t i = 1; i < json_array_size(d->records); i++)
        if (data_of(d, i, name) != NULL)
            return data_of(d, i, name);
    fail_msg("no event '%s'", name);
    return NULL;
}

static bool one_of(const char *const words[], const char *word) {
    for (; *words != NULL; words++)
        if (strcmp(*words, word) == 0)
            return true;
    return false;
}

// --- What must hold

static void header_names_version_side_and_connection(void **state) {
    (void)state;
    for (size_t i = 0; i < SIDES; i++) {
        const json_t *header = json_array_get(diaries[i].records, 0);
        char odcid[2 * QUIC_CID_MAX + 1] = "";
        for (size_t k = 0; k < diaries[i].odcid.len; k++)
            (void)snprintf(odcid + 2 * k, 3, "%02x", diaries[i].odcid.bytes[k]);
        assert_string_equal(text_at(header, "qlog_version"), "0.3");
        assert_string_equal(text_at(header, "qlog_format"), "JSON-SEQ");
        const json_t *trace = object_at(header, "trace"), *common = object_at(trace, "common_fields");
        assert_string_equal(text_at(object_at(trace, "vantage_point"), "type"), i == CLIENT ? "client" : "server");
        assert_string_equal(text_at(common, "ODCID"), odcid);
        assert_string_equal(text_at(common, "time_format"), "relative");
        assert_int_equal(number_at(common, "reference_time"), 0);
    }
    assert_memory_equal(diaries[CLIENT].odcid.bytes, diaries[SERVER].odcid.bytes, diaries[CLIENT].odcid.len);
}

static void sinks_are_closed_once(void **state) {
    (void)state;
    for (size_t i = 0; i < SIDES; i++)
        assert_int_equal(diaries[i].closed, 1);
}

static void events_have_known_names_and_rising_times(void **state) {
    (void)state;
    static const char *const names[] = {
        "transport:packet_sent",
        "transport:packet_received",
        "transport:packet_dropped",
        "transport:parameters_set",
        "recovery:metrics_updated",
        "recovery:packet_lost",
        "connectivity:connection_started",
        "connectivity:connection_state_updated",
        "connectivity:connection_closed",
        "security:key_updated",
        NULL,
    };
    for (size_t side = 0; side < SIDES; side++) {
        double last = 0;
        for (size_t i = 1; i < json_array_size(diaries[side].records); i++) {
            const json_t *event = json_array_get(diaries[side].records, i), *time = json_object_get(event, "time");
            if (!one_of(names, text_at(event, "name")))
                fail_msg("unknown event '%s'", text_at(event, "name"));
            assert_true(json_is_number(time) && json_number_value(time) >= last);
            last = json_number_value(time);
            (void)object_at(event, "data");
        }
    }
}

static void packets_have_header_size_and_frames(void **state) {
    (void)state;
    static const char *const types[] = {"initial", "handshake", "0RTT", "1RTT", NULL};
    for (size_t side = 0; side < SIDES; side++) {
        for (size_t i = 1; i < json_array_size(diaries[side].records); i++) {
            const json_t *p = data_of(&diaries[side], i, "transport:packet_sent");
            if (p == NULL && (p = data_of(&diaries[side], i, "transport:packet_received")) == NULL)
                continue;
            const json_t *header = object_at(p, "header"), *frames = json_object_get(p, "frames");
            assert_true(one_of(types, text_at(header, "packet_type")));
            assert_true(number_at(header, "packet_number") >= 0);
            assert_true(number_at(object_at(p, "raw"), "length") > 0);
            assert_true(json_array_size(frames) > 0);
            for (size_t k = 0; k < json_array_size(frames); k++)
                (void)text_at(json_array_get(frames, k), "frame_type");
        }
    }
}

// Path id of a 1-RTT packet event, PATHS for others, which have none.
static size_t path_of(const json_t *packet) {
    const json_t *header = object_at(packet, "header");
    if (strcmp(text_at(header, "packet_type"), "1RTT") != 0) {
        assert_null(json_object_get(header, "path_id"));
        return PATHS;
    }
    json_int_t path = number_at(header, "path_id");
    assert_true(path >= 0 && path < PATHS);
    return (size_t)path;
}

static void numbers_rise_on_each_path(void **state) {
    (void)state;
    for (size_t side = 0; side < SIDES; side++) {
        json_int_t next[PATHS] = {0};
        size_t count[PATHS] = {0};
        for (size_t i = 1; i < json_array_size(diaries[side].records); i++) {
            const json_t *p = data_of(&diaries[side], i, "transport:packet_sent");
            size_t path = p != NULL ? path_of(p) : PATHS;
            if (path == PATHS)
                continue;
            json_int_t pn = number_at(object_at(p, "header"), "packet_number");
            assert_true(pn >= next[path]);
            next[path] = pn + 1;
            count[path]++;
        }
        for (size_t path = 0; path < PATHS; path++)
            assert_true(count[path] > 2);
    }
}

static bool was_sent(const diary *d, const json_t *received) {
    for (size_t i = 1; i < json_array_size(d->records); i++) {
        const json_t *sent = data_of(d, i, "transport:packet_sent");
        if (sent != NULL && json_equal(json_object_get(sent, "header"), json_object_get(received, "header")))
            return json_equal(json_object_get(sent, "raw"), json_object_get(received, "raw")) != 0;
    }
    return false;
}

// Type, path, number and size agree on both sides.
static void what_one_side_received_the_other_sent(void **state) {
    (void)state;
    size_t count[PATHS + 1] = {0};
    for (size_t side = 0; side < SIDES; side++) {
        for (size_t i = 1; i < json_array_size(diaries[side].records); i++) {
            const json_t *p = data_of(&diaries[side], i, "transport:packet_received");
            if (p == NULL)
                continue;
            count[path_of(p)]++;
            assert_true(was_sent(&diaries[1 - side], p));
        }
    }
    for (size_t path = 0; path <= PATHS; path++)
        assert_true(count[path] > 0);
}

static const json_t *sent_before(const diary *d, size_t end, const json_t *header) {
    for (size_t i = 1; i < end; i++) {
        const json_t *sent = data_of(d, i, "transport:packet_sent");
        if (sent != NULL && json_equal(json_object_get(sent, "header"), header))
            return sent;
    }
    return NULL;
}

static bool lost_before(const diary *d, size_t end, const json_t *header) {
    for (size_t i = 1; i < end; i++) {
        const json_t *lost = data_of(d, i, "recovery:packet_lost");
        if (lost != NULL && json_equal(json_object_get(lost, "header"), header))
            return true;
    }
    return false;
}

static void lost_packets_are_told_once_with_the_reason(void **state) {
    (void)state;
    static const char *const triggers[] = {"reordering_threshold", "time_threshold", NULL};
    size_t probes = 0, others = 0;
    for (size_t side = 0; side < SIDES; side++) {
        const diary *d = &diaries[side];
        for (size_t i = 1; i < json_array_size(d->records); i++) {
            const json_t *lost = data_of(d, i, "recovery:packet_lost");
            if (lost == NULL)
                continue;
            const json_t *header = object_at(lost, "header"), *sent = sent_before(d, i, header);
            assert_non_null(sent);
            assert_true(json_equal(object_at(lost, "raw"), object_at(sent, "raw")));
            assert_false(lost_before(d, i, header));
            assert_true(one_of(triggers, text_at(lost, "trigger")));
            bool probe = json_is_true(json_object_get(lost, "is_mtu_probe_packet"));
            assert_int_equal(probe, number_at(object_at(lost, "raw"), "length") > MTU);
            probes += probe;
            others += !probe;
        }
    }
    assert_true(probes > 0 && others > 0);
}

static bool has_frame(const json_t *packet, const char *type, size_t *acked_paths) {
    const json_t *frames = json_object_get(packet, "frames");
    bool found = false;
    for (size_t i = 0; i < json_array_size(frames); i++) {
        const json_t *f = json_array_get(frames, i);
        found |= strcmp(text_at(f, "frame_type"), type) == 0;
        if (strcmp(text_at(f, "frame_type"), "path_ack") == 0)
            *acked_paths |= (size_t)1 << number_at(f, "path_id");
    }
    return found;
}

// A peer that waits for an acknowledgement must not take the close for a loss.
static void close_acknowledges_what_came_on_every_path(void **state) {
    (void)state;
    for (size_t i = 1; i < json_array_size(diaries[CLIENT].records); i++) {
        const json_t *p = data_of(&diaries[CLIENT], i, "transport:packet_sent");
        size_t acked_paths = 0;
        if (p == NULL || !has_frame(p, "connection_close", &acked_paths))
            continue;
        assert_int_equal(acked_paths, 3);
        return;
    }
    fail_msg("no close was sent");
}

static void metrics_name_their_path(void **state) {
    (void)state;
    size_t count[PATHS] = {0};
    for (size_t i = 1; i < json_array_size(diaries[CLIENT].records); i++) {
        const json_t *m = data_of(&diaries[CLIENT], i, "recovery:metrics_updated");
        if (m == NULL)
            continue;
        assert_true(number_at(m, "congestion_window") > 0);
        assert_true(json_number_value(json_object_get(m, "smoothed_rtt")) > 0);
        json_int_t path = number_at(m, "path_id");
        assert_true(path >= 0 && path < PATHS);
        count[path]++;
    }
    assert_true(count[0] > 0 && count[1] > 0);
}

static void corrupted_packets_are_dropped(void **state) {
    (void)state;
    const json_t *p = first_of(&diaries[CLIENT], "transport:packet_dropped");
    assert_string_equal(text_at(p, "trigger"), "payload_decrypt_error");
    assert_true(number_at(object_at(p, "raw"), "length") > 0);
}

static void start_parameters_and_end_are_told(void **state) {
    (void)state;
    for (size_t side = 0; side < SIDES; side++) {
        const diary *d = &diaries[side];
        const json_t *started = first_of(d, "connectivity:connection_started");
        assert_string_equal(text_at(started, "ip_version"), "v4");
        assert_string_equal(text_at(started, "dst_ip"), side == CLIENT ? "10.0.0.2" : "10.0.0.1");
        assert_int_equal(number_at(started, "dst_port"), side == CLIENT ? 1001 : 1000);
        assert_string_equal(text_at(first_of(d, "connectivity:connection_state_updated"), "new"), "handshake_complete");
        const json_t *closed = first_of(d, "connectivity:connection_closed");
        assert_string_equal(text_at(closed, "owner"), side == CLIENT ? "local" : "remote");
        assert_int_equal(number_at(closed, "application_code"), 42);
        size_t of_local = 0, of_remote = 0;
        for (size_t i = 1; i < json_array_size(d->records); i++) {
            const json_t *p = data_of(d, i, "transport:parameters_set");
            if (p == NULL || json_object_get(p, "initial_max_data") == NULL)
                continue;
            assert_true(number_at(p, "initial_max_path_id") > 0);
            of_local += strcmp(text_at(p, "owner"), "local") == 0;
            of_remote += strcmp(text_at(p, "owner"), "remote") == 0;
        }
        assert_int_equal(of_local, 1);
        assert_int_equal(of_remote, 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_names_version_side_and_connection),
        cmocka_unit_test(sinks_are_closed_once),
        cmocka_unit_test(events_have_known_names_and_rising_times),
        cmocka_unit_test(packets_have_header_size_and_frames),
        cmocka_unit_test(numbers_rise_on_each_path),
        cmocka_unit_test(what_one_side_received_the_other_sent),
        cmocka_unit_test(lost_packets_are_told_once_with_the_reason),
        cmocka_unit_test(close_acknowledges_what_came_on_every_path),
        cmocka_unit_test(metrics_name_their_path),
        cmocka_unit_test(corrupted_packets_are_dropped),
        cmocka_unit_test(start_parameters_and_end_are_told),
    };
    return cmocka_run_group_tests(tests, keep_diaries, drop_diaries);
}
