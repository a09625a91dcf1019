# Version string from git, e.g. 0.1.0+149.g1a2b3c4d (".dirty" when the tree has changes); plain version outside a checkout. The
# number of commits stands before the hash so that package managers, which compare digits as numbers, take the later build for the newer one.
find_package(Git QUIET)
set(LMCACHE_VERSION_STRING ${PROJECT_VERSION})
set(LMCACHE_COMMIT "unknown")
if(GIT_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${PROJECT_SOURCE_DIR} describe --always --dirty=.dirty --abbrev=8 --match=NOTAG
                  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  execute_process(COMMAND ${GIT_EXECUTABLE} -C ${PROJECT_SOURCE_DIR} rev-list --count HEAD
                  OUTPUT_VARIABLE count OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE uncounted)
  if(NOT failed AND NOT uncounted)
    set(LMCACHE_COMMIT "g${commit}")
    set(LMCACHE_VERSION_STRING "${PROJECT_VERSION}+${count}.g${commit}")
  endif()
endif()
# A new commit is a new version: configure again when HEAD has moved.
if(EXISTS ${PROJECT_SOURCE_DIR}/.git/logs/HEAD)
  set_property(DIRECTORY ${PROJECT_SOURCE_DIR} APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/.git/logs/HEAD)
endif()
configure_file(${PROJECT_SOURCE_DIR}/cmake/version.hpp.in ${PROJECT_BINARY_DIR}/generated/lmcache/version.hpp @ONLY)
add_library(lmcache_version INTERFACE)
target_include_directories(lmcache_version INTERFACE ${PROJECT_BINARY_DIR}/generated)
