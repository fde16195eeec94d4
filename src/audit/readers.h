#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "audit/collection.h"
#include "audit/kubernetes_reader.h"
#include "format/value_tree.h"

// The files that are not Kubernetes objects (audit.md 4.3), each read into a Collection. Pure: text in, uses out. What cannot be read
// is in `unseen`, with the place; nothing here fails as a whole.
namespace archway::audit {

// Dockerfile: FROM, COPY --from, RUN --mount=from, the syntax directive; stages and ARGs resolved; and the rules of audit.md 5.6 that a
// text alone can break.
void read_dockerfile(std::string_view text, const std::string& source, Collection& out);

// Compose: services' images, platforms and builds. Variables come from `variables` (.env), else their defaults.
using Variables = std::function<std::optional<std::string>(std::string_view name)>;
void read_compose(const Value& root, const Where& where, const Variables& variables, Collection& out);

// GitLab, GitHub, CircleCI, Azure, Bitbucket, Drone and Woodpecker: jobs run in images under a handful of keys.
void read_pipeline(const Value& root, const Where& where, Collection& out);
// Jenkinsfile: image '...' and docker.image('...').
void read_jenkinsfile(std::string_view text, const std::string& source, Collection& out);

// One reference per line, # comments: what Longhorn and Rook ship, and what a pipe brings.
void read_list(std::string_view text, const std::string& source, Collection& out);
// A reference named on the command line: that is the source that its use has.
inline constexpr std::string_view kCommandLine = "command line";
void read_reference(const std::string& reference, Collection& out);

// A file of a Helm chart's templates, where helm is not there to render it: `image:` lines that are no templates.
void read_chart_template(std::string_view text, const std::string& source, Collection& out);

// ${NAME}, $NAME, ${NAME:-default} and so on as compose and CI systems expand them; what is not known stays as written.
std::string expand_variables(std::string_view text, const Variables& variables);

}  // namespace archway::audit
