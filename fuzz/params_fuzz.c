// Transport parameters of a peer; the first byte says whose. What decodes and is encoded decodes to the same, fits in
// the room that is meant for it, and keeps the promises that were remembered of it.
#include <string.h>

#include "base/bytes.h"
#include "quic/params.h"
#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fill_zero(void *user, void *out, size_t len) {
    (void)user;
    memset(out, 0x5a, len);
}

static void check_limits(const quic_params *p) {
    require(p->max_udp_payload_size >= 1200 && p->ack_delay_exponent <= 20 && p->max_ack_delay_ms < 1 << 14);
    require(p->active_connection_id_limit >= 2);
    require(p->initial_max_streams_bidi <= UINT64_C(1) << 60 && p->initial_max_streams_uni <= UINT64_C(1) << 60);
    require(p->original_dcid.len <= QUIC_CID_MAX && p->initial_scid.len <= QUIC_CID_MAX);
    require(p->retry_scid.len <= QUIC_CID_MAX && p->preferred_cid.len <= QUIC_CID_MAX);
    require(!p->has_max_path_id || p->max_path_id <= UINT32_MAX);
}

// We never send a preferred address.
static void forget_preferred(quic_params *p) {
    p->has_preferred_address = false;
    p->preferred_cid = (quic_cid){0};
    memset(p->preferred_token, 0, sizeof p->preferred_token);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0)
        return 0;
    quic_role sender = (data[0] & 1) != 0 ? QUIC_SERVER : QUIC_CLIENT;
    quic_params p, again, remembered;
    uint8_t out[QUIC_PARAMS_MAX];
    int n = quic_params_decode(&p, sender, data + 1, size - 1);
    require(n == 0 || n == QUIC_TRANSPORT_PARAMETER_ERROR);
    if (n != 0)
        return 0;
    check_limits(&p);
    quic_params_remembered(&p, &remembered);
    require(quic_params_keep_promises(&p, &remembered));
    forget_preferred(&p);
    n = quic_params_encode(&p, sender, NULL, out, sizeof out);
    require(n >= 0);
    require(quic_params_decode(&again, sender, out, (size_t)n) == 0);
    require(memcmp(&again, &p, sizeof p) == 0);
    const entropy random = {.fill = fill_zero};
    n = quic_params_encode(&p, sender, &random, out, sizeof out);
    require(n >= 0 && quic_params_decode(&again, sender, out, (size_t)n) == 0 && memcmp(&again, &p, sizeof p) == 0);
    return 0;
}
