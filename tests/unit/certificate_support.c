#include "unit/certificate_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <gnutls/x509.h>

#define HOUR 3600  // s

static gnutls_x509_crt_t sign(gnutls_x509_privkey_t key) {
    static unsigned char serial = 0;
    gnutls_x509_crt_t c;
    serial++;
    assert_int_equal(gnutls_x509_crt_init(&c), 0);
    assert_int_equal(gnutls_x509_crt_set_version(c, 3), 0);
    assert_int_equal(gnutls_x509_crt_set_serial(c, &serial, 1), 0);
    assert_int_equal(gnutls_x509_crt_set_activation_time(c, time(NULL) - HOUR), 0);
    assert_int_equal(gnutls_x509_crt_set_expiration_time(c, time(NULL) + HOUR), 0);
    assert_int_equal(gnutls_x509_crt_set_dn(c, "CN=localhost", NULL), 0);
    assert_int_equal(gnutls_x509_crt_set_issuer_dn(c, "CN=localhost", NULL), 0);
    assert_int_equal(gnutls_x509_crt_set_subject_alt_name(c, GNUTLS_SAN_DNSNAME, "localhost", 9, 0), 0);
    assert_int_equal(gnutls_x509_crt_set_basic_constraints(c, 1, -1), 0);
    assert_int_equal(gnutls_x509_crt_set_key(c, key), 0);
    assert_int_equal(gnutls_x509_crt_sign2(c, c, key, GNUTLS_DIG_SHA256, 0), 0);
    return c;
}

static char *text_of(gnutls_datum_t *pem) {
    char *text = malloc(pem->size + 1);
    assert_non_null(text);
    memcpy(text, pem->data, pem->size);
    text[pem->size] = '\0';
    gnutls_free(pem->data);
    return text;
}

test_certificate test_certificate_new(bool rsa) {
    gnutls_x509_privkey_t key;
    gnutls_datum_t pem = {0};
    test_certificate out;
    unsigned bits = rsa ? 2048 : (unsigned)GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1);
    assert_int_equal(gnutls_x509_privkey_init(&key), 0);
    assert_int_equal(gnutls_x509_privkey_generate(key, rsa ? GNUTLS_PK_RSA : GNUTLS_PK_ECDSA, bits, 0), 0);
    gnutls_x509_crt_t c = sign(key);
    assert_int_equal(gnutls_x509_crt_export2(c, GNUTLS_X509_FMT_PEM, &pem), 0);
    out.chain = text_of(&pem);
    assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem), 0);
    out.key = text_of(&pem);
    gnutls_x509_crt_deinit(c);
    gnutls_x509_privkey_deinit(key);
    return out;
}

void test_certificate_free(test_certificate *c) {
    free(c->chain);
    free(c->key);
}

const test_certificate *test_certificate_get(void) {
    static test_certificate one;
    if (one.chain == NULL)
        one = test_certificate_new(false);
    return &one;
}
