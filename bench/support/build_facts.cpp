// SPDX-License-Identifier: Apache-2.0
#include "support/build_info.h"
#include "support/commit.h"
#include "support/machine.h"

#ifdef CONVBWD_HAS_DNNL
#include <dnnl.h>
#endif
#ifdef CONVBWD_HAS_OPENBLAS
extern "C" char* openblas_get_config();
#endif
#ifdef CONVBWD_HAS_BLIS
extern "C" char* bli_info_get_version_str();
#endif
#ifdef CONVBWD_HAS_LIBXSMM
#include <libxsmm_version.h>
#endif

namespace convbwd::support {

Facts build_facts() {
  Facts facts;
  for (const auto& [key, value] : kBuildInfo) facts.emplace_back(key, or_unknown(value));
  facts.emplace_back("commit", kCommit);
  facts.emplace_back("dirty", kDirty);
#ifdef CONVBWD_HAS_DNNL
  const dnnl_version_t* v = dnnl_version();
  facts.emplace_back("onednn_version",
                     std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch));
#endif
#ifdef CONVBWD_HAS_OPENBLAS
  facts.emplace_back("openblas_version", openblas_get_config());
#endif
#ifdef CONVBWD_HAS_BLIS
  facts.emplace_back("blis_version", bli_info_get_version_str());
#endif
#ifdef CONVBWD_HAS_LIBXSMM
  facts.emplace_back("libxsmm_version", LIBXSMM_CONFIG_VERSION);
#endif
  return facts;
}

}  // namespace convbwd::support
