#include "cli/image_place.h"

#include "base/text.h"
#include "image/archive.h"
#include "image/layout.h"

namespace archway::cli {

namespace {

bool drop_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// PATH[:NAME]; as for skopeo, a path cannot hold a colon, so a name may: oci:dir:example.org/app:1
Result<ImagePlace> place_of(ImagePlace::Kind kind, std::string_view rest, const std::string& spelling) {
  auto [path, name] = cut(rest, ':');
  if (path.empty()) return usage_error(spelling + ": a path is missing after the colon");
  if (name && name->empty()) return usage_error(spelling + ": a name is missing after the last colon");
  return ImagePlace{kind, std::string(path), std::string(name.value_or("")), {}};
}

Result<OpenedImage> open_registry(const Reference& reference, RegistryClient& client, std::stop_token stop) {
  Root root = TRY(client.resolve(reference, stop));
  return OpenedImage{client.repository(reference), std::move(root), reference.familiar()};
}

template <class Opened>
Result<OpenedImage> opened(std::shared_ptr<Opened> place, const ImagePlace& spelt, const std::string& spelling) {
  Root root = TRY(place->resolve(spelt.name));
  return OpenedImage{std::move(place), std::move(root), spelling};
}

}  // namespace

Result<ImagePlace> parse_image_place(const std::string& spelling) {
  using Kind = ImagePlace::Kind;
  std::string_view rest = spelling;
  if (drop_prefix(rest, "oci-archive:")) return place_of(Kind::OciArchive, rest, spelling);
  if (drop_prefix(rest, "docker-archive:")) return place_of(Kind::DockerArchive, rest, spelling);
  if (drop_prefix(rest, "oci:")) return place_of(Kind::Layout, rest, spelling);
  for (std::string_view other : {"docker-daemon:", "containers-storage:", "dir:", "ostree:", "sif:"}) {
    if (rest.starts_with(other)) return usage_error(spelling + ": archway knows docker://, oci:, oci-archive: and docker-archive:, not " + std::string(other));
  }
  drop_prefix(rest, "docker://");
  ImagePlace place;
  place.reference = TRY(Reference::parse(rest));
  return place;
}

Result<OpenedImage> open_image(const std::string& spelling, RegistryClient& client, const Context& context) {
  ImagePlace place = TRY(parse_image_place(spelling));
  std::string temporary = context.environment("TMPDIR").value_or("/tmp");
  switch (place.kind) {
    case ImagePlace::Kind::Layout: return opened(TRY(Layout::open(place.path)), place, spelling);
    case ImagePlace::Kind::OciArchive: return opened(TRY(OciArchive::open(place.path, temporary)), place, spelling);
    case ImagePlace::Kind::DockerArchive: return opened(TRY(DockerArchive::open(place.path, temporary)), place, spelling);
    case ImagePlace::Kind::Registry: break;
  }
  return open_registry(*place.reference, client, context.stop);
}

Result<ImageDestination> open_destination(const std::string& spelling, RegistryClient& client) {
  ImagePlace place = TRY(parse_image_place(spelling));
  ImageDestination to;
  to.name = spelling;
  to.tags = {place.name};
  to.finish = [] { return Result<void>(); };
  if (place.kind == ImagePlace::Kind::Registry) {
    to.ingester = client.repository(*place.reference);
    to.tags.clear();
    if (place.reference->tag()) to.tags.push_back(*place.reference->tag());
    to.expected = place.reference->digest();
    to.name = place.reference->familiar();
  } else if (place.kind == ImagePlace::Kind::Layout) {
    to.ingester = TRY(Layout::create(place.path));
  } else {
    bool docker = place.kind == ImagePlace::Kind::DockerArchive;
    if (docker && !place.name.empty()) TRY(Reference::parse(place.name));
    std::shared_ptr<ArchiveWriter> archive = TRY(ArchiveWriter::create(place.path, docker ? ArchiveKind::Docker : ArchiveKind::Oci));
    to.ingester = archive;
    to.jobs = 1;  // an archive is one stream; in one order, its bytes are the same each time
    to.one_platform = docker;
    to.finish = [archive] { return archive->finish(); };
  }
  return to;
}

Result<CopyStats> copy_to(const ImageDestination& to, Provider& from, const Root& root, Progress* progress, std::string verb, std::stop_token stop) {
  if (to.expected && *to.expected != root.descriptor.digest) {
    return Error{Code::Mismatch, to.name + " names another image: this one is " + root.descriptor.digest.str(), "leave out the @digest"};
  }
  CopyOptions options;
  options.jobs = to.jobs;
  options.progress = progress;
  options.tags = to.tags;
  options.verb = std::move(verb);
  CopyStats stats = TRY(copy_image(from, *to.ingester, root, options, stop));
  TRY(to.finish());
  return stats;
}

}  // namespace archway::cli
