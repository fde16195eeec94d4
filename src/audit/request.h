#pragma once

#include "audit/finding.h"

namespace archway::audit {

// One remedy at one place: a finding may stand at several. Both must outlive it.
struct Request {
  const Finding* finding = nullptr;
  const Place* place = nullptr;
};

}  // namespace archway::audit
