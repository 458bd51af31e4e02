// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <dnnl.hpp>
#include <string>
#include <vector>

#include "core/implementation.h"

namespace convbwd::onednn {

using dnnl::memory;

/// A plain tensor: in the layout's order, or with the strides of a view.
memory::desc plain(const Problem& problem, Role role, Layout layout);
memory::desc strided(const Problem& problem, Role role, const std::array<Dim, 4>& stride);

/// Scratchpad from us, strict float arithmetic.
dnnl::primitive_attr attributes();

/// A convolution primitive and the layouts it asks for, by role.
struct Kernel {
  dnnl::primitive run;
  memory::desc layout[kRoles];
  memory::desc scratchpad;
  std::string name;
  std::string standing;  // where it stands in the order in which the library offers its kernels
};

int argument(Role role);

/// The library's own choice.
Kernel preferred_kernel(const dnnl::engine& engine, const Problem& problem, Pass pass, Layout layout);

/// Everything the library offers, each kernel once, reference loops only where there is nothing else. It offers one set
/// of kernels where it may choose all layouts, and further ones for activations in nhwc; for nchw none that it does not
/// offer anyway.
std::vector<Kernel> every_kernel(const dnnl::engine& engine, const Problem& problem, Pass pass);

}  // namespace convbwd::onednn
