#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kustomize/resource.h"
#include "kustomize/trees.h"

namespace archway::kustomize {

// "spec.template.spec.containers.[name=web].image" taken apart; "\." is a dot, "[a.b]" one step.
std::vector<std::string> split_field_path(std::string_view path);

// One entry of `replacements:`: a field of one object (or a constant) copied to fields of others. All or nothing.
Result<void> replace_fields(const Value& replacement, std::vector<Resource>& resources, Trees& trees);

// `vars:`: "$(NAME)" in arguments, commands and values of variables, and in what `fields` names besides.
struct Variable {
  std::string name, value;
};
// The value of one entry, looked up by its objref and fieldref.
Result<Variable> read_variable(const Value& entry, const std::vector<Resource>& resources);
void expand_variables(const std::vector<Variable>& variables, const std::vector<FieldSpec>& fields, std::vector<Resource>& resources, Trees& trees);

}  // namespace archway::kustomize
