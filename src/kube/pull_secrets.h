#pragma once

#include <string>
#include <vector>

#include "format/json.h"
#include "kube/client.h"

namespace archway::kube {

// A Secret of type kubernetes.io/dockerconfigjson or kubernetes.io/dockercfg as a docker config document ({"auths": ...}).
Result<std::string> docker_config_of_secret(const Json& secret);

// The docker config documents that a pod's images are pulled with, in the kubelet's order: its imagePullSecrets, else (as admission
// would fill in) its service account's. Secrets that are missing or not readable are left out and named in `missing`.
struct PullSecrets {
  std::vector<std::string> docker_configs;
  std::vector<std::string> missing;  // "default/regcred: forbidden"
};
Result<PullSecrets> pull_secrets_of(Client& client, const std::string& name_space, const Json& pod_spec, std::stop_token stop = {});

}  // namespace archway::kube
