// SPDX-License-Identifier: Apache-2.0
#include "race/ranking.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iterator>

namespace convbwd::race {
namespace {

/// Three digits at least, never an exponent.
std::string digits(double value) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", value < 9.995 ? 2 : value < 99.95 ? 1 : 0, value);
  return text;
}

/// Columns as wide as their widest cell: the first and the last to the left, numbers to the right.
std::string aligned(const std::vector<std::vector<std::string>>& lines) {
  std::vector<std::size_t> widths(lines.front().size());
  for (const auto& line : lines)
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  std::string text;
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) {
      const std::string blanks(widths[i] - line[i].size(), ' ');
      const bool left = i == 0 || i + 1 == line.size();
      text += (i ? "  " : "") + (left ? line[i] + (i ? "" : blanks) : blanks + line[i]);
    }
    text += "\n";
  }
  return text;
}

double median(const std::vector<double>& sorted) {
  const std::size_t n = sorted.size();
  return (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
}

std::string spread(const std::vector<double>& sorted) {
  if (sorted.size() == 1) return "one run";
  const Interval interval = interval_of_median(sorted);
  return duration(interval.low) + " to " + duration(interval.high) + (interval.all ? " (all)" : "");
}

}  // namespace

std::string duration(double seconds) {
  if (seconds >= 0.9995) return digits(seconds) + " s";
  if (seconds >= 0.9995e-3) return digits(seconds * 1e3) + " ms";
  return digits(seconds * 1e6) + " us";
}

Interval interval_of_median(const std::vector<double>& sorted) {
  const std::size_t n = sorted.size();
  double probability = std::pow(0.5, n), below = probability;  // that at most `rank` samples are below the median
  if (below >= 0.025) return {sorted.front(), sorted.back(), true};
  std::size_t rank = 0;
  for (;; ++rank) {
    probability *= static_cast<double>(n - rank) / static_cast<double>(rank + 1);
    if (below + probability >= 0.025) break;
    below += probability;
  }
  return {sorted[rank], sorted[n - 1 - rank], false};
}

std::string ranking(const std::string& cell, std::vector<Standing> standings, double gflop, double peak,
                    const std::string& noisy) {
  std::vector<Standing> timed;
  std::string others;
  for (Standing& standing : standings) {
    std::sort(standing.seconds.begin(), standing.seconds.end());
    if (!standing.seconds.empty())
      timed.push_back(std::move(standing));
    else if (!standing.reason.empty())
      others += standing.title + "  " + standing.reason + "\n";
  }
  std::sort(timed.begin(), timed.end(),
            [](const Standing& a, const Standing& b) { return median(a.seconds) < median(b.seconds); });

  std::string text = "\n" + cell + ": " + digits(gflop) + " GFLOP, peak " + digits(peak) + " GFLOP/s\n";
  if (!timed.empty()) {
    std::vector<std::vector<std::string>> lines = {
        {"contender", "median", "x fastest", "% of peak", "rounds", "95 % interval"}};
    for (const Standing& standing : timed) {
      const double seconds = median(standing.seconds);
      lines.push_back({standing.title, duration(seconds), digits(seconds / median(timed.front().seconds)),
                       peak > 0 ? digits(100 * gflop / seconds / peak) : "", std::to_string(standing.seconds.size()),
                       spread(standing.seconds)});
    }
    text += aligned(lines);
  }
  return text + others + (noisy.empty() ? "" : "noisy: " + noisy + "\n") + "\n";
}

}  // namespace convbwd::race
