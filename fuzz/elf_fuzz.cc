#include <cstdint>

#include "base/check.h"
#include "format/elf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace archway;
  Bytes bytes = std::as_bytes(std::span(data, size));
  std::optional<ElfInfo> info = read_elf_header(bytes);
  if (!info) return 0;
  CHECK(!elf_machine_name(*info).empty());
  elf_architecture(*info);
  if (std::optional<std::string> path = read_elf_interpreter(*info, bytes)) CHECK(!path->empty() && path->size() <= size);
  return 0;
}
