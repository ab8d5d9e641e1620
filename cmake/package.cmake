# The Debian package: `cpack -G DEB` in a build folder of the release preset. What it does on a machine stands in cmake/package/.
configure_file(${PROJECT_SOURCE_DIR}/cmake/package/guard.conf.in ${PROJECT_BINARY_DIR}/guard.conf @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/guard.conf cmake/package/options.conf cmake/package/policy.conf
        DESTINATION ${CMAKE_INSTALL_DATADIR}/mosquitto-guard)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME mosquitto-guard)
set(CPACK_PACKAGE_VENDOR "Mosquitto Guard")
set(CPACK_PACKAGE_CONTACT "Mosquitto Guard <mosquitto-guard@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "authentication, authorization and audit for the Mosquitto broker")
set(CPACK_PACKAGE_DESCRIPTION "A plugin for the Eclipse Mosquitto MQTT broker that decides who may connect
(token, certificate, password), what each client may publish and receive,
and writes down every decision; and guardctl, its tool.
Installing it does not enable it.")
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "mosquitto (>= 2.0.11)")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "libmaxminddb0, redis-server, bash-completion")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA "")
foreach(script postinst prerm postrm conffiles)
  list(APPEND CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/cmake/package/${script})
endforeach()
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/package/stage.cmake)
set(CPACK_GUARD_SOURCE ${PROJECT_SOURCE_DIR})
include(CPack)
