// Key update (RFC 9001, section 6). The keys of the next phase to read are always made ahead, so that a packet with the
// other phase bit takes as long as any other and tells nobody whether an update is under way (section 9.5).
//
// A set bit means "the other phase" only relative to ours, so it may name the previous phase as well as the next one.
// The packet numbers of a path decide: they grow with the phases. Where nothing has come in the current phase yet, the
// previous one is meant for as long as its keys are kept.
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
    for (uint32_t i = 0; p->suite == NULL && i < KEY_PHASE_PATHS; i++)
        p->starts[i] = (quic_phase_start){.path = i, .current = QUIC_PN_NONE, .next = QUIC_PN_NONE};
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
    for (size_t i = 0; i < KEY_PHASE_PATHS; i++) {
        p->starts[i].current = p->starts[i].next;
        p->starts[i].next = QUIC_PN_NONE;
    }
    p->update_acked = false;
    p->discard_previous_at = time_add(now, discard_after);
    return 0;
}

// --- Opening

static quic_phase_start *start_of(quic_key_phases *p, uint32_t path) {
    quic_phase_start *start = &p->starts[path % KEY_PHASE_PATHS];
    if (start->path != path)
        *start = (quic_phase_start){.path = path, .current = QUIC_PN_NONE, .next = QUIC_PN_NONE};
    return start;
}

static const quic_keys *choose(const quic_key_phases *p, const quic_phase_start *start, bool phase, uint64_t pn) {
    if (phase == p->phase)
        return &p->read;
    // QUIC_PN_NONE is above all numbers.
    bool earlier = pn < start->current;
    return earlier && quic_keys_present(&p->read_previous) ? &p->read_previous : &p->read_next;
}

int quic_key_phases_open(quic_key_phases *p, uint8_t *packet, size_t len, size_t pn_offset, size_t pn_size,
                         uint32_t path, uint64_t pn, bool *new_phase) {
    quic_phase_start *start = start_of(p, path);
    const quic_keys *k = choose(p, start, (packet[0] & KEY_PHASE_BIT) != 0, pn);
    *new_phase = false;
    if (!quic_keys_present(k))
        return IROH_ERR_CRYPTO;
    int r = quic_packet_open(k, packet, len, pn_offset, pn_size, path, pn);
    if (r < 0 || k == &p->read_previous)
        return r;
    if (k == &p->read_next) {
        // A later phase cannot begin before the current one did.
        if (start->current != QUIC_PN_NONE && pn < start->current)
            return IROH_ERR_CRYPTO;
        start->next = pn;
        *new_phase = true;
    } else if (pn < start->current) {
        start->current = pn;
    }
    return r;
}
