#include "scheduler/decision.h"

namespace archway::scheduler {

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::Unschedulable: return "Unschedulable";
    case Verdict::UnschedulableAndUnresolvable: return "UnschedulableAndUnresolvable";
    case Verdict::Gated: return "Gated";
  }
  return "";
}

}  // namespace archway::scheduler
