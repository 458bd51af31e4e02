// SPDX-License-Identifier: Apache-2.0
#include "core/implementation.h"

#include <cassert>

namespace convbwd {

Plan::~Plan() = default;

std::size_t Plan::workspace_bytes() const { return 0; }
std::size_t Plan::packed_bytes(Role) const { return 0; }
void Plan::pack(Role, View4<const float>, std::byte*) const { assert(!"this plan has no layout of its own"); }
void Plan::unpack(Role, const std::byte*, View4<float>) const { assert(!"this plan has no layout of its own"); }
std::string Plan::resolved() const { return {}; }
std::span<const std::string_view> Plan::stages() const { return {}; }

Support supports_all(const Problem&, Pass) { return yes(); }

}  // namespace convbwd
