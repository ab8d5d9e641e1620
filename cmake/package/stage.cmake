# Run by cpack over the tree that it has installed: adds what belongs to a Debian package and not to `cmake --install`.
set(root ${CPACK_TEMPORARY_DIRECTORY})
set(doc ${root}/usr/share/doc/mosquitto-guard)
set(from ${CPACK_GUARD_SOURCE}/cmake/package)
file(COPY ${from}/options.conf DESTINATION ${root}/etc/mosquitto-guard FILE_PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
# it may come to hold password hashes
file(COPY ${from}/policy.conf DESTINATION ${root}/etc/mosquitto-guard FILE_PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ)
file(COPY ${from}/copyright DESTINATION ${doc} FILE_PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
file(REMOVE ${doc}/LICENSE)
# Debian's changelog has a form of its own and tells of packages; the time is SOURCE_DATE_EPOCH where that is set
string(TIMESTAMP time "%a, %d %b %Y %H:%M:%S +0000" UTC)
file(WRITE ${doc}/changelog "mosquitto-guard (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium

  * What is new stands in CHANGELOG.md.gz beside this file.

 -- ${CPACK_PACKAGE_CONTACT}  ${time}
")
execute_process(COMMAND gzip -9n ${doc}/changelog ${doc}/CHANGELOG.md COMMAND_ERROR_IS_FATAL ANY)
# the same modes whatever umask the package is made under
file(GLOB_RECURSE files LIST_DIRECTORIES true ${root}/usr/* ${root}/etc/*)
list(APPEND files ${root}/usr ${root}/etc)
foreach(file IN LISTS files)
  if(IS_DIRECTORY ${file})
    execute_process(COMMAND chmod 0755 ${file} COMMAND_ERROR_IS_FATAL ANY)
  elseif(file MATCHES "/usr/bin/")
    execute_process(COMMAND chmod 0755 ${file} COMMAND_ERROR_IS_FATAL ANY)
  elseif(NOT file MATCHES "/policy.conf$")
    execute_process(COMMAND chmod 0644 ${file} COMMAND_ERROR_IS_FATAL ANY)
  endif()
endforeach()
