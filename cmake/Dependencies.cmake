# Everything that the library needs comes from the distribution, through pkg-config.
set(IROH_REQUIRES gnutls nettle libsodium libuv libidn2 sqlite3 libcurl)
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(IROH_DEPS REQUIRED IMPORTED_TARGET ${IROH_REQUIRES})
# Optional, and for libiroh.a alone, which has the relay server: it signs with the keys of certificates in half the time
# that GnuTLS takes (src/crypto/signer.h).
pkg_check_modules(LIBCRYPTO IMPORTED_TARGET libcrypto>=3.0)
if(LIBCRYPTO_FOUND)
    set(IROH_STATIC_REQUIRES libcrypto)
    set(IROH_SIGNER openssl)
else()
    set(IROH_SIGNER gnutls)
endif()
if(IROH_BUILD_TESTS)
    pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
    pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
endif()
