// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace convbwd::support {

/// Exit codes of every program of this project.
enum ExitCode { kGood = 0, kWrong = 1, kUsage = 2, kNotSupported = 3, kFailed = 4, kInterrupted = 130 };

/// Says `<program>: <complaint>` in one line on stderr and ends the program.
[[noreturn]] void refuse(const std::string& complaint, ExitCode exit_code = kUsage);

}  // namespace convbwd::support
