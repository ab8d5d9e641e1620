# Compiler flags of every target of the project, carried by one interface target.
add_library(guard_flags INTERFACE)
target_compile_options(guard_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
  -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wformat=2 -Wvla -Wnull-dereference
  -fvisibility=hidden -fno-plt -fno-common -fstack-protector-strong)
target_compile_definitions(guard_flags INTERFACE _GNU_SOURCE GUARD_VERSION="${PROJECT_VERSION}")
if(GUARD_WERROR)
  # what a later release of a library calls old stays in use as long as the oldest release has nothing else
  target_compile_options(guard_flags INTERFACE -Werror -Wno-error=cpp -Wno-error=deprecated-declarations)
endif()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64")
  target_compile_options(guard_flags INTERFACE -fcf-protection=full)
endif()
if(GUARD_SANITIZE)
  # instrumented code hides from gcc which values a variable can have, and so it warns of truncations that cannot happen
  target_compile_options(guard_flags INTERFACE -fsanitize=${GUARD_SANITIZE} -fno-omit-frame-pointer -Wno-format-truncation)
  target_link_options(guard_flags INTERFACE -fsanitize=${GUARD_SANITIZE})
  if(GUARD_SANITIZE MATCHES "undefined")
    target_compile_options(guard_flags INTERFACE -fno-sanitize-recover=undefined)
  endif()
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  # fortify needs optimisation, and hides bugs from the sanitizers
  target_compile_options(guard_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()
if(GUARD_FUZZ)
  target_compile_options(guard_flags INTERFACE -fsanitize=fuzzer-no-link) # coverage of our own code, without libFuzzer's main
endif()
if(GUARD_LTO)
  # fat objects: what is shipped is linked with it (guard_lto), the many test programs link as usual, and quickly
  target_compile_options(guard_flags INTERFACE -flto=auto -ffat-lto-objects)
endif()
target_link_options(guard_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,--as-needed)

# guard_library(NAME [third-party or guard libraries it may use])
#   one static library of a folder's *.c. Headers are included as "folder/file.h"; which folders a target may include from
#   is what tests/guards/layers.py checks.
function(guard_library name)
  file(GLOB sources CONFIGURE_DEPENDS *.c)
  add_library(${name} STATIC ${sources})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_libraries(${name} PRIVATE guard_flags PUBLIC ${ARGN})
endfunction()

# guard_lto(TARGET): links it with link-time optimisation where the preset asks for that.
function(guard_lto target)
  if(GUARD_LTO)
    target_link_options(${target} PRIVATE -flto=auto)
  endif()
endfunction()
