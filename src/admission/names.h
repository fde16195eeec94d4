#pragma once

#include <string_view>

// The names that archway leaves on objects, and looks for on them.
namespace archway::admission {

inline constexpr std::string_view kPrefix = "archway.dev/";
// On a pod that was changed: its images, their platforms and what came of it, as JSON.
inline constexpr std::string_view kRecordAnnotation = "archway.dev/platforms";
// On an owner whose template was changed: the template's node affinity before and after, and the tolerations that came with it. When other images
// come later, the user's own words are those before; what is ours is made anew.
inline constexpr std::string_view kTemplateAnnotation = "archway.dev/template";
// A label; with the value "ignore", on an object, on its template or on a namespace, nothing is done about it.
inline constexpr std::string_view kModeLabel = "archway.dev/admission";
inline constexpr std::string_view kModeIgnore = "ignore";
// The scheduling gate of a pod whose images' registry did not answer.
inline constexpr std::string_view kGate = "archway.dev/image-platforms";
// On a pod that the kubelet runs from a file: the API server only mirrors it.
inline constexpr std::string_view kMirrorAnnotation = "kubernetes.io/config.mirror";

inline constexpr std::string_view kArchLabel = "kubernetes.io/arch", kBetaArchLabel = "beta.kubernetes.io/arch";
inline constexpr std::string_view kOsLabel = "kubernetes.io/os", kBetaOsLabel = "beta.kubernetes.io/os";

}  // namespace archway::admission
