# The official BLAKE3 C sources with their SIMD assembly, as Debian ships them inside librust-blake3-dev.
file(GLOB LMCACHE_BLAKE3_DIRS /usr/share/cargo/registry/blake3-*/c)
find_path(LMCACHE_BLAKE3_DIR blake3.h HINTS ${LMCACHE_BLAKE3_DIRS} NO_DEFAULT_PATH)
if(NOT LMCACHE_BLAKE3_DIR)
  message(FATAL_ERROR "BLAKE3's C sources are missing: apt-get install librust-blake3-dev, or set LMCACHE_BLAKE3_DIR")
endif()
set(b3 ${LMCACHE_BLAKE3_DIR})
add_library(lmcache_blake3 STATIC ${b3}/blake3.c ${b3}/blake3_dispatch.c ${b3}/blake3_portable.c)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_sources(lmcache_blake3 PRIVATE
    ${b3}/blake3_sse2_x86-64_unix.S ${b3}/blake3_sse41_x86-64_unix.S
    ${b3}/blake3_avx2_x86-64_unix.S ${b3}/blake3_avx512_x86-64_unix.S)
endif()
target_include_directories(lmcache_blake3 SYSTEM PUBLIC ${b3})
target_compile_options(lmcache_blake3 PRIVATE $<$<COMPILE_LANGUAGE:C>:-O2>)
