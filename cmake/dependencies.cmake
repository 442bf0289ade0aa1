# Third-party libraries. OpenSSL and Botan come from .deps (scripts/setup.sh); the rest are Debian packages.
set(DEPS ${CMAKE_SOURCE_DIR}/.deps)
foreach(library openssl botan)
  if(NOT EXISTS ${DEPS}/${library}/.complete)
    message(FATAL_ERROR ".deps/${library} is missing: run `make setup` first")
  endif()
endforeach()

add_library(ssl SHARED IMPORTED)
add_library(crypto SHARED IMPORTED)
file(REAL_PATH ${DEPS}/openssl OPENSSL_PREFIX)
set_target_properties(crypto PROPERTIES IMPORTED_LOCATION ${OPENSSL_PREFIX}/lib/libcrypto.so.3 INTERFACE_INCLUDE_DIRECTORIES ${OPENSSL_PREFIX}/include)
set_target_properties(ssl PROPERTIES IMPORTED_LOCATION ${OPENSSL_PREFIX}/lib/libssl.so.3 INTERFACE_INCLUDE_DIRECTORIES ${OPENSSL_PREFIX}/include)
target_link_libraries(ssl INTERFACE crypto)

file(REAL_PATH ${DEPS}/botan BOTAN_PREFIX)
add_library(botan STATIC IMPORTED)
set_target_properties(botan PROPERTIES IMPORTED_LOCATION ${BOTAN_PREFIX}/lib/libbotan-3.a INTERFACE_INCLUDE_DIRECTORIES ${BOTAN_PREFIX}/include/botan-3)

find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED COMPONENTS json)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(tomlplusplus REQUIRED)
find_package(SQLite3 REQUIRED)
# fmt 9's consteval format check does not compile with clang 19; the check at run time stays.
target_compile_definitions(fmt::fmt INTERFACE FMT_CONSTEVAL=)
# Declarations of PKCS#11 alone; modules are loaded at run time.
find_path(PKCS11_HEADERS p11-kit/pkcs11.h PATH_SUFFIXES p11-kit-1 REQUIRED)
add_library(pkcs11 INTERFACE)
target_include_directories(pkcs11 SYSTEM INTERFACE ${PKCS11_HEADERS})
target_link_libraries(pkcs11 INTERFACE ${CMAKE_DL_LIBS})
# libpq wants libssl.so.3: it gets ours, which every program names before it and finds by its run-time path (one OpenSSL in a process). Without CMake's own
# module, which asks for the server's headers.
find_path(PQ_HEADERS libpq-fe.h PATH_SUFFIXES postgresql REQUIRED)
find_library(PQ_LIBRARY pq REQUIRED)
add_library(pq INTERFACE)
target_include_directories(pq SYSTEM INTERFACE ${PQ_HEADERS})
target_link_libraries(pq INTERFACE ${PQ_LIBRARY})
