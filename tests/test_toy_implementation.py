# SPDX-License-Identifier: Apache-2.0
"""Adding an implementation is one folder and one line; removing it is the same backwards.

The list is cut down to the oracle first, so that the build takes seconds.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

TOY = """
#include "core/definition.h"
#include "core/implementation.h"

namespace convbwd::toy {
namespace {
struct ToyPlan final : Plan {
  Problem problem;
  Pass pass;
  ToyPlan(const Problem& a, Pass b) : problem(a), pass(b) {}
  void execute(const Operands& operands, std::span<std::byte>) const override {
    const auto out = operands.output(pass);
    gradient<DoubleSum>(problem, pass, operands.dy, operands.input(inputs_of(pass)[1]),
                        [&](const std::array<Dim, 4>& at, const DoubleSum& sum) {
                          out(at[0], at[1], at[2], at[3]) = static_cast<float>(sum.value);
                        });
  }
};
Support supports(const Problem& problem, Pass) { return problem.G == 1 ? yes() : no("no groups in a toy"); }
std::unique_ptr<Plan> plan(const Problem& problem, Pass pass, const PlanOptions&) {
  return std::make_unique<ToyPlan>(problem, pass);
}
constexpr Implementation rows[] = {
    {.name = "toy", .idea = "shows how", .isa = kCompiledIsa, .supports = supports, .plan = plan}};
}  // namespace
}  // namespace convbwd::toy

CONVBWD_EXPORT_ROWS(convbwd::toy::rows);
"""

PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(toy LANGUAGES CXX)
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_BUILD_TYPE Debug)
find_package(OpenMP REQUIRED COMPONENTS CXX)
add_subdirectory(impls)
add_executable(show show.cpp)
target_link_libraries(show convbwd_impls)
"""

SHOW = """
#include <iostream>
#include "core/proof.h"
#include "core/registry.h"
using namespace convbwd;
int main() {
  const Problem problem{.C = 3, .H = 5, .W = 5, .K = 2, .R = 3, .S = 3, .P = 3, .Q = 3};
  for (const Implementation* row : implementations()) {
    Session session(*row, problem, Pass::data, {});
    const Reference reference(problem, Pass::data, Data::integers, 1, 1);
    std::cout << title(*row) << (prove(session, reference) ? " right" : " wrong") << "\\n";
  }
}
"""


def build_and_show(tree: Path) -> list[str]:
    for command in (["cmake", "-G", "Ninja", "-B", "build"], ["cmake", "--build", "build"]):
        done = subprocess.run(command, check=False, cwd=tree, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    shown = subprocess.run([tree / "build" / "show"], capture_output=True, text=True, timeout=60, check=True)
    return shown.stdout.splitlines()


@pytest.mark.timeout(900)
def test_one_folder_and_one_line(tmp_path: Path) -> None:
    impls = tmp_path / "impls"
    shutil.copytree(ROOT / "impls" / "core", impls / "core")
    shutil.copytree(ROOT / "impls" / "naive", impls / "naive")
    whole_list = (ROOT / "impls" / "CMakeLists.txt").read_text()
    only_oracle = re.sub(r"^conv_impl\((?!naive\b)[^)]*\)\n", "", whole_list, flags=re.MULTILINE)
    (impls / "CMakeLists.txt").write_text(only_oracle)
    (tmp_path / "CMakeLists.txt").write_text(PROJECT)
    (tmp_path / "show.cpp").write_text(SHOW)
    assert build_and_show(tmp_path) == ["naive:baseline right"]

    (impls / "toy").mkdir()
    (impls / "toy" / "toy.cpp").write_text(TOY)
    line = "conv_impl(toy ISAS baseline avx2)\n"
    (impls / "CMakeLists.txt").write_text(only_oracle.replace("\nconv_impl_finish", line + "\nconv_impl_finish"))
    assert build_and_show(tmp_path) == ["naive:baseline right", "toy:baseline right", "toy:avx2 right"]

    shutil.rmtree(impls / "toy")
    (impls / "CMakeLists.txt").write_text(only_oracle)
    assert build_and_show(tmp_path) == ["naive:baseline right"]
