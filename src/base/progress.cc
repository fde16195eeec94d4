#include "base/progress.h"

namespace archway {

namespace {
class NoTask final : public ProgressTask {
  void set_total(uint64_t) override {}
  void advance(uint64_t) override {}
  void output(std::string_view) override {}
  void done(std::string_view) override {}
  void failed(std::string_view) override {}
};
class NoProgress final : public Progress {
  std::shared_ptr<ProgressTask> start(std::string) override { return std::make_shared<NoTask>(); }
};
}  // namespace

Progress& no_progress() {
  static NoProgress none;
  return none;
}

}  // namespace archway
