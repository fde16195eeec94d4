#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "image/descriptor.h"
#include "image/reference.h"

// index.json of an OCI image layout: which images a folder or an archive holds, by name (image-spec, image-layout.md).
namespace archway {

inline constexpr std::string_view kLayoutFile = R"({"imageLayoutVersion":"1.0.0"})";  // the content of "oci-layout"
inline constexpr uint64_t kMaxLayoutIndexBytes = 64 << 20;
inline constexpr std::string_view kRefName = "org.opencontainers.image.ref.name";
inline constexpr std::string_view kContainerdName = "io.containerd.image.name";

Result<std::vector<Descriptor>> parse_layout_index(std::string_view raw);

// An entry as skopeo writes it: `name` word for word as ref.name; "" for an entry without a name.
Descriptor layout_entry(const Descriptor& root, std::string_view name);
// An entry as BuildKit writes it: the tag as ref.name, the whole reference beside it.
Descriptor layout_entry(const Descriptor& root, const Reference& name);

// The index with `entry` in it, in place of one that bears the same name. "" makes a new one. What else stands in
// the index stays as it is.
Result<std::string> add_to_layout_index(std::string_view raw, const Descriptor& entry);

// The entry called `name`: its ref.name, its whole reference, or its digest. "" is the only image there is.
// NotFound and Invalid say which names there are.
Result<Descriptor> find_in_layout(const std::vector<Descriptor>& entries, std::string_view name, std::string_view shown_place);

// index.json below `root`. Readers see the old or the new one, whole; writers wait for each other, also across processes.
Result<std::vector<Descriptor>> read_layout_index(const std::string& root);
Result<void> update_layout_index(const std::string& root, const std::function<Result<std::string>(std::string_view)>& change);

}  // namespace archway
