# One set of objects, two libraries. Tests and benches link the static one and may look inside (iroh_inside).
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

add_library(iroh_objects OBJECT ${IROH_SOURCES})
target_include_directories(iroh_objects PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
target_link_libraries(iroh_objects PRIVATE PkgConfig::IROH_DEPS Threads::Threads)
set_source_files_properties(${PROJECT_SOURCE_DIR}/src/base/version.c
                            PROPERTIES COMPILE_DEFINITIONS IROH_VERSION="${PROJECT_VERSION}")
# Shown, but no error: which conversions they see differs between compilers and their versions.
target_compile_options(iroh_objects PRIVATE -Wpedantic -Wconversion -Wno-error=pedantic -Wno-error=conversion)

add_library(iroh_static STATIC $<TARGET_OBJECTS:iroh_objects>)
add_library(iroh_shared SHARED $<TARGET_OBJECTS:iroh_objects>)
foreach(library iroh_static iroh_shared)
    set_target_properties(${library} PROPERTIES OUTPUT_NAME iroh)
    target_include_directories(${library} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                                 $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    target_link_libraries(${library} PRIVATE PkgConfig::IROH_DEPS Threads::Threads)
endforeach()
set_target_properties(iroh_shared PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION 0)

add_library(iroh_inside INTERFACE)
target_include_directories(iroh_inside INTERFACE ${PROJECT_SOURCE_DIR}/src)
target_link_libraries(iroh_inside INTERFACE iroh_static PkgConfig::IROH_DEPS Threads::Threads)
