// Certificates for tests of TLS: self-signed, for localhost, valid for an hour.
#ifndef UNIT_CERTIFICATE_SUPPORT_H
#define UNIT_CERTIFICATE_SUPPORT_H

#include <stdbool.h>

typedef struct test_certificate {
    char *chain, *key;  // PEM
} test_certificate;

// One of ECDSA for the life of the program, made at first use; by one thread.
const test_certificate *test_certificate_get(void);

// A new one, with a new key: RSA of 2048 bits, or ECDSA over P-256. To be freed.
test_certificate test_certificate_new(bool rsa);
void test_certificate_free(test_certificate *c);

#endif
