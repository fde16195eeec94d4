#include "admission/node_places.h"

#include "admission/names.h"

namespace archway::admission {

std::optional<Place> place_of_node(const Json& node) {
  const Json& labels = node["metadata"]["labels"];
  const Json& info = node["status"]["nodeInfo"];
  Place place;
  place.os = labels[kOsLabel].string_or(info["operatingSystem"].string_or("linux"));
  place.architecture = labels[kArchLabel].string_or(info["architecture"].string());
  if (place.architecture.empty()) return std::nullopt;
  return place;
}

void NodePlaces::note(const kube::WatchEvent& event) {
  using Type = kube::WatchEvent::Type;
  if (event.type == Type::Bookmark) return;
  const std::string& name = event.object["metadata"]["name"].string();
  auto place = event.type == Type::Deleted ? std::nullopt : place_of_node(event.object);
  auto places = places_.lock();
  if (!place) {
    places->erase(name);
  } else if (places->size() < kMaxNodePlaces || places->contains(name)) {
    places->insert_or_assign(name, *std::move(place));
  }
}

Result<void> NodePlaces::run(std::stop_token stop) {
  return client_->watch(kube::resources::nodes(), {}, {}, [&](const kube::WatchEvent& event) -> Result<void> {
    note(event);
    return {};
  }, stop);
}

std::optional<Place> NodePlaces::find(const std::string& node) const {
  auto places = places_.lock();
  auto found = places->find(node);
  if (found == places->end()) return std::nullopt;
  return found->second;
}

}  // namespace archway::admission
