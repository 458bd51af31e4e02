// SPDX-License-Identifier: Apache-2.0
//
// Gives a fuzz target every file of the folders named, in the order of their names. It ends badly where the target
// does.
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>
#include <string>

#include "fuzz.h"

int main(int argc, char** argv) {
  std::set<std::filesystem::path> files;
  for (int i = 1; i < argc; ++i)
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) files.insert(entry.path());
  for (const auto& file : files) {
    std::cout << file.filename().string() << std::endl;  // flushed: the last one named is the one that failed
    std::ifstream stream(file, std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(stream), {});
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  }
  std::cout << files.size() << " inputs\n";
  return files.empty();
}
