# ctest labels: unit, sim, layers, fuzz (the corpora, replayed), interop. Each program prints a line for each case,
# which ./test.sh counts.
set(sanitizer_options
    "ASAN_OPTIONS=strict_string_checks=1:detect_stack_use_after_return=1"
    "UBSAN_OPTIONS=print_stacktrace=1")

function(iroh_register name label timeout)
    add_test(NAME ${name} COMMAND ${ARGN} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT ${timeout} ENVIRONMENT "${sanitizer_options}")
endfunction()

# The corpus of x_fuzz.c is the folder corpus/x; a target without one still gets the empty input. Files x_*.c that are no
# targets belong to it.
function(iroh_add_fuzz_targets)
    file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/fuzz/*_fuzz.c)
    foreach(source ${sources})
        cmake_path(GET source STEM name)
        string(REGEX REPLACE "_fuzz$" "" stem ${name})
        file(GLOB parts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/fuzz/${stem}_*.c)
        list(FILTER parts EXCLUDE REGEX "_fuzz\\.c$")
        add_executable(${name} ${source} ${parts})
        target_link_libraries(${name} PRIVATE sim_support)
        # Stands between the server and the web server that it asks. What is inlined or bound at link time cannot be wrapped.
        if(stem STREQUAL "relay_conn")
            target_link_options(${name} PRIVATE -Wl,--wrap=callback_ask -fno-lto)
        endif()
        if(IROH_BUILD_FUZZERS)
            target_link_options(${name} PRIVATE -fsanitize=fuzzer)
        else()
            target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/fuzz/standalone_main.c)
            iroh_register(${name} fuzz 120 $<TARGET_FILE:${name}> ${PROJECT_SOURCE_DIR}/fuzz/corpus/${stem})
        endif()
    endforeach()
endfunction()

# What several unit tests share: tests/unit/*_support.c, linked into each of them.
function(iroh_add_unit_support)
    file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/unit/*_support.c)
    add_library(unit_support STATIC ${sources})
    target_include_directories(unit_support PUBLIC ${PROJECT_SOURCE_DIR}/tests)
    target_compile_definitions(unit_support PUBLIC IROH_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
    target_link_libraries(unit_support PUBLIC iroh_inside PkgConfig::CMOCKA PkgConfig::JANSSON)
endfunction()

function(iroh_add_unit_tests)
    iroh_add_unit_support()
    file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/unit/*_test.c)
    foreach(source ${sources})
        cmake_path(GET source STEM name)
        add_executable(${name} ${source})
        target_compile_definitions(${name} PRIVATE IROH_BIN_DIR="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
        target_link_libraries(${name} PRIVATE unit_support)
        # A test of whole connections (conn_*, multipath_*) runs them in the simulator.
        if(name MATCHES "^(conn|multipath)_")
            target_link_libraries(${name} PRIVATE sim_support)
        endif()
        # A test named *_nomem_test.c stands between the library and the allocator, to make it fail.
        if(name MATCHES "_nomem_test$")
            target_link_options(${name} PRIVATE -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)
        endif()
        # A test named *_wipe_test.c looks into memory that is given back.
        if(name MATCHES "_wipe_test$")
            target_link_options(${name} PRIVATE -Wl,--wrap=free)
        endif()
        iroh_register(${name} unit 300 $<TARGET_FILE:${name}>)
    endforeach()
endfunction()

# The simulator: worlds of endpoints for its own scenarios (sim_test) and for fuzz targets.
function(iroh_add_sim_support)
    file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/sim/*.c)
    list(FILTER sources EXCLUDE REGEX "_test\\.c$")
    add_library(sim_support STATIC ${sources})
    target_include_directories(sim_support PUBLIC ${PROJECT_SOURCE_DIR}/tests)
    target_link_libraries(sim_support PUBLIC iroh_inside)
endfunction()

function(iroh_add_sim)
    add_executable(sim_test ${PROJECT_SOURCE_DIR}/tests/sim/sim_test.c)
    target_link_libraries(sim_test PRIVATE sim_support)
    iroh_register(sim_test sim 900 $<TARGET_FILE:sim_test>)
endfunction()

if(IROH_BUILD_TESTS OR IROH_BUILD_FUZZERS)
    iroh_add_sim_support()
endif()
if(IROH_BUILD_FUZZERS)
    iroh_add_fuzz_targets()
endif()
if(IROH_BUILD_TESTS)
    enable_testing()
    find_package(Python3 COMPONENTS Interpreter)
    iroh_add_unit_tests()
    iroh_add_sim()
    iroh_add_fuzz_targets()
    if(Python3_Interpreter_FOUND)
        if(EXISTS ${PROJECT_SOURCE_DIR}/tests/layers/check.py)
            iroh_register(layers layers 60 ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tests/layers/check.py)
        endif()
        iroh_register(tally layers 60 ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tests/tally_check.py)
        if(IROH_BUILD_APPS)
            iroh_register(install unit 300 ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tests/install/check.py
                          ${PROJECT_BINARY_DIR} ${IROH_SANITIZE})
        endif()
        if(TARGET interop_peer)
            iroh_register(interop interop 1500 ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tests/interop/run --ours
                          $<TARGET_FILE:interop_peer>)
        endif()
        if(TARGET iroh-relay)
            iroh_register(interop_relay interop 900 ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tests/interop/relay_server
                          --relay $<TARGET_FILE:iroh-relay>)
        endif()
    endif()
endif()
