#include "format/json_stream.h"

#include <deque>
#include <future>
#include <memory>

#include "base/thread_pool.h"
#include "format/json_item_reader.h"
#include "format/json_splitter.h"

namespace archway {

namespace {

using Prepare = std::function<JsonCommit(std::vector<JsonItem>)>;

// Some items on their way from a thread to the caller's.
struct Batch {
  JsonCommit commit;
  // Items that wait for their list to say what it is.
  std::vector<JsonItem> waiting;
  std::vector<std::shared_ptr<JsonList>> lists;
  std::optional<Error> error;  // of the item after the last
};

Error located(const JsonPieces& from, size_t offset, Error error) {
  uint64_t line = from.line + count_newlines(std::string_view(from.text).substr(0, offset));
  return std::move(error).within("line " + std::to_string(line) + ", byte " + std::to_string(from.offset + offset));
}

Batch parse(JsonPieces from, const JsonSkips& skips, const Prepare& prepare) {
  Batch batch;
  std::vector<JsonItem> items;
  items.reserve(from.pieces.size());
  bool complete = true;
  for (JsonPieces::Piece& piece : from.pieces) {
    JsonItemReader reader(std::string_view(from.text).substr(piece.begin, piece.end - piece.begin), skips);
    auto value = reader.read();
    if (!value.ok()) {
      batch.error = located(from, piece.begin + reader.offset(), std::move(value).error());
      break;
    }
    complete = complete && (piece.list_kind || !(*value)["kind"].string().empty());
    items.push_back({std::move(*value), piece.list_kind.value_or(""), from.offset + piece.begin});
    batch.lists.push_back(std::move(piece.list));
  }
  if (complete) {
    batch.lists.clear();
    batch.commit = prepare(std::move(items));
  } else {
    batch.waiting = std::move(items);
  }
  return batch;
}

// Batches in order: those on a thread, and before them those that wait for their list.
class Pipeline {
 public:
  Pipeline(const JsonStreamOptions& options, const Prepare& prepare)
      : skips_(options.skip), prepare_(prepare), threads_(options.threads ? options.threads : processor_count()) {}

  Result<void> add(JsonPieces pieces) {
    // A file of one piece needs no threads.
    if (!pool_ && first_) {
      TRY(start(std::move(*first_)));
      first_.reset();
    }
    if (!pool_) {
      first_ = std::move(pieces);
      return {};
    }
    return start(std::move(pieces));
  }

  Result<void> finish() {
    if (first_) TRY(arrive(parse(std::move(*std::exchange(first_, std::nullopt)), skips_, prepare_)));
    while (!running_.empty()) TRY(take_one());
    return release(true);
  }

 private:
  Result<void> start(JsonPieces pieces) {
    if (!pool_) pool_ = std::make_unique<ThreadPool>(threads_);
    if (running_.size() >= 2 * threads_) TRY(take_one());
    auto shared = std::make_shared<JsonPieces>(std::move(pieces));
    auto task = std::make_shared<std::packaged_task<Batch()>>([this, shared] { return parse(std::move(*shared), skips_, prepare_); });
    running_.push_back(task->get_future());
    pool_->submit([task] { (*task)(); });
    return {};
  }

  Result<void> take_one() {
    Batch batch = running_.front().get();
    running_.pop_front();
    return arrive(std::move(batch));
  }

  Result<void> arrive(Batch batch) {
    held_.push_back(std::move(batch));
    return release(false);
  }

  // In order, up to the first whose list is not known yet; at the end of the file an unknown kind stays empty.
  Result<void> release(bool at_end) {
    while (!held_.empty()) {
      Batch& batch = held_.front();
      for (size_t i = 0; i < batch.waiting.size(); ++i) {
        JsonItem& item = batch.waiting[i];
        const auto& list = batch.lists[i];
        if (list && !list->kind && !at_end) return {};
        if (list && list->kind) item.list_kind = *list->kind;
      }
      if (!batch.waiting.empty()) batch.commit = prepare_(std::move(batch.waiting));
      JsonCommit commit = std::move(batch.commit);
      std::optional<Error> error = std::move(batch.error);
      held_.pop_front();
      if (commit) TRY(commit());
      if (error) return std::move(*error);
    }
    return {};
  }

  JsonSkips skips_;
  const Prepare& prepare_;
  size_t threads_;
  std::optional<JsonPieces> first_;
  std::deque<std::future<Batch>> running_;
  std::deque<Batch> held_;
  std::unique_ptr<ThreadPool> pool_;  // the last member: its threads use the others
};

}  // namespace

std::string JsonItem::kind() const {
  constexpr std::string_view kSuffix = "List";
  const std::string& own = value["kind"].string();
  if (!own.empty() || !list_kind.ends_with(kSuffix)) return own;
  return list_kind.substr(0, list_kind.size() - kSuffix.size());
}

Result<void> read_json_batches(Source& source, const JsonStreamOptions& options, const Prepare& prepare) {
  Pipeline pipeline(options, prepare);
  bool refused = false;  // a commit failed, or an item: then that is the error, and nothing follows
  JsonSplitter splitter(source, options.max_item_bytes, [&](JsonPieces pieces) {
    Result<void> added = pipeline.add(std::move(pieces));
    refused = !added.ok();
    return added;
  });
  Result<void> split = splitter.run();
  if (refused) return split;
  TRY(pipeline.finish());
  return split;
}

Result<void> read_json_items(Source& source, const JsonStreamOptions& options, const std::function<Result<void>(JsonItem)>& each) {
  return read_json_batches(source, options, [&each](std::vector<JsonItem> items) -> JsonCommit {
    auto shared = std::make_shared<std::vector<JsonItem>>(std::move(items));
    return [shared, &each]() -> Result<void> {
      for (JsonItem& item : *shared) TRY(each(std::move(item)));
      return {};
    };
  });
}

}  // namespace archway
