// Transport parameters (RFC 9000, section 18; RFC 9221; ack frequency, multipath, address discovery, n0 NAT traversal).
#ifndef QUIC_PARAMS_H
#define QUIC_PARAMS_H

#include "base/entropy.h"
#include "quic/types.h"

#define QUIC_PARAMS_MAX 512  // our own encoding is never longer

typedef struct quic_params {
    bool has_original_dcid, has_initial_scid, has_retry_scid, has_reset_token, has_preferred_address;
    bool has_max_path_id, has_min_ack_delay, has_address_discovery, has_nat_traversal;
    quic_cid original_dcid, initial_scid, retry_scid;
    uint8_t reset_token[QUIC_RESET_TOKEN];
    quic_cid preferred_cid;  // the addresses of preferred_address are not used
    uint8_t preferred_token[QUIC_RESET_TOKEN];
    uint64_t max_idle_timeout_ms;  // 0: none
    uint64_t max_udp_payload_size;
    uint64_t initial_max_data;
    uint64_t initial_max_stream_data_bidi_local;
    uint64_t initial_max_stream_data_bidi_remote;
    uint64_t initial_max_stream_data_uni;
    uint64_t initial_max_streams_bidi;
    uint64_t initial_max_streams_uni;
    uint64_t ack_delay_exponent;
    uint64_t max_ack_delay_ms;
    uint64_t active_connection_id_limit;
    uint64_t max_datagram_frame_size;  // 0: no datagrams
    uint64_t max_path_id;
    uint64_t min_ack_delay_us;
    uint64_t address_discovery;  // 0 sends, 1 receives, 2 both
    uint8_t nat_traversal;       // addresses that the sender stores
    bool disable_active_migration;
    bool grease_quic_bit;
} quic_params;

// RFC defaults: what holds for parameters that the peer leaves out.
void quic_params_default(quic_params *p);

// Encodes in random order with one reserved parameter drawn from `random` (null: fixed order, none). Values that equal
// the default are left out, and so is preferred_address, which we never send. Returns the length, or IROH_ERR_LENGTH.
int quic_params_encode(const quic_params *p, quic_role sender, const entropy *random, uint8_t *out, size_t room);

// Decodes and checks the limits of RFC 9000 section 18.2 and of the extensions; unknown ids are skipped. 0 or
// QUIC_TRANSPORT_PARAMETER_ERROR.
int quic_params_decode(quic_params *p, quic_role sender, const uint8_t *bytes, size_t len);

// What a client remembers for 0-RTT (RFC 9000, section 7.4.1): the parameters without those that may not be remembered.
void quic_params_remembered(const quic_params *p, quic_params *out);

// True when a server that accepted 0-RTT kept every promise in `remembered`.
bool quic_params_keep_promises(const quic_params *fresh, const quic_params *remembered);

#endif
