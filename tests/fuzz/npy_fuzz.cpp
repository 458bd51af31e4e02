// SPDX-License-Identifier: Apache-2.0
//
// A .npy file is refused in one short line, or its numbers are the bytes behind its header and nothing else.
#include <sys/mman.h>
#include <unistd.h>

#include <functional>
#include <numeric>

#include "fuzz.h"
#include "support/npy.h"

using namespace convbwd;

namespace {

/// A file in memory that holds the input.
class MemoryFile {
 public:
  MemoryFile(const std::uint8_t* data, std::size_t size) : file_(memfd_create("npy", MFD_CLOEXEC)) {
    must(file_ >= 0 && write(file_, data, size) == static_cast<ssize_t>(size), "there is memory for a file");
  }
  ~MemoryFile() { close(file_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(file_); }

 private:
  int file_;
};

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const support::NpyHeader header = support::parse_npy_header({reinterpret_cast<const char*>(data), size});
  must(one_short_line(header.error), "errors are one short line");
  // The caller knows the shape it needs: the file's own if that has four axes of a size that a problem can have.
  std::array<Dim, 4> shape = {1, 2, 3, 5};
  if (header.error.empty()) {
    must(header.data_offset <= size, "numbers begin inside the file");
    const bool small = std::all_of(header.shape.begin(), header.shape.end(), [](Dim extent) { return extent < 100; });
    if (header.shape.size() == shape.size() && small)
      std::copy(header.shape.begin(), header.shape.end(), shape.begin());
  }
  const MemoryFile file(data, size);
  const support::NpyTensor tensor = support::read_npy(file.path(), shape);
  must(one_short_line(tensor.error), "errors are one short line");
  if (!tensor.error.empty()) return 0;
  const Dim elements = std::accumulate(shape.begin(), shape.end(), Dim{1}, std::multiplies<>());
  must(static_cast<Dim>(tensor.values.size()) == elements, "as many numbers as the shape has");
  must(size == header.data_offset + sizeof(float) * tensor.values.size(), "no byte too few or too many");
  const auto* numbers = reinterpret_cast<const std::uint8_t*>(tensor.values.data());
  must(std::equal(numbers, numbers + sizeof(float) * tensor.values.size(), data + header.data_offset),
       "numbers are copied as they are");
  return 0;
}
