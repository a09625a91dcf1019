// The MessagePack reader: a list of reads, then the bytes to read. Whatever comes out lies inside
// the frame, and what has failed stays failed.
#include "wire/msgpack_reader.hpp"

#include "fuzz/input.hpp"

namespace {

using lmcache::fuzz::Input;
using lmcache::fuzz::require;
using lmcache::wire::ByteView;
using lmcache::wire::MsgpackReader;

void check_inside(ByteView frame, const void* data, std::size_t size) {
  const auto* begin = static_cast<const std::byte*>(data);
  require(size == 0 || (begin >= frame.data() && begin + size <= frame.data() + frame.size()));
}

bool read_one(MsgpackReader& in, ByteView frame, unsigned what) {
  std::int64_t integer = 0;
  double real = 0;
  bool boolean = false;
  std::int8_t type = 0;
  std::size_t count = 0;
  std::string_view text;
  ByteView view;
  std::array<std::uint32_t, 16> tokens{};
  std::array<std::int64_t, 16> integers{};
  switch (what) {
    case 0:
      return in.read_int(integer);
    case 1:
      return in.read_double(real);
    case 2:
      return in.read_bool(boolean);
    case 3:
      return in.read_u32_big_endian(std::span{tokens}.first(frame.size() % tokens.size()));
    case 4: {
      const bool ok = in.read_string(text);
      check_inside(frame, text.data(), text.size());
      require(!ok || lmcache::wire::is_utf8(text));
      return ok;
    }
    case 5: {
      const bool ok = in.read_binary(view);
      check_inside(frame, view.data(), view.size());
      return ok;
    }
    case 6: {
      const bool ok = in.read_ext(type, view);
      check_inside(frame, view.data(), view.size());
      return ok;
    }
    case 7: {
      const bool ok = in.read_array(count);
      require(!ok || count <= frame.size());
      return ok;
    }
    case 8: {
      const bool ok = in.read_map(count);
      require(!ok || count * 2 <= frame.size());
      return ok;
    }
    case 9:
      return in.read_nil_if_present() || !in.failed();
    case 10:
      return in.read_ints(std::span{integers}.first(frame.size() % integers.size()));
    default:
      return in.skip();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const ByteView reads = input.take(input.byte());
  const ByteView frame = input.take(size);
  MsgpackReader in(frame);
  bool failed = false;
  for (const std::byte what : reads) {
    const bool ok = read_one(in, frame, std::to_integer<unsigned>(what) % 12);
    require(ok != in.failed());
    require(!failed || !ok);
    failed = failed || !ok;
  }
  require(in.failed() == failed && (!failed || !in.error().empty()));
  require(!failed || !in.finished());
  return 0;
}
