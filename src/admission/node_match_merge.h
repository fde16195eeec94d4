#pragma once

#include <string>
#include <vector>

#include "admission/patch.h"
#include "admission/place.h"
#include "format/json.h"

// Narrows where a pod may go to the places its images run in. What holds afterwards, for every node N:
//     match(new pod, N) == match(old pod, N) and N's os and architecture are among `common`
// where match is nodeSelector and required node affinity. The terms of an affinity are alternatives, so each is narrowed by itself, and a
// term that is empty matches nothing and stays so (component-helpers, scheduling/corev1/nodeaffinity).
namespace archway::admission {

// What the API server lets us change of an affinity that is there.
enum class MayChange {
  Anything,     // a new object
  AppendOnly,   // of a gated pod: terms may get more expressions, but no term may come or go
};

struct Narrowed {
  Places places;          // where the pod may go now, as far as its own words and its images say; both apart from other labels
  bool asked = false;     // the pod's own words speak of os or architecture
  bool contradiction = false;  // its images run in none of the places that the pod (or node_places) leaves
  std::vector<size_t> dead_terms;  // required terms, by index, that ask only for places where the images do not run
  // AppendOnly, and it would have taken one more term: places where all images run and where the pod goes no more.
  Places left_out;
};

// `spec` is the pod's, at `pointer` of the document; its affinity is changed as the operations that are written say.
// Nothing is added where the pod's own words say it already. `node_places` not empty: there are no other nodes than such.
Narrowed narrow(Json& spec, const std::string& pointer, const Places& common, const Places& node_places, MayChange may, PatchWriter& patch);
// Copies of a new pod's own terms, to stand behind them: AppendOnly may then narrow each to another part, where systems differ in their
// architectures. None where that cannot be, or where nobody has said what the nodes are. A term said twice means what it means once.
std::vector<Json> terms_in_reserve(const Json& spec, const Places& node_places);
inline constexpr size_t kMaxReserve = 32;

// The same without changing anything.
Narrowed look_at(const Json& spec, const Places& common, const Places& node_places);

}  // namespace archway::admission
