#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "format/value_tree.h"
#include "registry/lookup.h"

// Pull secrets among manifests and dumps: what there is, and who asks for it. Secrets may come before or after the pods, or in another
// file, so they are brought together when all has been read. Nothing of them is ever printed or written.
namespace archway::audit {

inline constexpr size_t kMaxNotedSecrets = 10'000;
inline constexpr size_t kMaxNotedNames = 64;  // of one pod

class PullNotes {
 public:
  // A Secret that holds a docker configuration; others are passed over. Says why where it should hold one and does not.
  std::string note_secret(const Value& secret);
  void note_account(const Value& account);
  // What a pod is pulled with; a number to be resolved later, the same for pods that say the same.
  uint32_t note_pod(const Value& pod_spec, std::string_view name_space);
  // `moved[number]` is what each number of the other is here.
  std::vector<uint32_t> merge(PullNotes other);

  bool has_secrets() const { return !secrets_.empty(); }
  // Empty where nothing of what it asks for is there.
  Keychain keychain(uint32_t number) const;

 private:
  struct Need {
    std::string name_space, account;
    std::vector<std::string> names;
  };
  uint32_t number_of(Need need);

  std::map<std::string, std::vector<std::string>> secrets_;   // "shop/regcred" to docker configurations: several files may have one each
  std::map<std::string, std::vector<std::string>> accounts_;  // "shop/default" to names
  std::vector<Need> needs_ = {Need{}};                        // 0: nobody asked
  std::unordered_map<std::string, uint32_t> numbers_;
};

}  // namespace archway::audit
