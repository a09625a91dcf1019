#include "obs/log.hpp"

#include "obs/clean_text.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <vector>

namespace lmcache::obs {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

class LogTest : public testing::Test {
 protected:
  ~LogTest() override { setup_logging({}); }

  void start(LogOptions options) { setup_logging(options, &out_); }
  std::string text() const { return out_.str(); }

  std::ostringstream out_;
};

TEST_F(LogTest, TextLineHasTimeLevelMessageAndFields) {
  start({});
  log_event(Level::kInfo, "listening", {{"host", "localhost"}, {"port", 5555}});
  EXPECT_THAT(text(),
              MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z "
                           "INFO  listening host=localhost port=5555\n"));
}

TEST_F(LogTest, TextQuotesWhatWouldNotReadBackAsOneValue) {
  start({});
  log_event(Level::kError, "m", {{"a", "x y"}, {"b", ""}, {"c", "q\"\\"}, {"d", "k=v"}});
  EXPECT_THAT(text(), HasSubstr(R"(ERROR m a="x y" b="" c="q\"\\" d="k=v")"));
}

TEST_F(LogTest, JsonLineIsOneObjectWithTypedFields) {
  start({Level::kInfo, LogFormat::kJson, true});
  log_event(Level::kWarn, "odd",
            {{"text", "a\"b"},
             {"big", std::numeric_limits<std::uint64_t>::max()},
             {"small", std::int8_t{-3}},
             {"ratio", 0.5},
             {"on", true}});
  ASSERT_EQ(text().back(), '\n');
  const auto line = nlohmann::json::parse(text());
  EXPECT_THAT(line["ts"].get<std::string>(), MatchesRegex("[0-9T:.-]{23}Z"));
  EXPECT_EQ(line["level"], "warn");
  EXPECT_EQ(line["msg"], "odd");
  EXPECT_EQ(line["text"], "a\"b");
  EXPECT_EQ(line["big"], std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(line["small"], -3);
  EXPECT_EQ(line["ratio"], 0.5);
  EXPECT_EQ(line["on"], true);
}

TEST_F(LogTest, HostileTextStaysOneLineInBothFormats) {
  const std::string hostile = "a\nb\x1b]0;x\x07" + std::string(5000, '\xff');
  for (const auto format : {LogFormat::kText, LogFormat::kJson}) {
    out_.str("");
    start({Level::kInfo, format, true});
    log_event(Level::kInfo, hostile, {{"field", hostile}});
    const std::string line = text();
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
    EXPECT_EQ(line.find('\x1b'), std::string::npos);
    EXPECT_LT(line.size(), 2 * kMaxLogTextBytes + 150);
  }
}

TEST_F(LogTest, EventsBelowTheLevelAreDropped) {
  start({Level::kWarn, LogFormat::kText, true});
  log_event(Level::kDebug, "d");
  log_event(Level::kInfo, "i");
  EXPECT_EQ(text(), "");
  log_event(Level::kWarn, "w");
  log_event(Level::kError, "e");
  EXPECT_THAT(text(), HasSubstr("WARN  w"));
  EXPECT_THAT(text(), HasSubstr("ERROR e"));
}

TEST_F(LogTest, LinesOfManyThreadsAreNotTorn) {
  start({Level::kInfo, LogFormat::kJson, true});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 100; ++i)
        log_every_event(Level::kInfo, "tick", {{"thread", t}, {"i", i}});
    });
  }
  for (auto& thread : threads) thread.join();
  std::istringstream lines(text());
  std::string line;
  int count = 0;
  while (std::getline(lines, line)) {
    EXPECT_TRUE(nlohmann::json::accept(line)) << line;
    ++count;
  }
  EXPECT_EQ(count, 400);
}

TEST_F(LogTest, EventsOfOneMessageAreLimitedAndWhatWasLeftOutIsCounted) {
  constexpr std::chrono::milliseconds kInterval{2000};  // longer than a loaded machine stalls
  start({.limit_interval = kInterval});
  for (unsigned i = 0; i < kLogBurst + 5; ++i) log_event(Level::kInfo, "cleared", {{"i", i}});
  log_event(Level::kInfo, "another");
  const std::string before = text();
  EXPECT_EQ(std::ranges::count(before, '\n'), kLogBurst + 1);
  EXPECT_THAT(before, AllOf(HasSubstr("another\n"), Not(HasSubstr("not_logged"))));
  std::this_thread::sleep_for(kInterval);
  log_event(Level::kInfo, "cleared", {{"i", 0}});
  log_event(Level::kInfo, "cleared", {{"i", 1}});
  EXPECT_THAT(text(), HasSubstr("cleared i=0 not_logged=5\n"));
  EXPECT_THAT(text(), HasSubstr("cleared i=1\n"));
}

/// A reader of its own pace, in place of a log file.
class Fifo {
 public:
  Fifo() {
    ::unlink(path_.c_str());
    if (::mkfifo(path_.c_str(), 0600) == 0) fd_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
  }
  ~Fifo() {
    ::close(fd_);
    ::unlink(path_.c_str());
  }
  Fifo(const Fifo&) = delete;
  Fifo& operator=(const Fifo&) = delete;
  const std::string& path() const { return path_; }
  /// Waits until the text has come; what was read up to there.
  std::string read_until(std::string_view text) const {
    std::string all;
    std::array<char, 1u << 16> part{};
    while (all.find(text) == std::string::npos) {
      const ssize_t size = ::read(fd_, part.data(), part.size());
      if (size <= 0) break;
      all.append(part.data(), static_cast<std::size_t>(size));
    }
    return all;
  }

 private:
  std::string path_ =
      (std::filesystem::temp_directory_path() / ("lmcache-fifo-" + std::to_string(::getpid())))
          .string();
  int fd_ = -1;
};

TEST_F(LogTest, WhoeverLogsDoesNotWaitForTheReader) {
  constexpr int kLines = 20000;  // of 200 bytes and more: several times what is kept
  const Fifo fifo;
  ASSERT_TRUE(setup_logging({.file = fifo.path()}));
  const std::string text(200, 'x');
  for (int i = 0; i < kLines; ++i)
    log_every_event(Level::kInfo, "tick", {{"i", i}, {"text", text}});
  const std::string read = fifo.read_until("ERROR log lines were lost count=");
  EXPECT_THAT(read, HasSubstr("tick i=0 "));
  EXPECT_THAT(read, HasSubstr("tick i=" + std::to_string(kLines - 1) + " "));
  EXPECT_TRUE(finish_log());
}

TEST(LogNames, AreParsed) {
  EXPECT_EQ(parse_level("debug"), Level::kDebug);
  EXPECT_EQ(parse_level("info"), Level::kInfo);
  EXPECT_EQ(parse_level("warn"), Level::kWarn);
  EXPECT_EQ(parse_level("error"), Level::kError);
  EXPECT_EQ(parse_level("INFO"), std::nullopt);
  EXPECT_EQ(parse_log_format("text"), LogFormat::kText);
  EXPECT_EQ(parse_log_format("json"), LogFormat::kJson);
  EXPECT_EQ(parse_log_format("xml"), std::nullopt);
}

}  // namespace
}  // namespace lmcache::obs
