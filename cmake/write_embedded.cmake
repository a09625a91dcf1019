# Script of lmcache_embed(): NAME, OUTPUT, FILES.
set(bytes "")
foreach(file ${FILES})
  file(READ ${file} hex HEX)
  string(APPEND bytes ${hex})
endforeach()
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes ${bytes})
# Compilers get slow, and people lost, on lines without an end.
string(REGEX REPLACE "((0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,)(0x..,))" "\\1\n" bytes ${bytes})
file(WRITE ${OUTPUT} "#include <string_view>
namespace lmcache::embedded {
namespace {
constexpr unsigned char ${NAME}Bytes[] = {
${bytes}};
}
extern const std::string_view ${NAME};
const std::string_view ${NAME}{reinterpret_cast<const char*>(${NAME}Bytes), sizeof ${NAME}Bytes};
}  // namespace lmcache::embedded
")
