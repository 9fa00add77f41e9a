# The client library for programs outside this tree: find_package(eagre) and the target eagre::client.
#
# One archive holds wire/base, wire/frame, wire/identity, wire/tls, wire/feeds/spec and wire/client. An archive of LTO objects can be linked by the one compiler version
# that made it, so where LTO is on these sources are compiled a second time without it; elsewhere the objects are shared.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(PARTS wire_base wire_frame wire_identity wire_tls wire_feeds_spec wire_client)
# What client.h and control_client.h include, themselves included; tests/package compiles each as installed.
set(PUBLIC_HEADERS
    wire/base/errc.h wire/base/histogram.h wire/base/limits.h wire/base/result.h wire/base/types.h
    wire/frame/batch.h wire/frame/frame.h
    wire/identity/crypto.h wire/identity/secret.h wire/feeds/spec/feed_spec.h
    wire/client/client.h wire/client/control_client.h wire/client/fetcher.h wire/client/group_consumer.h wire/client/transport.h)

if(EAGRE_LTO)
    set(SOURCES)
    foreach(PART ${PARTS})
        get_target_property(PART_SOURCES ${PART} SOURCES)
        list(APPEND SOURCES ${PART_SOURCES})
    endforeach()
    add_library(eagre_client STATIC ${SOURCES})
    add_dependencies(eagre_client wire_schema_generate)
    target_compile_options(eagre_client PRIVATE -fno-exceptions -fno-rtti)
    set_target_properties(eagre_client PROPERTIES INTERPROCEDURAL_OPTIMIZATION OFF)
else()
    set(OBJECTS ${PARTS})
    list(TRANSFORM OBJECTS REPLACE "(.+)" "$<TARGET_OBJECTS:\\1>")
    add_library(eagre_client STATIC ${OBJECTS})
    set_target_properties(eagre_client PROPERTIES LINKER_LANGUAGE CXX)
endif()
# Our warnings and our choice of processor are not the business of others: nothing of eagre_flags is exported.
target_link_libraries(eagre_client PRIVATE $<BUILD_INTERFACE:eagre_flags>)
target_compile_features(eagre_client INTERFACE cxx_std_20)
target_include_directories(eagre_client INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/eagre>)
target_link_libraries(eagre_client INTERFACE
    $<INSTALL_INTERFACE:OpenSSL::SSL> $<INSTALL_INTERFACE:OpenSSL::Crypto> $<INSTALL_INTERFACE:Threads::Threads> $<INSTALL_INTERFACE:tl::expected>)
set_target_properties(eagre_client PROPERTIES EXPORT_NAME client)

set(CONFIG_FOLDER ${CMAKE_INSTALL_LIBDIR}/cmake/eagre)
install(TARGETS eagre_client EXPORT eagre ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT client)
install(EXPORT eagre NAMESPACE eagre:: DESTINATION ${CONFIG_FOLDER} FILE eagre-targets.cmake COMPONENT client)
foreach(HEADER ${PUBLIC_HEADERS})
    get_filename_component(FOLDER ${HEADER} DIRECTORY)
    install(FILES ${CMAKE_SOURCE_DIR}/${HEADER} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/eagre/${FOLDER} COMPONENT client)
endforeach()
set(PACKAGE_OUT ${CMAKE_BINARY_DIR}/package)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/eagre-config.cmake.in ${PACKAGE_OUT}/eagre-config.cmake
    INSTALL_DESTINATION ${CONFIG_FOLDER} NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file(${PACKAGE_OUT}/eagre-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PACKAGE_OUT}/eagre-config.cmake ${PACKAGE_OUT}/eagre-config-version.cmake
    DESTINATION ${CONFIG_FOLDER} COMPONENT client)
# The same for builds that ask pkg-config: `pkg-config --static --cflags --libs eagre-client`.
file(RELATIVE_PATH PREFIX_FROM_PKGCONFIG /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${CMAKE_CURRENT_LIST_DIR}/eagre-client.pc.in ${PACKAGE_OUT}/eagre-client.pc @ONLY)
install(FILES ${PACKAGE_OUT}/eagre-client.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT client)
