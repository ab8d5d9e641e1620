# Third-party libraries. Each is used by one layer only (docs/architecture.md); pkg-config finds them on every Debian in use.
find_package(PkgConfig REQUIRED)
find_package(OpenSSL 3.0 REQUIRED COMPONENTS Crypto SSL)
find_package(Threads REQUIRED)
pkg_check_modules(CJSON REQUIRED IMPORTED_TARGET libcjson) # tests only: the judge that our own JSON reader is held against
pkg_check_modules(JWT REQUIRED IMPORTED_TARGET libjwt)
pkg_check_modules(HIREDIS REQUIRED IMPORTED_TARGET hiredis)
pkg_check_modules(ARGON2 IMPORTED_TARGET libargon2) # optional: without it argon2id hashes are refused, with a clear reason
pkg_check_modules(MAXMINDDB libmaxminddb) # optional: its header only, the library is loaded when a country database is configured
pkg_check_modules(CRYPT REQUIRED IMPORTED_TARGET libcrypt)

find_path(MOSQUITTO_INCLUDE_DIR mosquitto_broker.h REQUIRED
          DOC "Folder of mosquitto_broker.h and mosquitto_plugin.h (package mosquitto-dev)")
