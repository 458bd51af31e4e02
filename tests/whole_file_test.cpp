// SPDX-License-Identifier: Apache-2.0
//
// A file is there whole, or what was there before is.
#include "support/whole_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "support/text.h"

namespace convbwd::support {
namespace {

namespace fs = std::filesystem;

class WholeFile : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder); }
  void TearDown() override { fs::remove_all(folder); }
  auto files() const { return std::distance(fs::directory_iterator(folder), {}); }

  const fs::path folder = fs::path(testing::TempDir()) / ("convbwd_whole_file_test." + std::to_string(getpid()));
  const std::string file = (folder / "out").string();
};

TEST_F(WholeFile, HoldsThePiecesInOrderAndReplacesWhatWasThere) {
  for (const char* text : {"first ", "second "}) {
    EXPECT_EQ(write_whole(file, {text, "", "piece"}).error, "");
    EXPECT_EQ(text_of(file), std::string(text) + "piece");
  }
  EXPECT_EQ(files(), 1) << "a temporary file was left";
  const mode_t mask = umask(0);
  umask(mask);
  EXPECT_EQ(fs::status(file).permissions(), static_cast<fs::perms>(0666 & ~mask));
}

TEST_F(WholeFile, OneThatCannotBeFinishedLeavesTheOlder) {
  ASSERT_EQ(write_whole(file, {"older"}).error, "");
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 1000;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const Written written = write_whole(file, {std::string(900, 'a'), std::string(900, 'b')});
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(written.error, "cannot be written: File too large");
  EXPECT_FALSE(written.disk_full);
  EXPECT_EQ(text_of(file), "older");
  EXPECT_EQ(files(), 1) << "a temporary file was left";
}

TEST_F(WholeFile, OnlyRegularFilesAreReplaced) {
  fs::create_symlink("elsewhere", file);
  for (const std::string& taken : {folder.string(), file, std::string("/dev/null")}) {
    EXPECT_EQ(reason_not_to_write(taken), "is there and is not a regular file") << taken;
    EXPECT_EQ(write_whole(taken, {"text"}).error, "is there and is not a regular file") << taken;
  }
  EXPECT_TRUE(fs::is_symlink(file));
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  const std::string lost = (folder / "absent" / "out").string();
  EXPECT_EQ(reason_not_to_write(lost), "cannot write to its folder: No such file or directory");
}

}  // namespace
}  // namespace convbwd::support
