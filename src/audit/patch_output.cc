#include "audit/patch_output.h"

#include <algorithm>

#include "audit/patch_rules.h"
#include "audit/yaml_edit.h"
#include "base/text.h"
#include "format/yaml.h"

namespace archway::audit {

namespace {

std::string escaped(std::string_view key) { return replace_all(replace_all(std::string(key), "~", "~0"), "/", "~1"); }

class PatchWriter {
 public:
  void write(const std::string& path, const Json& have, const Json& want) {
    if (same_value(have, want)) return;
    if (have.is_object() && want.is_object()) return members(path, have, want);
    if (have.is_array() && want.is_array() && items(path, have.items(), want.items())) return;
    op("test", path, &have);
    op("replace", path, &want);
  }
  Json ops = Json::array();

 private:
  void op(std::string_view name, const std::string& path, const Json* value) {
    Json one = Json::object({{"op", Json(name)}, {"path", Json(path)}});
    if (value) one.set("value", *value);
    ops.push(std::move(one));
  }

  void members(const std::string& path, const Json& have, const Json& want) {
    for (const JsonMember& member : have.members()) {
      std::string below = path + "/" + escaped(member.key);
      if (const Json* wanted = want.find(member.key)) {
        write(below, member.value, *wanted);
      } else {
        op("remove", below, nullptr);
      }
    }
    for (const JsonMember& member : want.members()) {
      if (!have.find(member.key)) op("add", path + "/" + escaped(member.key), &member.value);
    }
  }

  // False: not by items.
  bool items(const std::string& path, const Json::Array& have, const Json::Array& want) {
    if (want.size() >= have.size()) {
      for (size_t i = 0; i < have.size(); ++i) write(path + "/" + std::to_string(i), have[i], want[i]);
      for (size_t i = have.size(); i < want.size(); ++i) op("add", path + "/-", &want[i]);
      return true;
    }
    std::vector<size_t> removed;
    size_t next = 0;
    for (size_t i = 0; i < have.size(); ++i) {
      if (next < want.size() && same_value(have[i], want[next])) {
        ++next;
      } else {
        removed.push_back(i);
      }
    }
    if (next != want.size()) return false;
    for (size_t i = removed.size(); i-- > 0;) {
      op("test", path + "/" + std::to_string(removed[i]), &have[removed[i]]);
      op("remove", path + "/" + std::to_string(removed[i]), nullptr);
    }
    return true;
  }
};

std::string indented(const std::string& text, const std::string& blanks) {
  std::string out;
  for (const std::string& line : split(trim(text), '\n')) out += blanks + line + "\n";
  return out;
}

std::string shell_quoted(const std::string& text) { return "'" + replace_all(text, "'", "'\\''") + "'"; }

// "deployment.v1.apps", "pod": kubectl's TYPE.VERSION.GROUP.
std::string kubectl_type(const ChangedObject& object) {
  auto [group, version] = cut(object.api_version, '/');
  std::string kind = to_lower(object.kind);
  return version ? kind + "." + std::string(*version) + "." + std::string(group) : kind;
}

// A comment ends with its line, whatever names hold.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return text;
}

// Where the API server would refuse a patch. Replacing ends the pods that run, so the command is a comment.
std::string in_place_of_patch(const ChangedObject& object, const std::string& why, const std::string& kubectl) {
  std::string out = "# " + one_line(object.kind + " " + object.name) + " cannot be patched: " + why + ".\n";
  if (object.have["metadata"]["annotations"].has("kubernetes.io/config.mirror")) return out;
  for (const std::string& keeper : other_keepers(object.have)) out += "# It is " + one_line(keeper) + ".\n";
  out += "# This replaces it, and ends what runs of it:\n";
  // JSON on one line: nothing in it can end the comment or the text that the shell reads.
  return out + "# " + kubectl + "replace --force -f - <<'END'\n# " + to_json(as_created_anew(object.want)) + "\n# END\n";
}

bool is_object(const ChangedObject& object) { return !object.kind.empty() && !object.api_version.empty(); }

Json overlay(const Json& have, const Json& want) {
  if (!have.is_object() || !want.is_object()) return want;
  Json out = Json::object();
  for (const JsonMember& member : have.members()) {
    const Json* wanted = want.find(member.key);
    if (!wanted) out.set(member.key, Json());
    if (wanted && !same_value(member.value, *wanted)) out.set(member.key, overlay(member.value, *wanted));
  }
  for (const JsonMember& member : want.members()) {
    if (!have.find(member.key)) out.set(member.key, member.value);
  }
  return out;
}

void merge(Json& into, const Json& from) {
  for (const JsonMember& member : from.members()) {
    Json* there = into.find(member.key);
    if (there && there->is_object() && member.value.is_object()) {
      merge(*there, member.value);
    } else {
      into.set(member.key, member.value);
    }
  }
}

}  // namespace

Json json_patch(const Json& have, const Json& want) {
  PatchWriter writer;
  writer.write("", have, want);
  return std::move(writer.ops);
}

std::string kustomize_patches(const std::vector<ChangedObject>& objects) {
  std::string out;
  for (const ChangedObject& object : objects) {
    if (!is_object(object) || object.name.empty()) continue;
    auto [group, version] = cut(object.api_version, '/');
    Json target = Json::object();
    if (version) target.set("group", Json(group));
    target.set("version", Json(version.value_or(group)));
    target.set("kind", object.kind);
    target.set("name", object.name);
    if (!object.name_space.empty()) target.set("namespace", object.name_space);
    out += "- target:\n" + indented(to_yaml(target), "    ") + "  patch: |-\n" + indented(to_yaml(json_patch(object.have, object.want)), "    ");
  }
  if (out.empty()) return out;
  return "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\npatches:\n" + out;
}

std::string kubectl_patches(const std::vector<ChangedObject>& objects, const std::vector<std::string>& flags) {
  std::string out, kubectl = "kubectl ";
  for (const std::string& flag : flags) kubectl += one_line(shell_quoted(flag)) + " ";
  for (const ChangedObject& object : objects) {
    if (!is_object(object)) continue;
    if (object.name.empty()) {
      out += "# an object of kind " + object.kind + " without a name: change it where it is created\n";
      continue;
    }
    Json operations = json_patch(object.have, object.want);
    if (std::string why = why_unpatchable(object, operations); !why.empty()) {
      out += in_place_of_patch(object, why, kubectl);
      continue;
    }
    for (const std::string& keeper : other_keepers(object.have)) out += "# " + one_line(object.kind + " " + object.name + " is " + keeper) + "\n";
    out += kubectl + (object.name_space.empty() ? std::string() : "-n " + shell_quoted(object.name_space) + " ") + "patch " + shell_quoted(kubectl_type(object)) + " " +
           shell_quoted(object.name) + " --type=json -p " + shell_quoted(to_json(operations)) + "\n";
  }
  return out;
}

std::string helm_values(const std::vector<ChangedObject>& objects) {
  Json all = Json::object();
  for (const ChangedObject& object : objects) {
    if (!is_object(object)) merge(all, overlay(object.have, object.want));
  }
  return all.size() == 0 ? "" : to_yaml(all);
}

}  // namespace archway::audit
