// SPDX-License-Identifier: Apache-2.0
#include "core/proof.h"

#include <chrono>
#include <limits>

namespace convbwd {
namespace {

Verdict wrong(Verdict verdict, std::string reason) {
  verdict.wrong = std::move(reason);
  return verdict;
}

}  // namespace

Verdict prove(Session& session, const Reference& reference, double slow_seconds, double& first_seconds) {
  using Clock = std::chrono::steady_clock;
  reference.load(session);
  session.prepare();
  const auto start = Clock::now();
  session.execute();
  first_seconds = std::chrono::duration<double>(Clock::now() - start).count();
  Verdict verdict = reference.judge(session.output(), session.implementation());
  if (std::string damage = session.damage(); !damage.empty() && verdict) return wrong(verdict, damage);
  if (!verdict || first_seconds > slow_seconds) return verdict;

  session.execute();
  Verdict again = reference.judge(session.output(), session.implementation());
  if (!again) return wrong(again, "right when executed once, wrong when executed again: " + again.wrong);
  if (std::string damage = session.damage(); !damage.empty()) return wrong(again, damage);
  return verdict;
}

Verdict prove(Session& session, const Reference& reference) {
  double seconds;
  return prove(session, reference, std::numeric_limits<double>::infinity(), seconds);
}

}  // namespace convbwd
