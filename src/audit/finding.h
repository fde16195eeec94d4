#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/shared_text.h"
#include "image/digest.h"
#include "image/platform.h"

// What audit found, with where it stands and what would cure it. `fix` turns remedies into edits; reports print the rest.
namespace archway::audit {

// How ready one image, or one workload, is for one platform (audit.md 1.4). From good to bad. Of a workload the worst
// of its images; but one that is surely not ready outweighs one that nobody could look at, and skipped ones do not count.
enum class Verdict {
  Ready,
  ReadyAfterUpdate,  // another tag has it
  ReadyAfterRepin,   // the digest is of one platform's image; the index beside it has it
  WrongContent,      // declares the platform and holds another's programs
  NotReady,
  Unknown,           // could not look, with the reason; never counts as ready
  Skipped,           // nothing to judge: an image of ours to be built, an ignored one
};
std::string_view verdict_name(Verdict verdict);  // "ready", "ready-after-update", "ready-after-repin", "wrong-content", "not-ready", "unknown", "skipped"

// Where something stands in what the user gave us. Copied into every use, workload and finding of an object, so that its texts are shared.
struct Place {
  SharedText source;              // file path as given, "-" or "cluster:CONTEXT"
  uint32_t line = 0, column = 0;  // from 1; 0 where there are none (a live cluster)
  uint32_t begin = 0, end = 0;    // bytes in the file; of the value, quotes included. Equal where there is no span
  SharedText object;              // "Deployment shop/web"; "" outside Kubernetes
  SharedText api_version, kind, name_space, name;
  SharedText path;                // JSON pointer in the object, "/spec/template/spec/containers/0/image"; "" where there is none
  size_t document = 0;            // which document of a YAML file, from 0
};

enum class Confidence { Certain, Likely, Possible };

// What `fix` would do. Each is one of these kinds, with the data that it takes; why is a sentence for people.
struct Remedy {
  enum class Kind {
    None,
    ReplaceImage,        // the text at place -> `replacement` (a tag, or the index's digest)
    DropArchSelector,    // nodeSelector's member, or the expression, at place
    WidenArchSelector,   // the values at place gain `platforms`' architectures
    AddArchAffinity,     // the pod at place gets required (or preferred) node affinity to `platforms`' architectures
    AddToleration,       // the pod at place tolerates the cluster's taint for `platforms`
    DropDockerfileDefault,   // ARG TARGETARCH=amd64 -> ARG TARGETARCH
    DropBuildPlatform,       // the final stage's --platform=$BUILDPLATFORM goes
    ArchitectureInUrl,       // amd64 or x86_64 in a download URL -> ${TARGETARCH} (or a case where names differ)
    RenameArchLabel,         // the key at place, beta.kubernetes.io/arch or /os -> `replacement`
    MoveIntoPodSpec,         // the member at place (nodeSelector, tolerations, affinity) moves to the pod's spec, where it has an effect
    DropPlatform,            // the line `platform: linux/amd64` of a compose service, FROM's constant --platform
  } kind = Kind::None;
  std::string replacement;       // of ReplaceImage: what to write at place, no more (a tag where the place is a tag's); of AddToleration: "key=value:Effect"
  std::vector<Platform> platforms;
  std::string why;
};

struct Finding {
  std::string id;        // stable over runs and over lines moving: for baselines and ignore files
  std::string rule;      // "image-not-ready", "arch-selector", "missing-toleration", ... (docs/audit.md)
  enum class Severity { Error, Warning, Note } severity = Severity::Error;
  Verdict verdict = Verdict::NotReady;  // of image findings
  std::string image;     // as written; "" where it is about no image
  Place place;
  std::vector<Place> others = {};  // the same thing elsewhere
  std::string message;   // a sentence
  std::string advice;    // what to do; may be empty
  std::vector<Platform> platforms = {};  // that it is about
  Remedy remedy = {};
};

}  // namespace archway::audit
