#include "build/output.h"

#include "base/text.h"

namespace archway::build {

namespace {

Result<bool> parse_bool(const std::string& key, const std::string& value) {
  if (value == "true" || value == "1") return true;
  if (value == "false" || value == "0") return false;
  return Error{Code::Invalid, "output: " + key + "=" + value + ": neither true nor false"};
}

Result<Output::Type> parse_type(const std::string& type) {
  if (type == "registry") return Output::Type::Registry;
  if (type == "oci") return Output::Type::Oci;
  if (type == "docker") return Output::Type::Docker;
  if (type == "local") return Output::Type::Local;
  if (type == "tar") return Output::Type::Tar;
  if (type == "image") return Output::Type::Registry;
  auto near = nearest(type, {"registry", "image", "oci", "docker", "local", "tar"});
  return Error{Code::Invalid, "output type \"" + type + "\" is not known" + (near ? " (did you mean " + *near + "?)" : "") + "; there is registry, oci, docker, local and tar"};
}

}  // namespace

Result<Output> parse_output(const std::string& text) {
  Output output;
  // `-o DIR` is a folder, `-o -` a tar on standard output: docker's short forms.
  if (text.find('=') == std::string::npos) {
    if (text.empty()) return Error{Code::Invalid, "output: nothing was given"};
    output.type = text == "-" ? Output::Type::Tar : Output::Type::Local;
    output.dest = text;
    return output;
  }
  bool typed = false, image = false, push = false;
  for (const std::string& part : split(text, ',')) {
    auto [key, value] = cut(part, '=');
    if (!value) return Error{Code::Invalid, "output: \"" + part + "\" is not KEY=VALUE"};
    std::string name = to_lower(trim(key)), given(*value);
    if (name == "type") {
      output.type = TRY(parse_type(given));
      image = given == "image";
      typed = true;
    } else if (name == "dest") {
      output.dest = given;
    } else if (name == "tar") {
      output.tar = TRY(parse_bool(name, given));
    } else if (name == "name") {
      output.names.push_back(given);
    } else if (name == "push") {
      push = TRY(parse_bool(name, given));
    } else {
      return Error{Code::Unsupported, "output: \"" + name + "\" is not supported by this version of archway; there is type, dest, tar, name and push"};
    }
  }
  if (!typed) return Error{Code::Invalid, "output: \"" + text + "\" has no type"};
  if (image && !push) return Error{Code::Unsupported, "output type=image needs push=true: archway keeps no image store; type=oci,dest=FILE writes a file"};
  if (output.type != Output::Type::Registry && output.dest.empty()) {
    if (output.type == Output::Type::Local) return Error{Code::Invalid, "output type=local needs dest=FOLDER"};
    if (output.type == Output::Type::Oci && !output.tar) return Error{Code::Invalid, "output type=oci,tar=false needs dest=FOLDER"};
    output.dest = "-";
  }
  return output;
}

}  // namespace archway::build
