# The manual pages, from what guardctl says of itself and from the option list. Only where it is the guardctl that is installed.
if(NOT GUARD_SANITIZE)
  set(pages "")
  foreach(page guardctl.1 mosquitto_guard.5)
    set(out ${PROJECT_BINARY_DIR}/${page}.gz)
    add_custom_command(OUTPUT ${out}
      COMMAND ${PROJECT_SOURCE_DIR}/docs/man/make.sh ${PROJECT_SOURCE_DIR}/docs/man/${page}.in $<TARGET_FILE:guardctl>
              VERSION=${PROJECT_VERSION} DOCDIR=${CMAKE_INSTALL_FULL_DOCDIR} DATADIR=${CMAKE_INSTALL_FULL_DATADIR}/mosquitto-guard
              PLUGIN=${CMAKE_INSTALL_FULL_LIBDIR}/mosquitto-guard/mosquitto_guard.so > ${PROJECT_BINARY_DIR}/${page}
      COMMAND gzip -9nf ${PROJECT_BINARY_DIR}/${page}
      DEPENDS guardctl docs/man/make.sh docs/man/${page}.in docs/configuration.md VERBATIM)
    string(REGEX REPLACE ".*\\." "" section ${page})
    install(FILES ${out} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
    list(APPEND pages ${out})
  endforeach()
  add_custom_target(manpages ALL DEPENDS ${pages})
endif()
