// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>

#include "support/text.h"

namespace convbwd::support {

/// Data caches of the first CPU, in bytes; 0 where the system does not tell.
struct Caches {
  std::size_t l1 = 0, l2 = 0, l3 = 0;
  int l3_shared_by = 1;  // CPUs
};
Caches caches();

/// The CPU and the system around it. No host name, user name or path is among them.
Facts machine_facts();

/// Compiler, flags per instruction set, the commit that was built, and versions of the libraries linked.
Facts build_facts();

/// machine_facts, thread_facts, build_facts, and binary_sha256.
Facts all_facts();

/// ISO 8601 with seconds: 2024-11-24T01:53:07Z.
std::string utc_now();

/// What others did to us since the construction.
class Disturbance {
 public:
  Disturbance();
  double steal_seconds() const;       // taken from this virtual machine, summed over its CPUs
  long involuntary_switches() const;  // times a thread of ours had to leave its CPU

  /// Why the CPUs were not ours alone ("other processes kept 0.8 CPUs busy"), or nothing. Not counting a tenth of a
  /// CPU.
  std::string others() const;

 private:
  double steal_;
  long switches_;
  double busy_, own_, start_;
};

}  // namespace convbwd::support
