# The libraries, the headers, the programs, and the two ways to find them: pkg-config and find_package(iroh).
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/iroh)

set_target_properties(iroh_shared PROPERTIES EXPORT_NAME iroh)
set_target_properties(iroh_static PROPERTIES EXPORT_NAME static)
install(TARGETS iroh_shared iroh_static EXPORT iroh-targets)
foreach(protocol ${IROH_PROTOCOLS})
    set_target_properties(iroh_${protocol}_shared PROPERTIES EXPORT_NAME ${protocol})
    install(TARGETS iroh_${protocol}_shared EXPORT iroh-targets)
endforeach()
install(FILES ${IROH_HEADERS} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/iroh)
if(IROH_PROGRAMS)
    install(TARGETS ${IROH_PROGRAMS})
endif()
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE-MIT ${PROJECT_SOURCE_DIR}/LICENSE-APACHE
        DESTINATION ${CMAKE_INSTALL_DOCDIR})

list(JOIN IROH_REQUIRES " " IROH_CONFIG_REQUIRES)
set(IROH_PC_REQUIRES "${IROH_CONFIG_REQUIRES} ${IROH_STATIC_REQUIRES}")
# Relative to itself, so that it is right wherever `cmake --install --prefix` puts it.
file(RELATIVE_PATH IROH_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/$" "" IROH_PC_PREFIX ${IROH_PC_PREFIX})
configure_file(${PROJECT_SOURCE_DIR}/cmake/iroh.pc.in ${PROJECT_BINARY_DIR}/iroh.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/iroh.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
foreach(protocol ${IROH_PROTOCOLS})
    configure_file(${PROJECT_SOURCE_DIR}/cmake/iroh-protocol.pc.in ${PROJECT_BINARY_DIR}/iroh-${protocol}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/iroh-${protocol}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()

install(EXPORT iroh-targets NAMESPACE iroh:: DESTINATION ${package_dir})
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/iroh-config.cmake.in ${PROJECT_BINARY_DIR}/iroh-config.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/iroh-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/iroh-config.cmake ${PROJECT_BINARY_DIR}/iroh-config-version.cmake
        DESTINATION ${package_dir})
