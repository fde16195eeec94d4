#include "registry/docker_config.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>

#include "base/fd.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // A configuration that names a helper would run programs.
  std::string text(reinterpret_cast<const char*>(data), size);
  if (text.find("cred") != std::string::npos || text.find("\\u") != std::string::npos) return 0;
  archway::Fd file(::memfd_create("config", MFD_CLOEXEC));
  if (!archway::write_all(file.get(), archway::as_bytes(text)).ok()) return 0;
  auto config = archway::DockerConfig::load("/proc/self/fd/" + std::to_string(file.get()));
  if (config.ok()) {
    (void)config->credentials_for("docker.io");
    (void)config->credentials_for("example.org:5000");
  }
  return 0;
}
