#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "build/file_source.h"

namespace archway::build {

// A build context as COPY sees it: a folder, without what its ignore file leaves out (`<Dockerfile>.dockerignore`, else `.dockerignore`).
// `cache_folder` keeps what is known of its files' contents. All files are root's, as docker's client sends them.
Result<std::shared_ptr<FileSource>> open_context_source(const std::string& folder, const std::string& dockerfile_path, const std::string& cache_folder,
                                                        std::stop_token stop);

}  // namespace archway::build
