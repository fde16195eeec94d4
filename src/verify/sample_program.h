#pragma once

#include <elf.h>

#include <string>
#include <vector>

#include "base/check.h"
#include "format/tar.h"
#include "image/sample_image.h"

// Tiny programs and layers, for tests.
namespace archway::test {

struct SampleElf {
  uint16_t machine = EM_X86_64;
  uint8_t elf_class = 2, data = 1;
  uint16_t type = ET_DYN;
  std::string interpreter = {};  // 64-bit little endian only
};

inline std::string elf_file(const SampleElf& elf) {
  std::string bytes("\x7f" "ELF", 4);
  bytes.resize(64, '\0');
  auto put = [&](size_t offset, size_t size, uint64_t value) {
    for (size_t i = 0; i < size; i++) bytes[offset + (elf.data == 1 ? i : size - 1 - i)] = static_cast<char>(value >> (8 * i));
  };
  bytes[4] = static_cast<char>(elf.elf_class);
  bytes[5] = static_cast<char>(elf.data);
  put(16, 2, elf.type);
  put(18, 2, elf.machine);
  if (elf.interpreter.empty()) return bytes;
  CHECK(elf.elf_class == 2 && elf.data == 1);
  bytes.resize(64 + sizeof(Elf64_Phdr), '\0');
  put(32, 8, 64);                      // e_phoff
  put(54, 2, sizeof(Elf64_Phdr));
  put(56, 2, 1);
  put(64, 4, PT_INTERP);
  put(64 + 8, 8, bytes.size());        // p_offset
  put(64 + 32, 8, elf.interpreter.size() + 1);
  return bytes + elf.interpreter + '\0';
}
inline std::string amd64_program(std::string interpreter = {}) { return elf_file({.machine = EM_X86_64, .interpreter = std::move(interpreter)}); }
inline std::string arm64_program(std::string interpreter = {}) { return elf_file({.machine = EM_AARCH64, .interpreter = std::move(interpreter)}); }

struct SampleFile {
  std::string path;
  std::string content = {};
  TarType type = TarType::Regular;
  std::string link = {};
  uint32_t mode = 0755;
};
inline SampleFile link_file(std::string path, std::string target) { return {std::move(path), "", TarType::Symlink, std::move(target)}; }
inline SampleFile hard_file(std::string path, std::string target) { return {std::move(path), "", TarType::Hardlink, std::move(target)}; }
inline SampleFile folder(std::string path) { return {std::move(path), "", TarType::Directory}; }

inline std::string layer_tar(const std::vector<SampleFile>& files) {
  StringSink sink;
  TarWriter writer(sink);
  for (const SampleFile& file : files) {
    TarEntry entry{.path = file.path, .type = file.type, .mode = file.mode, .size = file.content.size(), .link = file.link};
    CHECK(writer.begin(entry).ok());
    if (!file.content.empty()) CHECK(writer.data(as_bytes(file.content)).ok());
  }
  CHECK(writer.finish().ok());
  return std::move(sink.text);
}

// An image in a store, with a history line "LINE n" for the nth layer.
struct ImageSpec {
  Platform platform = {"linux", "arm64"};
  std::vector<std::vector<SampleFile>> layers = {};
  std::vector<std::string> entrypoint = {}, cmd = {};
  std::vector<std::string> env = {};
  std::string working_dir = {};
  std::vector<std::string> history = {};
};
inline ImageConfig config_of(const ImageSpec& spec) {
  ImageConfig config;
  config.platform = spec.platform;
  if (!spec.entrypoint.empty()) config.entrypoint = spec.entrypoint;
  if (!spec.cmd.empty()) config.cmd = spec.cmd;
  config.env = spec.env;
  config.working_dir = spec.working_dir;
  return config;
}
inline Root put_image(MemoryStore& store, ImageConfig config, const std::vector<Descriptor>& layers) {
  Manifest manifest{std::string(media_type::kOciManifest), store.put_bytes(media_type::kOciConfig, write_image_config(config)), layers};
  std::string raw = write_manifest(manifest);
  return {store.put_bytes(media_type::kOciManifest, raw), raw};
}
inline Root make_image(MemoryStore& store, const ImageSpec& spec) {
  ImageConfig config = config_of(spec);
  std::vector<Descriptor> layers;
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    std::string tar = layer_tar(spec.layers[i]);
    config.diff_ids.push_back(Digest::of(tar));
    config.history.push_back({.created_by = i < spec.history.size() ? spec.history[i] : "LINE " + std::to_string(i + 1)});
    layers.push_back(store.put_bytes(media_type::kOciLayerTar, tar));
  }
  return put_image(store, std::move(config), layers);
}

}  // namespace archway::test
