# lmcache_version: the header <lmcache/version.hpp>, see write_version.cmake.
find_package(Git QUIET)
set(LMCACHE_GENERATED ${PROJECT_BINARY_DIR}/generated)
add_custom_command(OUTPUT ${LMCACHE_GENERATED}/lmcache/version.hpp
  COMMAND ${CMAKE_COMMAND} -DGIT=$<$<BOOL:${GIT_FOUND}>:${GIT_EXECUTABLE}> -DSOURCE=${PROJECT_SOURCE_DIR} -DVERSION=${PROJECT_VERSION}
          -DOUTPUT=${LMCACHE_GENERATED} -P ${PROJECT_SOURCE_DIR}/cmake/write_version.cmake
  DEPENDS ${PROJECT_SOURCE_DIR}/cmake/write_version.cmake ${PROJECT_SOURCE_DIR}/cmake/version.hpp.in
          ${PROJECT_SOURCE_DIR}/cmake/package_version.cmake.in
  DEPFILE ${LMCACHE_GENERATED}/version.d
  COMMENT "Version of the tree" VERBATIM)
add_custom_target(lmcache_version_header DEPENDS ${LMCACHE_GENERATED}/lmcache/version.hpp)
add_library(lmcache_version INTERFACE)
target_include_directories(lmcache_version INTERFACE ${LMCACHE_GENERATED})
add_dependencies(lmcache_version lmcache_version_header)
