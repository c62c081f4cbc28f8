// Key update (RFC 9001, section 6). The keys of the next phase to read are always made ahead, so that a packet with the
// other phase bit takes as long as any other and tells nobody whether an update is under way (section 9.5).
//
// A set bit means "the other phase" only relative to ours, so it may name the previous phase as well as the next one.
// On path 0 packet numbers decide: numbers grow with phases. Other paths have numbers of their own; there the previous
// phase is meant for as long as its keys are kept, which is shorter than a peer may take for two updates.
#include <iroh/error.h>

#include "base/clock.h"
#include "base/wipe.h"
#include "crypto/hkdf.h"
#include "quic/protect.h"

#define KEY_PHASE_BIT 0x04

// The traffic secret of the phase after that of `secret`.
static void next_secret(const aead_suite *suite, const uint8_t *secret, uint8_t out[static AEAD_HASH_MAX]) {
    uint8_t next[AEAD_HASH_MAX] = {0};
    hkdf_expand_label(suite->hash_len, secret, "quic ku", NULL, 0, next, suite->hash_len);
    memcpy(out, next, sizeof next);
    wipe(next, sizeof next);
}

static int install_read(quic_key_phases *p, const aead_suite *suite, const uint8_t *secret) {
    int r = quic_keys_init(&p->read, suite, secret);
    if (r != 0)
        return r;
    next_secret(suite, secret, p->read_secret);
    r = quic_keys_init_phase(&p->read_next, suite, p->read_secret);
    if (r != 0) {
        quic_keys_dispose(&p->read);
        return r;
    }
    next_secret(suite, p->read_secret, p->read_secret);
    return 0;
}

int quic_key_phases_install(quic_key_phases *p, const aead_suite *suite, const uint8_t *secret, bool write) {
    if (p->suite == NULL)
        p->phase_first_pn = p->next_first_pn = QUIC_PN_NONE;
    if (!write) {
        int r = install_read(p, suite, secret);
        if (r == 0)
            p->suite = suite;
        return r;
    }
    int r = quic_keys_init(&p->write, suite, secret);
    if (r != 0)
        return r;
    p->suite = suite;
    next_secret(suite, secret, p->write_secret);
    return 0;
}

void quic_key_phases_dispose(quic_key_phases *p) {
    quic_keys_dispose(&p->read);
    quic_keys_dispose(&p->read_next);
    quic_keys_dispose(&p->read_previous);
    quic_keys_dispose(&p->write);
    wipe(p, sizeof *p);
}

static void take_header_key(quic_keys *to, quic_keys *from) {
    to->hp = from->hp;
    from->hp = NULL;
}

int quic_key_phases_update(quic_key_phases *p, uint64_t now, uint64_t discard_after) {
    quic_keys write, read_next;
    if (!quic_keys_present(&p->read_next) || !quic_keys_present(&p->write))
        return IROH_ERR_ARG;
    int r = quic_keys_init_phase(&write, p->suite, p->write_secret);
    if (r != 0)
        return r;
    r = quic_keys_init_phase(&read_next, p->suite, p->read_secret);
    if (r != 0) {
        quic_keys_dispose(&write);
        return r;
    }
    next_secret(p->suite, p->write_secret, p->write_secret);
    next_secret(p->suite, p->read_secret, p->read_secret);
    take_header_key(&write, &p->write);
    quic_keys_dispose(&p->write);
    p->write = write;
    quic_keys_dispose(&p->read_previous);
    p->read_previous = p->read;
    p->read = p->read_next;
    take_header_key(&p->read, &p->read_previous);
    p->read_next = read_next;
    p->phase = !p->phase;
    p->generation++;
    p->sealed = 0;
    p->phase_first_pn = p->next_first_pn;
    p->next_first_pn = QUIC_PN_NONE;
    p->update_acked = false;
    p->discard_previous_at = time_add(now, discard_after);
    return 0;
}

// --- Opening

static const quic_keys *choose(const quic_key_phases *p, bool phase, uint32_t path, uint64_t pn) {
    if (phase == p->phase)
        return &p->read;
    bool earlier = path != 0 || pn < p->phase_first_pn;
    return earlier && quic_keys_present(&p->read_previous) ? &p->read_previous : &p->read_next;
}

int quic_key_phases_open(quic_key_phases *p, uint8_t *packet, size_t len, size_t pn_offset, size_t pn_size,
                         uint32_t path, uint64_t pn, bool *new_phase) {
    const quic_keys *k = choose(p, (packet[0] & KEY_PHASE_BIT) != 0, path, pn);
    *new_phase = false;
    if (!quic_keys_present(k))
        return IROH_ERR_CRYPTO;
    int r = quic_packet_open(k, packet, len, pn_offset, pn_size, path, pn);
    if (r < 0 || k == &p->read_previous)
        return r;
    if (k == &p->read_next) {
        // A later phase cannot begin before the current one did.
        if (path == 0 && p->phase_first_pn != QUIC_PN_NONE && pn < p->phase_first_pn)
            return IROH_ERR_CRYPTO;
        if (path == 0)
            p->next_first_pn = pn;
        *new_phase = true;
    } else if (path == 0 && pn < p->phase_first_pn) {
        p->phase_first_pn = pn;
    }
    return r;
}
