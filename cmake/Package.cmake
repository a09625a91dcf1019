# cpack -G DEB: a package for Debian 12 that installs the daemon, its unit, its settings and the documents, and enables nothing.
set(CPACK_PACKAGE_NAME lmcache-server)
set(CPACK_PROJECT_CONFIG_FILE ${LMCACHE_GENERATED}/package_version.cmake)
set(CPACK_PACKAGE_VENDOR lmcache-server)
set(CPACK_PACKAGE_CONTACT "lmcache-server maintainers <maintainers@lmcache-server.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "KV-cache daemon for LLM engines")
set(CPACK_PACKAGE_DESCRIPTION "Standalone server of the LMCache multiprocess protocol: engines register their KV
 caches with it, look up, store and retrieve. Takes the place of the Python server.")
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS adduser)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  ${PROJECT_SOURCE_DIR}/configs/debian/conffiles ${PROJECT_SOURCE_DIR}/configs/debian/postinst
  ${PROJECT_SOURCE_DIR}/configs/debian/prerm ${PROJECT_SOURCE_DIR}/configs/debian/postrm)

install(CODE "set(SOURCE \"${PROJECT_SOURCE_DIR}/configs\")
set(WORK \"${PROJECT_BINARY_DIR}/configs\")
set(BINDIR \"${CMAKE_INSTALL_BINDIR}\")")
install(SCRIPT ${PROJECT_SOURCE_DIR}/cmake/install_configs.cmake)
install(FILES ${PROJECT_SOURCE_DIR}/configs/grafana-dashboard.json ${PROJECT_SOURCE_DIR}/configs/prometheus-alerts.yml
        DESTINATION ${CMAKE_INSTALL_DATADIR}/lmcache)
include(CPack)
