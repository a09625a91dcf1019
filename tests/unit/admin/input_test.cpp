#include "admin/input.hpp"

#include <gmock/gmock.h>

namespace lmcache::admin {
namespace {

using testing::ElementsAre;

Request with_body(std::string body) {
  Request request;
  request.body = std::move(body);
  return request;
}

/// The "loc" of each problem.
std::vector<std::string> places(const Input& input) {
  std::vector<std::string> out;
  const auto refusal = input.refusal();
  if (!refusal) return out;
  EXPECT_EQ(refusal->status, 422u);
  const Json body = Json::parse(refusal->body);
  for (const Json& problem : body["detail"]) out.push_back(problem["loc"].dump());
  return out;
}

TEST(Input, AnEmptyBodyIsAllDefaultsAndSoIsNull) {
  for (const char* body : {"", "null"}) {
    const Request request = with_body(body);
    Input input(request);
    EXPECT_EQ(input.choice("tier", "l1", {"l1", "l2"}), "l1");
    EXPECT_FALSE(input.boolean("force", false));
    EXPECT_TRUE(places(input).empty()) << body;
  }
}

TEST(Input, ABooleanMayBeZeroOrOne) {
  const Request request = with_body(R"({"no":0,"yes":1,"two":2,"text":"1","null":null})");
  Input input(request);
  EXPECT_FALSE(input.boolean("no", true));
  EXPECT_TRUE(input.boolean("yes", false));
  EXPECT_TRUE(places(input).empty());
  for (const char* other : {"two", "text", "null"}) static_cast<void>(input.boolean(other, false));
  EXPECT_EQ(places(input).size(), 3u);
}

TEST(Input, ReadsFields) {
  const Request request = with_body(R"({"a":"x","n":18446744073709551615,"l":[1,-2],"b":true})");
  Input input(request);
  EXPECT_EQ(input.text("a"), "x");
  EXPECT_EQ(input.integer("n"), UINT64_MAX);
  EXPECT_THAT(input.integers("l", 2, true), ElementsAre(1, -2));
  EXPECT_TRUE(input.boolean("b", false));
  EXPECT_TRUE(places(input).empty());
}

TEST(Input, GathersEveryProblem) {
  const Request request = with_body(R"({"a":1,"n":-1,"l":[1,2,3],"b":"yes","t":"l9"})");
  Input input(request);
  static_cast<void>(input.text("a"));
  static_cast<void>(input.integer("n"));
  static_cast<void>(input.integers("l", 2, true));
  static_cast<void>(input.boolean("b", false));
  static_cast<void>(input.choice("t", "l1", {"l1", "l2"}));
  static_cast<void>(input.text("missing"));
  EXPECT_THAT(places(input),
              ElementsAre(R"(["body","a"])", R"(["body","n"])", R"(["body","l"])",
                          R"(["body","b"])", R"(["body","t"])", R"(["body","missing"])"));
}

TEST(Input, ReadsAListOfObjectsUntilOneHasAProblem) {
  const Request request =
      with_body(R"({"l":[{"a":"x"},{"a":"y"},{"a":1},{}],"m":[7],"n":{},"z":null})");
  Input input(request);
  std::string read;
  const auto note = [&](Input& element) { read += element.text("a"); };
  EXPECT_EQ(input.text_or_null("z"), "");
  EXPECT_TRUE(places(input).empty());
  EXPECT_EQ(input.objects("l", note), 4u);
  EXPECT_EQ(read, "xy");
  EXPECT_THAT(places(input), ElementsAre(R"(["body","l",2,"a"])"));
  Input other(request);
  other.objects("m", note);
  EXPECT_THAT(places(other), ElementsAre(R"(["body","m",0])"));
}

TEST(Input, NumbersThatDoNotFitAreProblems) {
  const Request request = with_body(R"({"l":[9223372036854775808],"m":[1.5],"n":1e3})");
  Input input(request);
  EXPECT_TRUE(input.integers("l", 9, true).empty());
  EXPECT_TRUE(input.integers("m", 9, true).empty());
  static_cast<void>(input.integer("n"));
  EXPECT_EQ(places(input).size(), 3u);
}

TEST(Input, ABodyThatIsNoObjectIsOneProblem) {
  for (const char* body : {"{", "[1]", "3", "\xff"}) {
    const Request request = with_body(body);
    Input input(request);
    static_cast<void>(input.boolean("force", false));
    static_cast<void>(input.boolean("other", false));
    EXPECT_THAT(places(input), ElementsAre(R"(["body"])")) << body;
  }
}

TEST(Input, ABodyMayBeRequired) {
  for (const char* body : {"", "null"}) {
    const Request request = with_body(body);
    Input input(request);
    input.require_body();
    EXPECT_THAT(places(input), ElementsAre(R"(["body"])")) << body;
  }
  const Request request = with_body("{}");
  Input input(request);
  input.require_body();
  EXPECT_TRUE(places(input).empty());
}

TEST(Input, APartOfTheQueryMayBeRequired) {
  Request request;
  request.query = {{"level", "info"}};
  Input input(request);
  EXPECT_EQ(input.required_query_text("level"), "info");
  EXPECT_TRUE(places(input).empty());
  EXPECT_EQ(input.required_query_text("other"), "");
  EXPECT_THAT(places(input), ElementsAre(R"(["query","other"])"));
}

TEST(Input, ReadsTheQuery) {
  Request request;
  request.query = {{"n", "7"}, {"tier", "l1"}, {"bad", "7x"}, {"far", "5001"}, {"odd", "l9"}};
  Input input(request);
  EXPECT_EQ(input.query_integer("n", 1, 0, 9), 7);
  EXPECT_EQ(input.query_integer("absent", 5, 0, 9), 5);
  EXPECT_EQ(input.query_choice("tier", "l2", {"l1", "l2"}), "l1");
  EXPECT_TRUE(places(input).empty());
  static_cast<void>(input.query_integer("bad", 1, 0, 9));
  static_cast<void>(input.query_integer("far", 1, 1, 5000));
  static_cast<void>(input.query_choice("odd", "l2", {"l1", "l2"}));
  EXPECT_EQ(places(input).size(), 3u);
}

}  // namespace
}  // namespace lmcache::admin
