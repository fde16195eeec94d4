#pragma once

#include <vector>

#include "audit/audit.h"

namespace archway::audit {

// What keeps a workload off nodes that its images could run on, or lets it onto nodes where they cannot (audit.md 2 B and C,
// placement.md 5), in the order of its parts. Asks nobody.
std::vector<std::vector<Finding>> placement_findings(const Audit& audit, const AuditOptions& options);

// May a pod go to nodes of this architecture, as far as its node selector and required affinity speak of architectures?
bool allows_architecture(const PodPlacement& placement, const std::string& architecture);

}  // namespace archway::audit
