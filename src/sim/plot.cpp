#include "sim/plot.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <string_view>

namespace lmcache::sim {
namespace {

constexpr double kLeft = 60, kTop = 40, kWidth = 640, kHeight = 400, kLegend = 170;
constexpr std::array<std::string_view, 8> kColours{"#1f77b4", "#d62728", "#2ca02c", "#9467bd",
                                                   "#ff7f0e", "#17becf", "#7f7f7f", "#000000"};

std::string number(double value, const char* format = "%.1f") {
  char text[32];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else
      out += c;
  }
  return out;
}

std::string text_at(double x, double y, std::string_view anchor, std::string_view text) {
  return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" text-anchor=\"" +
         std::string(anchor) + "\">" + escaped(text) + "</text>\n";
}

std::string line(double x1, double y1, double x2, double y2, std::string_view colour) {
  return "<line x1=\"" + number(x1) + "\" y1=\"" + number(y1) + "\" x2=\"" + number(x2) +
         "\" y2=\"" + number(y2) + "\" stroke=\"" + std::string(colour) + "\"/>\n";
}

/// Where sizes and ratios lie in the picture.
struct Scale {
  double low = 1, high = 2;
  [[nodiscard]] double x(double gib) const {
    return kLeft + kWidth * (std::log(gib) - std::log(low)) / (std::log(high) - std::log(low));
  }
  [[nodiscard]] static double y(double ratio) { return kTop + kHeight * (1 - ratio); }
};

Scale scale_of(const std::vector<Curve>& curves) {
  Scale scale;
  bool first = true;
  for (const Curve& curve : curves)
    for (const auto& [gib, ratio] : curve.points) {
      scale.low = first ? gib : std::min(scale.low, gib);
      scale.high = first ? gib : std::max(scale.high, gib);
      first = false;
    }
  if (scale.high <= scale.low) scale.high = scale.low * 2;
  return scale;
}

std::string axes(const std::vector<Curve>& curves, const Scale& scale) {
  std::string out;
  for (int i = 0; i <= 10; i += 2) {
    out += line(kLeft, Scale::y(i / 10.0), kLeft + kWidth, Scale::y(i / 10.0), "#dddddd");
    out += text_at(kLeft - 6, Scale::y(i / 10.0) + 4, "end", number(i * 10, "%.0f %%"));
  }
  if (!curves.empty())
    for (const auto& [gib, ratio] : curves.front().points)
      out += text_at(scale.x(gib), kTop + kHeight + 18, "middle", number(gib, "%.3g"));
  return out + text_at(kLeft + kWidth / 2, kTop + kHeight + 38, "middle", "pool, GiB");
}

}  // namespace

std::string draw_curves(const std::string& title, const std::vector<Curve>& curves) {
  const Scale scale = scale_of(curves);
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" +
                    number(kLeft + kWidth + kLegend) + "\" height=\"" +
                    number(kTop + kHeight + 50) +
                    "\" font-family=\"sans-serif\" font-size=\"12\">\n"
                    "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
  out += text_at(kLeft + kWidth / 2, 20, "middle", title) + axes(curves, scale);
  for (std::size_t i = 0; i < curves.size(); ++i) {
    const std::string colour(kColours[i % kColours.size()]);
    out += "<polyline fill=\"none\" stroke=\"" + colour + "\" stroke-width=\"2\"" +
           (curves[i].bound ? " stroke-dasharray=\"6 4\"" : "") + " points=\"";
    for (const auto& [gib, ratio] : curves[i].points)
      out += number(scale.x(gib)) + "," + number(Scale::y(ratio)) + " ";
    out += "\"/>\n";
    const double y = kTop + 10 + 18 * static_cast<double>(i);
    out += line(kLeft + kWidth + 14, y, kLeft + kWidth + 34, y, colour) +
           text_at(kLeft + kWidth + 40, y + 4, "start", curves[i].name);
  }
  return out + "</svg>\n";
}

}  // namespace lmcache::sim
