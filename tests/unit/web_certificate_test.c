// Certificates of every kind serve, and each hello is answered by whom it should be: our own handshake or the library.
#include "tls/web_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "tls/web_state.h"

static gnutls_x509_crt_t self_signed(gnutls_x509_privkey_t key, size_t padding) {
    gnutls_x509_crt_t c;
    assert_int_equal(gnutls_x509_crt_init(&c), 0);
    assert_int_equal(gnutls_x509_crt_set_version(c, 3), 0);
    assert_int_equal(gnutls_x509_crt_set_serial(c, "\x01", 1), 0);
    assert_int_equal(gnutls_x509_crt_set_activation_time(c, time(NULL) - 3600), 0);
    assert_int_equal(gnutls_x509_crt_set_expiration_time(c, time(NULL) + 3600), 0);
    assert_int_equal(gnutls_x509_crt_set_dn(c, "CN=localhost", NULL), 0);
    assert_int_equal(gnutls_x509_crt_set_key(c, key), 0);
    if (padding > 0) {
        uint8_t *bytes = calloc(1, padding);
        assert_non_null(bytes);
        assert_int_equal(gnutls_x509_crt_set_extension_by_oid(c, "1.3.6.1.4.1.99999.1", bytes, padding, 0), 0);
        free(bytes);
    }
    bool edwards = gnutls_x509_privkey_get_pk_algorithm(key) == GNUTLS_PK_EDDSA_ED25519;
    assert_int_equal(gnutls_x509_crt_sign2(c, c, key, edwards ? GNUTLS_DIG_SHA512 : GNUTLS_DIG_SHA256, 0), 0);
    return c;
}

static web_certificate *certificate_of(gnutls_pk_algorithm_t kind, unsigned bits, size_t padding) {
    gnutls_x509_privkey_t key;
    gnutls_datum_t chain, secret;
    web_certificate *out = NULL;
    assert_int_equal(gnutls_x509_privkey_init(&key), 0);
    assert_int_equal(gnutls_x509_privkey_generate(key, kind, bits, 0), 0);
    gnutls_x509_crt_t c = self_signed(key, padding);
    assert_int_equal(gnutls_x509_crt_export2(c, GNUTLS_X509_FMT_PEM, &chain), 0);
    assert_int_equal(gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &secret), 0);
    assert_int_equal(web_certificate_new(chain.data, chain.size, secret.data, secret.size, &out), 0);
    gnutls_free(chain.data);
    gnutls_free(secret.data);
    gnutls_x509_crt_deinit(c);
    gnutls_x509_privkey_deinit(key);
    return out;
}

// A client of GnuTLS that gives and takes bytes.
typedef struct guest {
    gnutls_session_t tls;
    gnutls_certificate_credentials_t credentials;
    uint8_t in[131072], out[16384];
    size_t in_at, in_len, out_len;
} guest;

static ssize_t guest_pull(gnutls_transport_ptr_t user, void *out, size_t room) {
    guest *g = user;
    size_t n = g->in_len - g->in_at < room ? g->in_len - g->in_at : room;
    if (n == 0) {
        gnutls_transport_set_errno(g->tls, 11);  // come again
        return -1;
    }
    memcpy(out, g->in + g->in_at, n);
    g->in_at += n;
    return (ssize_t)n;
}

static ssize_t guest_push(gnutls_transport_ptr_t user, const void *bytes, size_t len) {
    guest *g = user;
    assert_true(g->out_len + len <= sizeof g->out);
    memcpy(g->out + g->out_len, bytes, len);
    g->out_len += len;
    return (ssize_t)len;
}

static guest *guest_new(const char *priorities, unsigned flags) {
    guest *g = calloc(1, sizeof *g);
    assert_non_null(g);
    assert_int_equal(gnutls_init(&g->tls, GNUTLS_CLIENT | GNUTLS_NONBLOCK | flags), 0);
    assert_int_equal(gnutls_priority_set_direct(g->tls, priorities, NULL), 0);
    assert_int_equal(gnutls_certificate_allocate_credentials(&g->credentials), 0);
    assert_int_equal(gnutls_credentials_set(g->tls, GNUTLS_CRD_CERTIFICATE, g->credentials), 0);
    gnutls_handshake_set_max_packet_length(g->tls, 131072);
    gnutls_transport_set_ptr(g->tls, g);
    gnutls_transport_set_pull_function(g->tls, guest_pull);
    gnutls_transport_set_push_function(g->tls, guest_push);
    return g;
}

static void guest_free(guest *g) {
    gnutls_deinit(g->tls);
    gnutls_certificate_free_credentials(g->credentials);
    free(g);
}

// A whole handshake, which must succeed, with the client's bytes in pieces. Who served it: WEB_FINISHED or WEB_LIBRARY.
static int serve_with(web_certificate *c, const char *priorities, unsigned flags, size_t cut) {
    guest *g = guest_new(priorities, flags);
    web_handshake *h = NULL;
    int theirs = GNUTLS_E_AGAIN, ours = 0;
    assert_int_equal(web_handshake_new(c, &h), 0);
    for (int flight = 0; flight < 8 && (theirs != 0 || ours == 0); flight++) {
        if (theirs != 0)
            theirs = gnutls_handshake(g->tls);
        assert_true(theirs == 0 || theirs == GNUTLS_E_AGAIN);
        for (size_t at = 0; at < g->out_len && ours == 0; at += cut) {
            const uint8_t *bytes = g->out + at;
            size_t left = g->out_len - at < cut ? g->out_len - at : cut, len;
            ours = web_handshake_receive(h, &bytes, &left);
            assert_true(ours >= 0);
            const uint8_t *answer = web_handshake_output(h, &len);
            assert_true(g->in_len + len <= sizeof g->in);
            if (len > 0)
                memcpy(g->in + g->in_len, answer, len);
            g->in_len += len;
        }
        g->out_len = 0;
    }
    assert_true(theirs == 0 && ours == 1);
    uint8_t a[32], b[32];
    assert_int_equal(web_handshake_export(h, "EXPORTER-x", "y", 1, a, sizeof a), 0);
    assert_int_equal(gnutls_prf_rfc5705(g->tls, 10, "EXPORTER-x", 1, "y", sizeof b, (char *)b), 0);
    assert_memory_equal(a, b, sizeof a);
    int stage = h->stage;
    web_handshake_free(h);
    guest_free(g);
    return stage;
}

static int serve(web_certificate *c, const char *priorities, size_t cut) {
    return serve_with(c, priorities, 0, cut);
}

static const struct {
    gnutls_pk_algorithm_t kind;
    unsigned bits;
} kinds[] = {
    {GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1)},
    {GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1)},
    {GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP521R1)},
    {GNUTLS_PK_EDDSA_ED25519, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_ED25519)},
    {GNUTLS_PK_RSA, 2048},
};

static void keys_of_every_kind_sign(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        web_certificate *c = certificate_of(kinds[i].kind, kinds[i].bits, 0);
        assert_int_equal(serve(c, "NORMAL:-VERS-ALL:+VERS-TLS1.3", 1), WEB_FINISHED);
        assert_int_equal(serve(c, "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-256-GCM", 65536), WEB_FINISHED);
        web_certificate_unref(c);
    }
}

static void rsa_signs_with_each_hash(void **state) {
    (void)state;
    static const char *const hashes[] = {"SHA256", "SHA384", "SHA512"};
    web_certificate *c = certificate_of(GNUTLS_PK_RSA, 2048, 0);
    for (size_t i = 0; i < 3; i++) {
        char priorities[128] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:-SIGN-ALL:+SIGN-RSA-PSS-RSAE-";
        strcat(priorities, hashes[i]);
        assert_int_equal(serve(c, priorities, 65536), WEB_FINISHED);
    }
    web_certificate_unref(c);
}

static void keys_that_only_the_library_knows_serve_too(void **state) {
    (void)state;
    web_certificate *c = certificate_of(GNUTLS_PK_RSA_PSS, 2048, 0);
    assert_null(c->key);
    assert_int_equal(serve(c, "NORMAL", 65536), WEB_LIBRARY);
    web_certificate_unref(c);
}

// A certificate may fill several records, to the byte.
static void long_certificates_are_spread_over_records(void **state) {
    (void)state;
    static const size_t sizes[] = {15000, 16384, 40000, 60000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        web_certificate *c = certificate_of(GNUTLS_PK_ECDSA, kinds[0].bits, sizes[i]);
        assert_non_null(c->key);
        assert_int_equal(serve(c, "NORMAL", 65536), WEB_FINISHED);
        web_certificate_unref(c);
    }
}

static const struct {
    const char *priorities;
    unsigned flags;
} for_the_library[] = {
    {"NORMAL:-VERS-ALL:+VERS-TLS1.2", 0},
    {"NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-SECP256R1", 0},
    // A retry is needed.
    {"NORMAL:-VERS-ALL:+VERS-TLS1.3:-GROUP-ALL:+GROUP-FFDHE2048:+GROUP-X25519", GNUTLS_KEY_SHARE_TOP},
};

static void other_hellos_go_to_the_library(void **state) {
    (void)state;
    web_certificate *c = certificate_of(GNUTLS_PK_ECDSA, kinds[0].bits, 0);
    for (size_t i = 0; i < sizeof for_the_library / sizeof for_the_library[0]; i++) {
        for (size_t cut = 1; cut < 65536; cut += 65534)
            assert_int_equal(serve_with(c, for_the_library[i].priorities, for_the_library[i].flags, cut), WEB_LIBRARY);
    }
    assert_int_equal(serve(c, "NORMAL", 1), WEB_FINISHED);
    web_certificate_unref(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_every_kind_sign),
        cmocka_unit_test(rsa_signs_with_each_hash),
        cmocka_unit_test(keys_that_only_the_library_knows_serve_too),
        cmocka_unit_test(long_certificates_are_spread_over_records),
        cmocka_unit_test(other_hellos_go_to_the_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
