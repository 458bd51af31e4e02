// SPDX-License-Identifier: Apache-2.0
#include "support/whole_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace convbwd::support {
namespace {

bool write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

/// The permissions of a new file; mkstemp would leave it to its owner alone.
mode_t usual_mode() {
  const mode_t mask = umask(0);
  umask(mask);
  return 0666 & ~mask;
}

}  // namespace

std::string reason_not_to_write(const std::string& file) {
  namespace fs = std::filesystem;
  const fs::path path(file), folder = path.has_parent_path() ? path.parent_path() : ".";
  std::error_code code;
  const auto status = fs::symlink_status(path, code);
  if (fs::exists(status) && !fs::is_regular_file(status)) return "is there and is not a regular file";
  if (access(folder.c_str(), W_OK | X_OK) != 0)
    return std::string("cannot write to its folder: ") + std::strerror(errno);
  return {};
}

Written write_whole(const std::string& file, std::initializer_list<std::string_view> pieces) {
  if (const std::string reason = reason_not_to_write(file); !reason.empty()) return {reason};
  std::string temporary = file + ".XXXXXX";
  const int descriptor = mkstemp(temporary.data());
  const auto failed = [&](const char* what) {
    const int error = errno;
    if (descriptor >= 0) unlink(temporary.c_str());
    return Written{std::string("cannot be ") + what + ": " + std::strerror(error), error == ENOSPC || error == EDQUOT};
  };
  if (descriptor < 0) return failed("created");
  bool good = true;
  for (std::string_view piece : pieces) good = good && write_all(descriptor, piece);
  good = good && fchmod(descriptor, usual_mode()) == 0 && fsync(descriptor) == 0;
  if (!good) {
    const int error = errno;
    close(descriptor);
    errno = error;
    return failed("written");
  }
  if (close(descriptor) != 0) return failed("closed");
  if (std::rename(temporary.c_str(), file.c_str()) != 0) return failed("put in place");
  return {};
}

}  // namespace convbwd::support
