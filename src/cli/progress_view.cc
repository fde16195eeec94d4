#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "base/text.h"
#include "cli/command.h"
#include "format/json.h"

// Three renderings of the same events on standard error: plain lines as `docker buildx build --progress=plain`
// prints them, a live view that redraws itself, and JSON lines for programs.
namespace archway::cli {

namespace {

using Steady = std::chrono::steady_clock;
double seconds_since(Steady::time_point start) { return std::chrono::duration<double>(Steady::now() - start).count(); }

// Cuts what a step prints into lines; keeps the unfinished one.
class LineCutter {
 public:
  template <class Body>
  void feed(std::string_view text, Body body) {
    rest_ += text;
    for (size_t end; (end = rest_.find('\n')) != std::string::npos; rest_.erase(0, end + 1)) body(std::string_view(rest_).substr(0, end));
    if (rest_.size() > kMaxLine) flush(body);
  }
  template <class Body>
  void flush(Body body) {
    if (!rest_.empty()) body(std::string_view(rest_));
    rest_.clear();
  }

 private:
  static constexpr size_t kMaxLine = 16 * 1024;
  std::string rest_;
};

class PlainProgress final : public Progress {
 public:
  explicit PlainProgress(const Context& context) : context_(context) {}
  std::shared_ptr<ProgressTask> start(std::string name) override;

 private:
  class Task;
  const Context context_;
  std::mutex mutex_;
  int next_ = 1;
};

class PlainProgress::Task final : public ProgressTask {
 public:
  Task(PlainProgress& owner, int number) : owner_(owner), number_(number) {}
  ~Task() override {
    std::lock_guard lock(owner_.mutex_);
    if (!ended_) end(total_ ? human_bytes(total_) + " DONE" : "DONE");
  }
  void set_total(uint64_t bytes) override {
    std::lock_guard lock(owner_.mutex_);
    total_ = bytes;
  }
  void advance(uint64_t) override {}
  void output(std::string_view text) override {
    std::lock_guard lock(owner_.mutex_);
    lines_.feed(text, [&](std::string_view line) { print(elapsed() + " " + std::string(line)); });
  }
  void done(std::string_view how) override {
    std::lock_guard lock(owner_.mutex_);
    end(how.empty() ? "DONE" : how);
  }
  void failed(std::string_view why) override {
    std::lock_guard lock(owner_.mutex_);
    end("ERROR: " + std::string(why));
  }

 private:
  std::string elapsed() const {
    char text[32];
    std::snprintf(text, sizeof text, "%.3f", seconds_since(start_));
    return text;
  }
  void print(const std::string& text) { owner_.context_.err("#" + std::to_string(number_) + " " + text + "\n"); }
  void end(std::string_view how) {
    if (std::exchange(ended_, true)) return;
    lines_.flush([&](std::string_view line) { print(elapsed() + " " + std::string(line)); });
    bool timed = how.ends_with("DONE");
    print(std::string(how) + (timed ? " " + human_duration(seconds_since(start_)) : ""));
  }
  PlainProgress& owner_;
  int number_;
  Steady::time_point start_ = Steady::now();
  uint64_t total_ = 0;
  LineCutter lines_;
  bool ended_ = false;
};

std::shared_ptr<ProgressTask> PlainProgress::start(std::string name) {
  std::lock_guard lock(mutex_);
  int number = next_++;
  context_.err("#" + std::to_string(number) + " " + name + "\n");
  return std::make_shared<Task>(*this, number);
}

class JsonProgress final : public Progress {
 public:
  explicit JsonProgress(const Context& context) : context_(context) {}
  std::shared_ptr<ProgressTask> start(std::string name) override;

 private:
  class Task;
  const Context context_;
  std::mutex mutex_;
  int next_ = 1;
};

class JsonProgress::Task final : public ProgressTask {
 public:
  Task(JsonProgress& owner, int number) : owner_(owner), number_(number) {}
  ~Task() override { done({}); }
  void set_total(uint64_t bytes) override { event("total", Json(bytes)); }
  void advance(uint64_t) override {}
  void output(std::string_view text) override { event("output", Json(text)); }
  void done(std::string_view how) override {
    if (!std::exchange(ended_, true)) event("done", Json(how));
  }
  void failed(std::string_view why) override {
    if (!std::exchange(ended_, true)) event("error", Json(why));
  }
  void event(std::string_view kind, Json value) {
    std::lock_guard lock(owner_.mutex_);
    Json line = Json::object({{"task", number_}, {"seconds", seconds_since(start_)}});
    line.set(kind, std::move(value));
    owner_.context_.err(to_json(line) + "\n");
  }

 private:
  JsonProgress& owner_;
  int number_;
  Steady::time_point start_ = Steady::now();
  bool ended_ = false;
};

std::shared_ptr<ProgressTask> JsonProgress::start(std::string name) {
  std::unique_lock lock(mutex_);
  auto task = std::make_shared<Task>(*this, next_++);
  lock.unlock();
  task->event("start", Json(std::move(name)));
  return task;
}

// The live view: what is running, redrawn ten times a second below what has ended.
class LiveProgress final : public Progress {
 public:
  explicit LiveProgress(const Context& context) : context_(context), painter_([this](std::stop_token stop) { paint_until(stop); }) {}
  ~LiveProgress() override {
    painter_.request_stop();
    painter_.join();
    std::lock_guard lock(mutex_);
    repaint();
  }
  std::shared_ptr<ProgressTask> start(std::string name) override;

 private:
  struct Row {
    std::string name;
    Steady::time_point start = Steady::now();
    uint64_t total = 0, done = 0;
    std::deque<std::string> tail;
    LineCutter lines;
    std::string ended;  // how; empty while running
    bool failed = false;
  };
  class Task;

  void paint_until(std::stop_token stop) {
    while (!stop.stop_requested()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      std::lock_guard lock(mutex_);
      repaint();
    }
  }

  static std::string clip(std::string text, size_t width) {
    std::erase_if(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    if (text.size() > width) text.resize(width);
    return text;
  }

  std::string row_line(const Row& row, size_t width) const {
    std::string right = row.ended.empty() || row.ended == "DONE" ? human_duration(seconds_since(row.start)) : row.ended;
    if (row.ended.empty() && row.total > 0) right = human_bytes(row.done) + " / " + human_bytes(row.total) + "  " + right;
    std::string left = clip((row.failed ? " ✗ " : row.ended.empty() ? " • " : " ✓ ") + row.name, width > right.size() + 2 ? width - right.size() - 2 : 10);
    size_t shown = left.size() - 2;  // the mark takes three bytes and one column
    std::string line = left + std::string(width > shown + right.size() ? width - shown - right.size() : 1, ' ') + right;
    if (!context_.color) return line;
    return (row.failed ? "\x1b[31m" : row.ended.empty() ? "" : "\x1b[34m") + line + "\x1b[0m";
  }

  void repaint() {
    winsize size = {};
    size_t width = 80, height = 24;
    if (::ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 20) width = size.ws_col - 1u, height = size.ws_row;
    std::string out;
    if (painted_ > 0) out += "\x1b[" + std::to_string(painted_) + "A\x1b[J";
    painted_ = 0;
    // What has ended is printed once, for good, and forgotten.
    for (auto it = rows_.begin(); it != rows_.end();) {
      if (it->second.ended.empty()) {
        ++it;
        continue;
      }
      out += row_line(it->second, width) + "\n";
      if (it->second.failed) {
        for (const std::string& line : it->second.tail) out += "   " + clip(line, width - 3) + "\n";
      }
      it = rows_.erase(it);
    }
    for (const auto& [number, row] : rows_) {
      if (painted_ + 4 > height) break;
      out += row_line(row, width) + "\n";
      ++painted_;
      for (size_t i = row.tail.size() > 4 ? row.tail.size() - 4 : 0; i < row.tail.size() && painted_ + 2 < height; ++i) {
        out += "   " + clip(row.tail[i], width - 3) + "\n";
        ++painted_;
      }
    }
    if (!out.empty()) context_.err(out);
  }

  const Context context_;
  std::mutex mutex_;
  std::map<int, Row> rows_;
  int next_ = 1;
  size_t painted_ = 0;
  std::jthread painter_;
};

class LiveProgress::Task final : public ProgressTask {
 public:
  Task(LiveProgress& owner, int number) : owner_(owner), number_(number) {}
  ~Task() override { done({}); }
  void set_total(uint64_t bytes) override {
    change([&](Row& row) { row.total = bytes; });
  }
  void advance(uint64_t bytes) override {
    change([&](Row& row) { row.done += bytes; });
  }
  void output(std::string_view text) override {
    change([&](Row& row) {
      row.lines.feed(text, [&](std::string_view line) {
        row.tail.emplace_back(line);
        if (row.tail.size() > 20) row.tail.pop_front();
      });
    });
  }
  void done(std::string_view how) override {
    change([&](Row& row) {
      if (!row.ended.empty()) return;
      // The time of the end stays in the row.
      row.ended = how.empty() ? human_duration(seconds_since(row.start)) : std::string(how);
    });
  }
  void failed(std::string_view) override {
    change([&](Row& row) {
      if (!row.ended.empty()) return;
      row.failed = true;
      row.ended = "ERROR";
    });
  }

 private:
  template <class Change>
  void change(Change apply) {
    std::lock_guard lock(owner_.mutex_);
    auto row = owner_.rows_.find(number_);
    if (row != owner_.rows_.end()) apply(row->second);
  }
  LiveProgress& owner_;
  int number_;
};

std::shared_ptr<ProgressTask> LiveProgress::start(std::string name) {
  std::lock_guard lock(mutex_);
  int number = next_++;
  rows_[number].name = std::move(name);
  return std::make_shared<Task>(*this, number);
}

class QuietProgress final : public Progress {
 public:
  std::shared_ptr<ProgressTask> start(std::string name) override { return no_progress().start(std::move(name)); }
};

}  // namespace

Result<std::unique_ptr<Progress>> make_progress(std::string_view kind, const Context& context) {
  if (kind == "auto") kind = context.terminal_err ? "tty" : "plain";
  if (kind == "tty") return std::unique_ptr<Progress>(std::make_unique<LiveProgress>(context));
  if (kind == "plain") return std::unique_ptr<Progress>(std::make_unique<PlainProgress>(context));
  if (kind == "rawjson") return std::unique_ptr<Progress>(std::make_unique<JsonProgress>(context));
  if (kind == "quiet" || kind == "none") return std::unique_ptr<Progress>(std::make_unique<QuietProgress>());
  return usage_error("unknown progress \"" + std::string(kind) + "\"; there is auto, tty, plain, rawjson and quiet");
}

}  // namespace archway::cli
