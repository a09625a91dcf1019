#include "commands/screen.hpp"

#include "commands/top_view.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace lmcache::commands {
namespace {

/// Nobody is left to tell when a terminal does not take what is written to it.
void write_out(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

bool Screen::available() {
  const char* kind = std::getenv("TERM");
  return ::isatty(STDOUT_FILENO) == 1 && kind != nullptr && std::string_view(kind) != "dumb";
}

Screen::Screen() {
  write_out("\x1b[?1049h\x1b[?25l");  // the second screen, no cursor
}

Screen::~Screen() {
  write_out("\x1b[?25h\x1b[?1049l");
}

void Screen::draw(const std::string& text) const {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0)
    size = {24, 80, 0, 0};
  std::string frame = "\x1b[H";
  for (const char c : cut_to(text, size.ws_row, size.ws_col)) {
    if (c == '\n') frame += "\x1b[K\r";  // erase what the last frame had there
    frame += c;
  }
  write_out(frame.append("\x1b[J"));
}

}  // namespace lmcache::commands
