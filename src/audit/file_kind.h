#pragma once

#include <string>
#include <string_view>

#include "format/value_tree.h"

namespace archway::audit {

enum class FileKind { Other, Yaml, Json, Dockerfile, Compose, Pipeline, Jenkinsfile, Kustomization, Chart, List };

// By name alone: what a folder's file is for. Other: nothing that holds images.
FileKind file_kind(std::string_view path);
// Of a file that was named by the user, or of standard input: by name, else by what is in it.
FileKind text_kind(std::string_view path, std::string_view text);

enum class DocumentKind { Empty, Kubernetes, Compose, Pipeline, Values, Objects };
// By content. Objects: a list whose items may be anything of these.
DocumentKind document_kind(const Value& root);

}  // namespace archway::audit
