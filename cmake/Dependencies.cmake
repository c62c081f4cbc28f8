# Everything that the library needs comes from the distribution, through pkg-config.
set(IROH_REQUIRES gnutls nettle libsodium libuv libidn2 sqlite3 libcurl)
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(IROH_DEPS REQUIRED IMPORTED_TARGET ${IROH_REQUIRES})
if(IROH_BUILD_TESTS)
    pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
    pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
endif()
