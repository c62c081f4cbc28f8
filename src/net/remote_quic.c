// The paths of real connections: remote_ops over quic/conn.h.
#include "net/remote.h"

static bool is_client(const void *conn) {
    return quic_conn_is_client(conn);
}

static size_t paths(const void *conn, quic_path_info *out, size_t room) {
    return quic_conn_paths(conn, out, room);
}

static int open_path(void *conn, const addr *to, const addr *local, quic_path_status status, uint64_t now,
                     uint32_t *id) {
    return quic_conn_open_path(conn, to, local, status, now, id);
}

static int close_path(void *conn, uint32_t id, uint64_t code, uint64_t now) {
    return quic_conn_close_path(conn, id, code, now);
}

static int set_path_status(void *conn, uint32_t id, quic_path_status status) {
    return quic_conn_set_path_status(conn, id, status);
}

static int set_path_timeouts(void *conn, uint32_t id, uint64_t idle, uint64_t keep_alive, uint64_t now) {
    return quic_conn_set_path_timeouts(conn, id, idle, keep_alive, now);
}

static int add_candidate(void *conn, const addr *address) {
    return quic_conn_add_candidate(conn, address);
}

static int remove_candidate(void *conn, const addr *address) {
    return quic_conn_remove_candidate(conn, address);
}

static size_t candidates(const void *conn, addr *out, size_t room) {
    return quic_conn_candidates(conn, out, room);
}

static int start_round(void *conn, uint64_t now) {
    return quic_conn_start_round(conn, now);
}

const remote_ops remote_quic_ops = {
    .is_client = is_client,
    .paths = paths,
    .open_path = open_path,
    .close_path = close_path,
    .set_path_status = set_path_status,
    .set_path_timeouts = set_path_timeouts,
    .add_candidate = add_candidate,
    .remove_candidate = remove_candidate,
    .candidates = candidates,
    .start_round = start_round,
};
