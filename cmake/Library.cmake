# libiroh.a has everything; tests and benches link it and may look inside (iroh_inside). Of the shared libraries,
# libiroh.so connects, and each protocol on top has one of its own, so that nobody carries what he does not use.
set(IROH_LEAVES base crypto id)  # folders that a protocol on top may look into; it gets a copy of what it takes
set(IROH_PROTOCOLS blobs)        # folders that become libiroh-NAME.so
file(GLOB IROH_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/*/*.c ${PROJECT_SOURCE_DIR}/src/*/*/*.c)
# src/sys has a folder for each kind of OS; one of them is built.
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    set(IROH_OS linux)
else()
    set(IROH_OS posix)
endif()
file(GLOB IROH_OS_SOURCES CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/sys/${IROH_OS}/*.c)
list(FILTER IROH_SOURCES EXCLUDE REGEX "/src/sys/[^/]+/")
list(APPEND IROH_SOURCES ${IROH_OS_SOURCES})
# One of the two that sign with the keys of certificates.
list(FILTER IROH_SOURCES EXCLUDE REGEX "/crypto/signer_(openssl|gnutls)\\.c$")
list(APPEND IROH_SOURCES ${PROJECT_SOURCE_DIR}/src/crypto/signer_${IROH_SIGNER}.c)
# BLAKE3 has a file with a table of variants for each kind of processor, and files whose flags follow from their names.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    list(FILTER IROH_SOURCES EXCLUDE REGEX "/blake3_(arm|plain)[^/]*$")
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
    list(FILTER IROH_SOURCES EXCLUDE REGEX "/blake3_(x86|plain)[^/]*$")
else()
    list(FILTER IROH_SOURCES EXCLUDE REGEX "/blake3_(x86|arm)[^/]*$")
endif()
# In every build type: the kernels must be unrolled, and GCC's scheduling after register allocation makes them slower.
set(kernel_options -O3)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    list(APPEND kernel_options -fno-schedule-insns2)
else()
    # Clang counts assembly among the strings that plain C bounds.
    list(APPEND kernel_options -Wno-overlength-strings)
endif()
# AddressSanitizer's stand-in for the stack does not keep the alignment of wide registers.
if(IROH_SANITIZE)
    list(APPEND kernel_options -fno-sanitize=address)
endif()
foreach(row "sse41 -msse4.1" "avx2 -mavx2" "avx512 -mavx512f -mavx512vl" "neon")
    separate_arguments(row)
    list(POP_FRONT row name)
    set(kernels ${IROH_SOURCES})
    list(FILTER kernels INCLUDE REGEX "/blake3_[^/]*_${name}[^/]*$")
    set_source_files_properties(${kernels} PROPERTIES COMPILE_OPTIONS "${kernel_options};${row}")
endforeach()
file(GLOB IROH_HEADERS CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/iroh/*.h)

# iroh_objects_NAME: those of the folders in ARGN.
function(iroh_add_objects name)
    list(JOIN ARGN "|" folders)
    set(sources ${IROH_SOURCES})
    list(FILTER sources INCLUDE REGEX "/src/(${folders})/")
    add_library(iroh_objects_${name} OBJECT ${sources})
    target_include_directories(iroh_objects_${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
    target_link_libraries(iroh_objects_${name} PRIVATE PkgConfig::IROH_DEPS Threads::Threads)
    # Shown, but no error: which conversions they see differs between compilers and their versions.
    target_compile_options(iroh_objects_${name} PRIVATE -Wpedantic -Wconversion -Wno-error=pedantic -Wno-error=conversion)
endfunction()

# A library of the objects of the parts in ARGN.
function(iroh_add_library target kind output)
    list(TRANSFORM ARGN REPLACE "(.+)" "$<TARGET_OBJECTS:iroh_objects_\\1>" OUTPUT_VARIABLE objects)
    add_library(${target} ${kind} ${objects})
    set_target_properties(${target} PROPERTIES OUTPUT_NAME ${output})
    target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                                $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    if(kind STREQUAL "SHARED")
        set_target_properties(${target} PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0)
    endif()
endfunction()

file(GLOB folders CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/src/*)
list(REMOVE_ITEM folders ${IROH_LEAVES} ${IROH_PROTOCOLS})
iroh_add_objects(leaves ${IROH_LEAVES})
iroh_add_objects(core ${folders})
foreach(protocol ${IROH_PROTOCOLS})
    iroh_add_objects(${protocol} ${protocol})
endforeach()
set_source_files_properties(${PROJECT_SOURCE_DIR}/src/base/version.c
                            PROPERTIES COMPILE_DEFINITIONS IROH_VERSION="${PROJECT_VERSION}")

iroh_add_library(iroh_static STATIC iroh leaves core ${IROH_PROTOCOLS})
iroh_add_library(iroh_shared SHARED iroh leaves core)
foreach(library iroh_static iroh_shared)
    target_link_libraries(${library} PRIVATE PkgConfig::IROH_DEPS Threads::Threads)
endforeach()
if(LIBCRYPTO_FOUND)
    target_link_libraries(iroh_static PRIVATE PkgConfig::LIBCRYPTO)
endif()

# What a protocol takes from the leaves is linked after libiroh.so, which has their public part, and stays hidden. It
# cannot take anything else: undefined names are errors.
iroh_add_library(iroh_leaves STATIC iroh-leaves leaves)
foreach(protocol ${IROH_PROTOCOLS})
    iroh_add_library(iroh_${protocol}_shared SHARED iroh-${protocol} ${protocol})
    target_link_libraries(iroh_${protocol}_shared PUBLIC iroh_shared
                          PRIVATE iroh_leaves PkgConfig::IROH_DEPS Threads::Threads)
    target_link_options(iroh_${protocol}_shared PRIVATE -Wl,--exclude-libs,ALL)
    if(NOT IROH_SANITIZE AND NOT IROH_BUILD_FUZZERS)  # what they need comes with the program
        target_link_options(iroh_${protocol}_shared PRIVATE -Wl,--no-undefined)
    endif()
endforeach()

add_library(iroh_inside INTERFACE)
target_include_directories(iroh_inside INTERFACE ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(iroh_inside INTERFACE iroh_static PkgConfig::IROH_DEPS Threads::Threads)
