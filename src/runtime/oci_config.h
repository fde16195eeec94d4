#pragma once

#include "format/json.h"
#include "runtime/runtime.h"
#include "runtime/user.h"

namespace archway {

struct OciConfigInput {
  const RunSpec& run;
  ContainerUser user;
  std::string resolv_conf, hosts;  // files to bind over the container's
  std::vector<Mount> made_mounts = {};  // what run.tree_mounts, tmpfs_mounts and memory_files have become
  bool terminal = false;
  bool in_user_namespace = false;  // sysfs can only be bound
  bool emulated = false;           // privately: all that runs is the emulator
  bool bind_devices = true;        // not where the runtime binds them itself
  bool one_gid = false;            // no gid 5 for terminals, no supplementary groups
};

// config.json of an OCI bundle whose root is "rootfs" (runtime-spec 1.0). Docker's capabilities, seccomp filter, masked and
// read-only paths. Every mount but the bound devices is nodev: that, not a device cgroup, keeps CAP_MKNOD harmless.
Json oci_config(const OciConfigInput& input);

}  // namespace archway
