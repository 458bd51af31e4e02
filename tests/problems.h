// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "core/descriptor.h"

namespace convbwd {

/// Problems that are awkward on purpose: no two extents equal where the filter allows it, tails for every tile size,
/// and each of them small enough for the definition to take milliseconds.
inline constexpr const char* kAwkwardDescriptors[] = {
    // the worked example, and the smallest of all
    "mb1ic1ih3oc1kh2",
    "mb1ic1ih1oc1kh1",
    "mb3ic2ih1iw1oc5kh1kw1",
    // 3x3 stride 1: odd and even outputs, every kind of pad, channels and filters around 1, 8, 16, 32
    "mb1ic1ih5iw6oc2kh3kw3",
    "mb2ic3ih9iw7oc4kh3kw3ph1pw1",
    "mb1ic7ih6iw11oc9kh3kw3ph1pw1",
    "mb2ic8ih8iw10oc16kh3kw3ph1pw1",
    "mb1ic15ih7iw13oc17kh3kw3ph0pw0",
    "mb3ic16ih5iw4oc8kh3kw3ph2pw2",
    "mb1ic31ih14iw12oc33kh3kw3ph1pw1",
    "mb1ic33ih9iw19oc31kh3kw3ph1pw1",
    "mb2ic32ih11iw8oc1kh3kw3ph1pw1",
    "mb2ic1ih10iw17oc32kh3kw3ph1pw1",
    "mb1ic5ih4iw40oc6kh3kw3ph1pw1",
    "mb1ic4ih37iw3oc7kh3kw3ph1pw1",
    "mb1ic2ih3iw3oc3kh3kw3ph1pw1",
    "mb1ic66ih6iw5oc65kh3kw3ph1pw1",
    "mb2ic5ih8iw9oc11oh8ow10kh3kw3ph0pw2",
    "mb2ic6ih9iw13oc10oh10ow12kh3kw3ph2pw1",
    "mb1ic9ih7iw6oc5oh4ow3kh3kw3ph1pw0",
    "mb1ic3ih5iw7oc4kh3kw3ph4pw3",
    // windows without a pixel along one axis or the other
    "mb1ic2ih1iw1oc3oh1ow2kh3kw3ph1pw4",
    "mb2ic3ih1iw4oc2oh2ow3kh3kw3ph4pw1",
    // 1x1, strides 1 and 2, and with a pad
    "mb2ic13ih5iw7oc11kh1kw1",
    "mb3ic17ih9iw6oc24kh1kw1",
    "mb1ic40ih3iw4oc37kh1kw1",
    "mb2ic9ih8iw11oc12kh1kw1sh2sw2",
    "mb1ic21ih7iw5oc19kh1kw1sh2sw3",
    "mb2ic6ih5iw4oc3kh1kw1ph1pw2",
    "mb2ic26ih9iw11oc9kh1kw1sh3sw2ph2pw1",
    "mb2ic17ih8iw9oc12kh1kw1sh2sw2ph1pw1",
    "mb2ic9ih7iw8oc6kh3kw1sh1sw2ph1pw0",
    "mb2ic9ih6iw1oc6kh3kw3sh2sw2ph1pw1",
    "mb2ic17ih12iw9oc10kh1kw3sh2sw2ph1pw1",
    // pointwise with pixels as lanes: more filters than a slab has, tails of pixels and channels, several blocks
    "mb2ic2ih24iw20oc300kh1kw1",
    "mb1ic9ih6iw7oc700kh1kw1",
    "mb3ic23ih5iw7oc300kh1kw1",
    "mb1ic5ih40iw30oc9kh1kw1",
    "g2mb2ic26ih9iw11oc20kh1kw1",
    // groups of a vector of channels, enough of them to fill vectors
    "g8mb2ic64ih7iw9oc56kh3kw3ph1pw1",
    "g16mb1ic112ih9iw8oc128kh3kw3sh2sw2ph1pw1",
    // more blocks of groups than chunks
    "g75mb5ic75ih7iw7oc75kh3kw3ph1pw1",
    // strides, stems, rectangular filters
    "mb1ic3ih19iw23oc8kh7kw7sh2sw2ph3pw3",
    "mb2ic3ih27iw31oc5kh11kw11sh4sw4ph2pw2",
    "mb2ic7ih11iw14oc10kh3kw3sh2sw2ph1pw1",
    "mb1ic18ih12iw9oc14kh3kw3sh2sw1ph1pw1",
    "mb1ic4ih13iw10oc6kh3kw3sh1sw3ph1pw0",
    "mb1ic6ih12iw9oc7kh5kw5ph2pw2",
    "mb2ic5ih9iw16oc6kh1kw7ph0pw3",
    "mb2ic4ih15iw8oc9kh7kw1ph3pw0",
    "mb1ic3ih8iw10oc5kh2kw5ph1pw1",
    "mb1ic5ih10iw7oc3kh4kw2sh3sw2ph2pw0",
    // patches: no window shares a pixel; images joined in tiles and bands, slabs of filters, vectors of columns
    "mb2ic3ih12iw20oc9kh4kw4sh4sw4",
    "mb3ic3ih32iw48oc7kh16kw16sh16sw16",
    "mb2ic2ih9iw10oc300kh2kw1sh3sw2",
    "mb3ic2ih60iw42oc130kh2kw3sh2sw3",
    "mb1ic1ih6iw16oc3kh2kw8sh2sw8",
    // stride larger than the filter, rows and columns that no window reads
    "mb2ic3ih11iw13oc4kh2kw3sh3sw5",
    "mb1ic5ih14iw9oc2kh1kw2sh4sw3ph1pw1",
    "mb2ic4ih12iw10oc3oh3ow2kh3kw2sh2sw3ph0pw0",
    "mb1ic2ih9iw15oc5oh2ow4kh3kw3ph0pw1",
    // pads of the filter's size and more, windows that lie wholly in the padding, sides that differ
    "mb1ic3ih4iw5oc2kh3kw2ph3pw2",
    "mb2ic2ih3iw6oc5kh2kw3ph5pw4sh2sw1",
    "mb1ic4ih7iw5oc3oh9ow6kh3kw4ph1pw3",
    "mb2ic3ih6iw8oc4oh5ow11kh4kw3sh1sw1ph0pw4",
    "mb1ic2ih2iw3oc4oh7ow5kh2kw4ph1pw0",
    "mb1ic1ih1iw1oc1oh1ow1kh3kw3ph0pw3",  // no tap meets the image
    // widths, and images of one pixel, for which libraries have loops of their own
    "mb2ic3ih6iw56oc2kh1kw1",
    "mb1ic2ih5iw111oc3kh1kw1sh2sw2",
    "mb1ic2ih4iw56oc3kh1kw3ph0pw1",
    "mb2ic3ih30iw28oc66kh1kw3ph0pw1",
    "mb2ic3ih1iw1oc5kh3kw3ph1pw1",
    "mb2ic2ih4iw4oc3kh3kw3sh2sw2ph1pw1",
    // dilation, alone and with stride and pads
    "mb2ic3ih9iw11oc4kh3kw2dh1dw2",
    "mb1ic9ih10iw13oc7kh3kw3ph2pw2dh1dw1",
    "mb1ic5ih12iw15oc6kh3kw3ph1pw3dh2dw0",
    "mb2ic4ih13iw11oc3kh2kw3sh2sw3ph1pw2dh3dw1",
    "mb1ic6ih17iw14oc5kh3kw4sh3sw2ph4pw1dh1dw2",
    "mb1ic3ih7iw9oc2kh3kw3ph5pw6dh1dw2",
    // a single filter: what the transforms lose of its dx averages with nothing
    "mb8ic40ih31iw13oc1oh32ow14kh2kw2ph1pw1",
    // margins of different widths on either side of the few outputs that a row of dx meets
    "mb1ic24ih5iw4oc8kh3kw4",
    "mb2ic12ih6iw11oc9kh2kw8",
    "mb1ic7ih4iw25oc12kh1kw7sh2sw3ph1pw1",
    // outputs of one pixel
    "mb5ic6ih4iw3oc7kh4kw3",
    "mb3ic11ih2iw5oc13kh4kw5ph1pw0",
    "mb4ic3ih7iw6oc5oh1ow1kh3kw2sh5sw4ph1pw0",
    // channels that fill vectors of any width, so that nhwc needs no packing
    "mb2ic32ih7iw9oc16kh3kw3ph1pw1",
    "mb1ic48ih12iw9oc64kh3kw3sh2sw2ph1pw1",
    "mb2ic32ih6iw14oc48kh1kw1",
    "mb2ic16ih10iw7oc32kh1kw1sh2sw2",
    "mb1ic16ih9iw10oc32kh2kw4sh3sw1ph1pw2dh1dw0",
    "g2mb2ic64ih6iw5oc32kh3kw3ph1pw1",
    // groups, depthwise, depth multiplier
    "g2mb3ic6ih7iw9oc10kh3kw3ph1pw1",
    "g3mb2ic9ih8iw5oc6kh2kw3sh2sw1ph0pw1",
    "g5mb1ic10ih6iw7oc15kh1kw1",
    "g7mb2ic7ih9iw8oc7kh3kw3ph1pw1",
    "g4mb3ic4ih6iw11oc12kh3kw5sh2sw2ph1pw2dh0dw1",
    "g6mb1ic12ih5iw10oc6kh5kw3ph2pw1",
    // depthwise, groups around 8 and 16: filters of 1 to 9 columns, and far wider than the image
    "g8mb2ic8ih9iw15oc8kh3kw3ph1pw1",
    "g9mb1ic9ih7iw8oc9kh5kw5ph2pw2",
    "g15mb2ic15ih7iw7oc15kh7kw7ph3pw3",
    "g16mb1ic16ih4iw21oc16kh2kw4ph1pw1",
    "g17mb1ic17ih6iw22oc17kh4kw6ph2pw3",
    "g7mb3ic7ih5iw16oc7kh1kw1",
    "g10mb2ic10ih9iw14oc10kh3kw1ph1pw0",
    "g3mb1ic3ih12iw17oc3kh9kw8ph4pw3",
    "g9mb1ic9ih11iw31oc9kh8kw9ph4pw4",
    "g2mb1ic2ih5iw33oc2kh1kw17ph0pw8",
    "g8mb1ic8ih3iw2oc8kh5kw7ph2pw3",
    "g4mb1ic4ih130iw41oc4kh3kw3ph1pw1",
    // and strides, dilations, rows and columns without a window, pads of the filter's size, outputs of one pixel
    "g17mb1ic17ih16iw29oc17kh3kw3sh2sw2ph1pw1",
    "g9mb2ic9ih14iw13oc9kh5kw5sh2sw2ph2pw2",
    "g16mb1ic16ih9iw30oc16kh2kw4sh2sw3ph1pw0",
    "g7mb2ic7ih11iw13oc7kh2kw2sh3sw5",
    "g9mb1ic9ih12iw11oc9oh3ow4kh3kw2sh2sw2ph0pw0",
    "g8mb1ic8ih13iw23oc8kh3kw3ph2pw2dh1dw1",
    "g10mb2ic10ih13iw17oc10kh3kw5sh2sw3ph2pw3dh2dw1",
    "g5mb1ic5ih11iw26oc5kh2kw4sh3sw4ph1pw6dh1dw5",
    "g4mb2ic4ih3iw5oc4kh3kw2ph4pw3",
    "g12mb3ic12ih4iw3oc12kh4kw3",
    "g9mb1ic9ih7iw5oc9oh1ow1kh3kw2sh5sw4ph1pw0",
    // blocks of outputs: full ones at both edges, tails of one and of most, windows wider than the image, a run of
    // images
    "g9mb5ic9ih7iw7oc9kh3kw3ph1pw1",
    "g17mb2ic17ih6iw15oc17kh3kw3ph1pw2",
    "g5mb2ic5ih7iw20oc5kh5kw5ph4pw4",
    "g8mb2ic8ih9iw14oc8kh4kw7ph1pw6",
    "g6mb3ic6ih5iw1oc6kh3kw3ph1pw1",
    "g7mb2ic7ih8iw9oc7oh8ow8kh3kw5ph1pw0",
    // and with stride 2: odd and even widths, windows that begin beyond either edge, an odd row of taps left over
    "g9mb2ic9ih15iw29oc9kh5kw5sh2sw2ph2pw2",
    "g8mb2ic8ih13iw28oc8kh7kw7sh2sw2ph3pw3",
    "g5mb2ic5ih9iw12oc5kh3kw5sh1sw2ph1pw4",
    "g6mb2ic6ih8iw31oc6kh7kw3sh3sw2ph3pw0",
    "g7mb1ic7ih5iw9oc7oh4ow11kh3kw3sh2sw2ph2pw5",
    // output by output: one, two and three rows of taps, odd widths and strides, no output whose window is whole
    "g9mb3ic9ih7iw15oc9kh3kw3sh2sw2ph1pw1",
    "g8mb2ic8ih8iw1oc8kh5kw3sh2sw2ph2pw1",
    "g6mb2ic6ih9iw5oc6kh4kw7sh2sw2ph1pw3",
    "g5mb2ic5ih10iw19oc5kh7kw6sh1sw3ph3pw5",
    // groups of a few channels, and multipliers both ways
    "g9mb1ic9ih8iw10oc27kh3kw3ph1pw1",
    "g8mb2ic24ih5iw11oc8kh3kw3sh2sw2ph1pw1",
    "g17mb1ic34ih7iw6oc34kh2kw5ph0pw2dh1dw1",
    "g11mb2ic44ih6iw9oc44kh3kw3ph1pw1",
    "g3mb1ic15ih9iw8oc21kh3kw3sh2sw2ph1pw1",
    "g2mb2ic16ih7iw15oc16kh3kw3ph1pw1",
    "g6mb2ic12ih7iw9oc18kh1kw1",
    "g5mb1ic20ih8iw9oc15kh1kw1sh2sw2",
};

/// Ends the program on a descriptor that does not parse: the list above is part of the tests.
inline Problem problem_of(std::string_view text) {
  const Descriptor descriptor = parse_descriptor(text);
  if (!descriptor) {
    std::fprintf(stderr, "%.*s: %s\n", static_cast<int>(text.size()), text.data(), descriptor.error.c_str());
    std::abort();
  }
  return descriptor.problem;
}

inline std::vector<Problem> awkward_problems() {
  std::vector<Problem> problems;
  for (const char* text : kAwkwardDescriptors) problems.push_back(problem_of(text));
  return problems;
}

}  // namespace convbwd
