// SPDX-License-Identifier: Apache-2.0
#include "support/refuse.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <iostream>

namespace convbwd::support {

void refuse(const std::string& complaint, ExitCode exit_code) {
  constexpr std::size_t kMostShown = 1000;
  std::string line = complaint.substr(0, kMostShown);
  std::replace_if(
      line.begin(), line.end(), [](unsigned char byte) { return byte < ' ' || byte == 0x7F; }, ' ');
  std::cerr << program_invocation_short_name << ": " << line << std::endl;
  std::exit(exit_code);
}

}  // namespace convbwd::support
