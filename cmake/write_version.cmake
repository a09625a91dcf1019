# At build time: the version of the tree as it is now, e.g. 0.1.0+149.g1a2b3c4d (".dirty" when tracked files have changes); the plain
# version outside a checkout. The number of commits stands before the hash so that package managers, which compare digits as numbers,
# take the later build for the newer one; a shallow clone does not know it, and has none.
# Given GIT (empty: there is none), SOURCE, VERSION and OUTPUT, a folder. Written only where it differs, so nothing is built anew
# for an edit that changes nothing of it. depfile: what it was read from, so that it is run again when one of these changes.
set(LMCACHE_VERSION_STRING ${VERSION})
set(LMCACHE_COMMIT unknown)
set(inputs ${CMAKE_CURRENT_LIST_FILE})  # never none: that would be as good as no depfile

# git(NAME WORDS...): what it prints, without the last newline; empty where it fails. It must not write its index, which is an input.
function(git name)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env GIT_OPTIONAL_LOCKS=0 ${GIT} -C ${SOURCE} ${ARGN}
                  OUTPUT_VARIABLE out OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(failed)
    set(out "")
  endif()
  set(${name} "${out}" PARENT_SCOPE)
endfunction()

if(GIT)
  git(commit describe --always --dirty=.dirty --abbrev=8 --match=NOTAG)
endif()
if(commit)
  set(LMCACHE_COMMIT g${commit})
  git(shallow rev-parse --is-shallow-repository)
  if(shallow STREQUAL "false")
    git(count rev-list --count HEAD)
    string(APPEND LMCACHE_VERSION_STRING +${count}.g${commit})
  else()
    string(APPEND LMCACHE_VERSION_STRING +g${commit})
  endif()
  git(tracked ls-files)
  string(REPLACE "\n" ";" tracked "${tracked}")
  git(state rev-parse --path-format=absolute --git-path logs/HEAD --git-path index --git-path HEAD)
  string(REPLACE "\n" ";" state "${state}")
  list(APPEND inputs ${state})
  foreach(file IN LISTS tracked)
    if(EXISTS ${SOURCE}/${file})  # what is missing would be as good as always changed
      list(APPEND inputs ${SOURCE}/${file})
    endif()
  endforeach()
endif()

list(TRANSFORM inputs REPLACE " " "\\\\ ")
list(JOIN inputs " \\\n " inputs)
file(WRITE ${OUTPUT}/version.d "${OUTPUT}/lmcache/version.hpp: ${inputs}\n")
configure_file(${CMAKE_CURRENT_LIST_DIR}/version.hpp.in ${OUTPUT}/lmcache/version.hpp @ONLY)
configure_file(${CMAKE_CURRENT_LIST_DIR}/package_version.cmake.in ${OUTPUT}/package_version.cmake @ONLY)
