// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "core/problem.h"

namespace convbwd {

// A layer in one word, in the language of oneDNN's benchdnn:
//
//     g mb ic ih iw oc oh ow kh kw sh sw ph pw dh dw n"name*count"       each followed by its number, in any order
//
// `_` between fields means nothing, and everything after `n` is the name. Defaults: mb 2, g 1, strides 1, dh and dw 0
// (dense). ic, oc, ih and kh are required. Width fields are copied from the height ones when none is given; sw1, dw0,
// and a pw0 that agrees with ph are not taken as given. Otherwise they stand alone, and iw and kw are required.
// Rows, and columns likewise:
//     ph          the top pad; the bottom pad is as large, or whatever oh makes it
//     oh          the bottom pad is what makes it so, and negative where rows at the end are read by no output
//     oh, no ph   ph = floor(total pad / 2), but at least 0
//     neither     no padding
// Fields of depth (id kd od sd pd dd) and layers without a height are other kinds of convolution, `unsupported`.

/// What a descriptor says, or why it cannot be used.
struct Descriptor {
  Problem problem;
  std::string name;  // without quotes and count; may be empty, and may hold any byte
  Dim count = 1;     // how often the layer occurs in its network

  std::string error;         // one short line that names the field; empty: all is well
  bool unsupported = false;  // the error is not a mistake: a kind of convolution this project does not treat

  explicit operator bool() const { return error.empty(); }
};

Descriptor parse_descriptor(std::string_view text);

/// The one spelling of a problem; parse_descriptor() gives the same problem back. oh and ph are always there, defaults
/// otherwise not, width only where it differs from the height.
std::string to_string(const Problem& problem);

/// `text` fit for a message: one line of at most 40 printable characters.
std::string excerpt(std::string_view text);

}  // namespace convbwd
