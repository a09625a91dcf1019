# One place for what every target is compiled with.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

# ccache keeps objects made with precompiled headers only when it is told that macros and times in those are no matter; with
# paths taken relative to the repository the presets, and other clones, share what is compiled alike. Without a preprocessor's run of its own a cold build is a fifth faster.
find_program(LMCACHE_CCACHE ccache)
if(LMCACHE_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros
      CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 CCACHE_DEPEND=1 ${LMCACHE_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_C_COMPILER_LAUNCHER})
endif()

# Headers that most files include anyway, and that are slow to read. Off, a build shows includes that are missing.
option(LMCACHE_PCH "Precompile the standard headers" ON)
set(LMCACHE_PCH_HEADERS <algorithm> <array> <atomic> <chrono> <functional> <map> <memory> <mutex> <optional> <span> <string>
                        <string_view> <thread> <unordered_map> <utility> <variant> <vector> <boost/asio/io_context.hpp>
                        <boost/asio/ip/tcp.hpp> <boost/asio/post.hpp> <boost/system/result.hpp>)
# What no request of an engine passes through, or runs for milliseconds as a test, is compiled for longer than it runs.
set(LMCACHE_COLD_OPTIONS $<$<CONFIG:Release>:-O1>)

# Files of a folder that are compiled together, where it makes no difference to what the server does: tests, COLD modules. The
# presets with sanitizers do so with all.
option(LMCACHE_UNITS "Compile tests and COLD modules several files at a time" ON)
set(CMAKE_UNITY_BUILD_BATCH_SIZE 8)

# lmcache_precompiled(OWNER HEADERS...): what targets share that call lmcache_precompile(TARGET OWNER). The owner is of their
# type, because libraries and programs are compiled differently, and has no definitions of its own.
function(lmcache_precompiled owner)
  target_precompile_headers(${owner} PRIVATE ${ARGN})
  # Without a time in it the file is the same each time, as ccache needs.
  target_compile_options(${owner} PRIVATE "$<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>")
  target_link_libraries(${owner} PRIVATE lmcache_options Threads::Threads)
endfunction()
function(lmcache_precompile target owner)
  if(LMCACHE_PCH)
    target_precompile_headers(${target} REUSE_FROM ${owner})
    target_compile_options(${target} PRIVATE $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-fpch-preprocess>)
  endif()
endfunction()

# lmcache_module(NAME SOURCES... [COLD] [LINK targets...]): one static library per folder of src/. COLD: no request of an engine
# passes through it.
# Its headers are included as "NAME/file.hpp"; public contracts as <lmcache/file.hpp>.
function(lmcache_module name)
  cmake_parse_arguments(ARG "COLD" "" "LINK" ${ARGN})
  add_library(lmcache_${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  target_include_directories(lmcache_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(lmcache_${name} PUBLIC lmcache_options Boost::headers Threads::Threads ${ARG_LINK})
  if(ARG_COLD)
    target_compile_options(lmcache_${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:${LMCACHE_COLD_OPTIONS}>)
    lmcache_precompile(lmcache_${name} lmcache_cold_pch)
    set_target_properties(lmcache_${name} PROPERTIES UNITY_BUILD ${LMCACHE_UNITS})
  else()
    lmcache_precompile(lmcache_${name} lmcache_pch)
  endif()
endfunction()

add_library(lmcache_options INTERFACE)
target_compile_options(lmcache_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wconversion -Wsign-conversion
    -Woverloaded-virtual -Wimplicit-fallthrough>)
# Not -Wnull-dereference: g++ 12 sees null pointers in what it inlines from the standard library and Asio; nor the warnings with
# which it sees the ends of short strings once their header is precompiled.
target_compile_options(lmcache_options INTERFACE
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread>)
# Files that are compiled together are included by one more, and g++ takes them for headers, which no type of theirs may leave.
if(CMAKE_UNITY_BUILD OR LMCACHE_UNITS)
  target_compile_options(lmcache_options INTERFACE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-subobject-linkage>)
endif()
if(LMCACHE_WERROR)
  target_compile_options(lmcache_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()
if(LMCACHE_SANITIZE)
  # nvcc has none: kernels are as ever, and what calls them is watched.
  add_compile_options("$<$<NOT:$<COMPILE_LANGUAGE:CUDA>>:-fsanitize=${LMCACHE_SANITIZE};-fno-omit-frame-pointer>")
  add_link_options(-fsanitize=${LMCACHE_SANITIZE})
  add_compile_definitions(LMCACHE_SANITIZED=1)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  option(LMCACHE_FUZZ "Build the fuzz targets with libFuzzer" ON)
endif()
