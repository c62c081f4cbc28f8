# How everything is compiled: C11, no warnings, hidden symbols, hardening; and how fast: the build types, LTO, ccache.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
set(CMAKE_C_FLAGS_RELEASE "-O2 -g -DNDEBUG")
set(CMAKE_C_FLAGS_DEBUG "-Og -g")

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release)
endif()

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_C_COMPILER_LAUNCHER)
    set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

include(CheckPIESupported)
check_pie_supported(LANGUAGES C)

add_compile_options(-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings
                    -Wvla -Wno-missing-field-initializers)
if(IROH_WERROR)
    add_compile_options(-Werror)
endif()
# Shown, but no errors: warnings that follow the flow of values, which each version of GCC sees differently. A waiter on
# the stack may be in a list until it is taken out again; that is always taken for an escape.
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-error=stringop-overflow -Wno-error=array-bounds -Wno-error=maybe-uninitialized)
    if(CMAKE_C_COMPILER_VERSION VERSION_GREATER_EQUAL 12)
        add_compile_options(-Wno-error=stringop-overread -Wno-dangling-pointer)
    endif()
endif()
add_compile_options(-fno-plt -fno-common -fstack-protector-strong -ffunction-sections -fdata-sections)
add_link_options(-Wl,--gc-sections -Wl,-z,relro -Wl,-z,now -Wl,--as-needed)

if(IROH_SANITIZE)
    add_compile_options(-fsanitize=${IROH_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${IROH_SANITIZE})
endif()
if(IROH_BUILD_FUZZERS)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()

if(CMAKE_BUILD_TYPE STREQUAL "Debug")
    # At -Og GCC sees too little of the flow for this warning to be right.
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
        add_compile_options(-Wno-maybe-uninitialized)
    endif()
else()
    add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()

# The objects also hold plain code, so that libiroh.a is of use to a compiler of another version or kind.
if(IROH_LTO AND CMAKE_BUILD_TYPE STREQUAL "Release" AND CMAKE_C_COMPILER_ID STREQUAL "GNU" AND NOT IROH_SANITIZE)
    add_compile_options(-flto=auto -ffat-lto-objects)
    add_link_options(-flto=auto)
    set(CMAKE_AR ${CMAKE_C_COMPILER_AR})
    set(CMAKE_RANLIB ${CMAKE_C_COMPILER_RANLIB})
endif()
