#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace archway {

// One thing that takes long: a pull, a RUN, a push. Ends when destroyed. Thread safe.
class ProgressTask {
 public:
  virtual ~ProgressTask() = default;
  virtual void set_total(uint64_t bytes) = 0;   // 0: not known
  virtual void advance(uint64_t bytes) = 0;
  virtual void output(std::string_view text) = 0;  // what the step itself prints; need not end in a newline
  virtual void done(std::string_view how = {}) = 0;  // "CACHED", "exists", ...; empty: just done
  virtual void failed(std::string_view why) = 0;
};

// Where long work is shown. Passed in, never global. Thread safe. `cli` has the renderers
// (a live view for terminals, plain lines, JSON lines, none).
class Progress {
 public:
  virtual ~Progress() = default;
  virtual std::shared_ptr<ProgressTask> start(std::string name) = 0;
};

// Shows nothing; what to pass when nobody watches.
Progress& no_progress();

}  // namespace archway
