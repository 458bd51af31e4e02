// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/workload.h"

namespace convbwd::support {

/// Names of the workloads that come with the project, in alphabetical order. They are looked for in the source tree
/// this program was built from, and if that is gone, in a folder `workloads` beside the program.
std::vector<std::string> shipped_workloads();

/// A shipped workload by name, otherwise a file. Ends the program with one line where it cannot be read.
Workload workload_or_exit(const std::string& name_or_file);

/// What a command line asks for: workloads, and then bare descriptors as one workload called `problem`, whose layers
/// are called by their names or else by their descriptors. `batch` replaces every batch, unless it is 0. Ends the
/// program where one cannot be used.
std::vector<Workload> workloads_or_exit(const std::vector<std::string>& names_or_files,
                                        const std::vector<std::string>& descriptors, Dim batch);

}  // namespace convbwd::support
