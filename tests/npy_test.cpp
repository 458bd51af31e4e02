// SPDX-License-Identifier: Apache-2.0
#include "support/npy.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <random>

namespace convbwd::support {
namespace {

namespace fs = std::filesystem;
using namespace std::string_literals;

constexpr std::array<Dim, 4> kShape{2, 1, 3, 5};
const std::string kGoodDictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 3, 5), }";

std::string header(const std::string& dictionary, int version = 1) {
  const std::size_t length = dictionary.size();
  std::string text = "\x93NUMPY"s + static_cast<char>(version) + '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) text += static_cast<char>(length >> (8 * i) & 0xFF);
  return text + dictionary;
}

class Npy : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder); }
  void TearDown() override { fs::remove_all(folder); }

  std::string file(const std::string& bytes) const {
    const std::string name = (folder / "tensor.npy").string();
    std::ofstream(name, std::ios::binary) << bytes;
    return name;
  }
  std::string error_of(const std::string& bytes) const { return read_npy(file(bytes), kShape).error; }

  const fs::path folder = fs::path(testing::TempDir()) / ("convbwd_npy_test." + std::to_string(getpid()));
  const std::string numbers = std::string(30 * sizeof(float), '\1');
};

TEST_F(Npy, RoundTripKeepsEveryBit) {
  std::vector<float> values(30);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) * 0.1f - 1;
  values[3] = -0.0f;
  values[4] = std::numeric_limits<float>::infinity();
  values[5] = std::numeric_limits<float>::denorm_min();
  const std::string name = (folder / "out.npy").string();
  ASSERT_EQ(write_npy(name, kShape, values).error, "");
  const NpyTensor back = read_npy(name, kShape);
  ASSERT_EQ(back.error, "");
  EXPECT_EQ(back.values, values);
  EXPECT_TRUE(std::signbit(back.values[3]));
  EXPECT_EQ((fs::file_size(name) - 30 * sizeof(float)) % 64, 0u);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 1) << "a temporary file was left";
}

TEST_F(Npy, EveryVersionAndSpelling) {
  for (int version : {1, 2, 3}) EXPECT_EQ(error_of(header(kGoodDictionary, version) + numbers), "") << version;
  for (const char* dictionary : {"{\"shape\":(2,1,3,5),\"descr\":\"<f4\",\"fortran_order\":False}",
                                 " { 'fortran_order' : False , 'descr' : '<f4' , 'shape' : ( 2 , 1 , 3 , 5 , ) } \n"})
    EXPECT_EQ(error_of(header(dictionary) + numbers), "") << dictionary;
}

TEST_F(Npy, RefusalsSayWhatIsWrong) {
  struct Case {
    std::string dictionary, error;
  };
  for (const auto& [dictionary, error] :
       {Case{"{'descr': '<f8', 'fortran_order': False, 'shape': (2, 1, 3, 5), }", "dtype is '<f8'"},
        Case{"{'descr': '>f4', 'fortran_order': False, 'shape': (2, 1, 3, 5), }", "dtype is '>f4'"},
        Case{"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 1, 3, 5), }", "composed"},
        Case{"{'descr': '<f4', 'fortran_order': True, 'shape': (2, 1, 3, 5), }", "Fortran order"},
        Case{"{'descr': '<f4', 'fortran_order': 1, 'shape': (2, 1, 3, 5), }", "fortran_order"},
        Case{"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 5, 3), }", "shape is (2, 1, 5, 3)"},
        Case{"{'descr': '<f4', 'fortran_order': False, 'shape': (30,), }", "shape is (30,)"},
        Case{"{'descr': '<f4', 'fortran_order': False, 'shape': (), }", "shape is ()"},
        Case{"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 3, 5, 1), }", "shape is (2, 1, 3, 5, 1)"},
        Case{"{'descr': '<f4', 'fortran_order': False, 'shape': (-2, 1, 3, 5), }", "extent"},
        Case{"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 1, 3, 5), }", "extent"},
        Case{"{'descr': '<f4', 'fortran_order': False, 'shape': (2 1 3 5), }", "comma"},
        Case{"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 3, 5", "comma"},
        Case{"{'descr': '<f4', 'fortran_order': False, 'shape': 30, }", "expected ("},
        Case{"{'descr': '<f4', 'fortran_order': False, }", "not all"},
        Case{"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 3, 5), }", "twice"},
        Case{"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 3, 5), 'more': 1}", "unknown key 'more'"},
        Case{"{'descr': '<f4' 'fortran_order': False, 'shape': (2, 1, 3, 5), }", "comma"},
        Case{kGoodDictionary + "x", "behind"},
        Case{"", "expected {"},
        Case{"{", "string"},
        Case{"{'descr", "string"},
        Case{"{}", "not all"},
        Case{std::string(200, ' '), "expected {"},
        Case{std::string(200, '\0'), "expected {"},
        Case{std::string(kMostNpyHeaderBytes + 1, ' '), "header of 10001 bytes"}}) {
    const std::string got = error_of(header(dictionary) + numbers);
    EXPECT_NE(got.find(error), std::string::npos) << dictionary << ": " << got;
    EXPECT_LT(got.size(), folder.string().size() + 150);
    EXPECT_EQ(got.find('\n'), std::string::npos);
  }
}

TEST_F(Npy, SizeMustBeExact) {
  const std::string whole = header(kGoodDictionary) + numbers;
  EXPECT_EQ(error_of(whole), "");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string got = error_of(whole.substr(0, size));
    EXPECT_TRUE(got.find("truncated") != got.npos || got.find("not a .npy") != got.npos) << size << ": " << got;
  }
  EXPECT_NE(error_of(whole + "x").find("1 bytes too many"), std::string::npos);
  EXPECT_NE(error_of("PK\3\4" + whole).find("not a .npy file"), std::string::npos);
  EXPECT_NE(error_of(header(kGoodDictionary, 4) + numbers).find("version 4.0"), std::string::npos);
}

TEST_F(Npy, FilesThatAreNone) {
  EXPECT_NE(read_npy((folder / "absent").string(), kShape).error.find("no such file"), std::string::npos);
  EXPECT_NE(read_npy(folder.string(), kShape).error.find("not a regular file"), std::string::npos);
  EXPECT_NE(read_npy("/dev/zero", kShape).error.find("not a regular file"), std::string::npos);
}

/// Mutated headers are parsed or refused in one short line; run under AddressSanitizer this finds out-of-bounds reads.
TEST_F(Npy, MutatedHeaders) {
  constexpr std::string_view kLetters = "{}'\":,()0123456789<f4 shapedecrFalseTrue\n\0\xff";
  std::mt19937_64 random(13);
  const std::string good = header(kGoodDictionary) + numbers;
  int accepted = 0, refused = 0;
  for (int round = 0; round < 100'000; ++round) {
    std::string bytes = good;
    for (auto edits = 1 + random() % 3; edits > 0; --edits) {
      const std::size_t at = random() % bytes.size();
      if (random() % 4 == 0)
        bytes.erase(at, 1 + random() % 4);
      else
        bytes[at] = random() % 2 ? kLetters[random() % kLetters.size()] : static_cast<char>(random());
    }
    const NpyHeader parsed = parse_npy_header(bytes);
    (parsed.error.empty() ? accepted : refused)++;
    ASSERT_LT(parsed.error.size(), 150u);
    ASSERT_TRUE(!parsed.error.empty() || parsed.data_offset <= bytes.size());
  }
  EXPECT_GT(accepted, 1000);
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace convbwd::support
