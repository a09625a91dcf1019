# One place for what every target is compiled with.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

find_program(LMCACHE_CCACHE ccache)
if(LMCACHE_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${LMCACHE_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${LMCACHE_CCACHE})
endif()

# Precompiled standard headers save a fifth of a cold build, but ccache, which saves nearly all of a warm one, cannot
# cache objects made with them unless its checks are loosened.
if(LMCACHE_CCACHE)
  option(LMCACHE_PCH "Precompile the standard headers" OFF)
else()
  option(LMCACHE_PCH "Precompile the standard headers" ON)
endif()

# lmcache_module(NAME SOURCES... [LINK targets...]): one static library per folder of src/.
# Its headers are included as "NAME/file.hpp"; public contracts as <lmcache/file.hpp>.
function(lmcache_module name)
  cmake_parse_arguments(ARG "" "" "LINK" ${ARGN})
  add_library(lmcache_${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  target_include_directories(lmcache_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(lmcache_${name} PUBLIC lmcache_options Boost::headers Threads::Threads ${ARG_LINK})
  if(LMCACHE_PCH)
    target_precompile_headers(lmcache_${name} PRIVATE <algorithm> <chrono> <functional> <memory> <mutex> <optional> <span>
                              <string> <unordered_map> <variant> <vector> <boost/system/result.hpp>)
  endif()
endfunction()

add_library(lmcache_options INTERFACE)
target_compile_options(lmcache_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wconversion -Wsign-conversion
    -Woverloaded-virtual -Wimplicit-fallthrough>)
# Not -Wnull-dereference: g++ 12 sees null pointers in what it inlines from the standard library and Asio.
if(LMCACHE_WERROR)
  target_compile_options(lmcache_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()
if(LMCACHE_SANITIZE)
  add_compile_options(-fsanitize=${LMCACHE_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${LMCACHE_SANITIZE})
  add_compile_definitions(LMCACHE_SANITIZED=1)
endif()
