#include "registry/lookup.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <random>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "base/check.h"
#include "base/text.h"
#include "registry/host_queue.h"
#include "registry/image_facts.h"
#include "registry/lookup_access.h"
#include "registry/lookup_store.h"

namespace archway {
namespace {

using SteadyClock = std::chrono::steady_clock;
using Deadline = std::optional<SteadyClock::time_point>;
using Facts = ImageLookup::Facts;
using Way = LookupAccess::Way;

inline constexpr size_t kMaxFailures = 20'000;
inline constexpr size_t kMaxLookupThreads = 256;         // begun as they are needed; each waits for one registry
inline constexpr size_t kMaxWaitingPerHost = 5'000;      // of single look-ups; a list of any length is no flood
inline constexpr std::chrono::seconds kMaxLimitWait{120};      // a registry that asks to wait longer in all is not waited for
inline constexpr std::chrono::seconds kExhaustedPause{60};     // no more requests that count after "0 remaining"
inline constexpr size_t kMaxGates = 10'000;
inline constexpr size_t kMaxBegun = 5'000;              // look-ups of a list that wait until the rest of it has been planned
inline constexpr int kUnavailableShare = 10;

// One question to be answered: the name in its one spelling, and with whose credentials it may be asked.
struct Question {
  Reference reference;
  std::string name;
  std::vector<Way> ways;
  std::string key;  // questions with the same key have the same answer
  uint64_t order = 0;  // of a flight: those begun before come first
};

// A request under way, and all who wait for it. Guarded by Engine::flights_mutex_, but for `question` and `stop`.
struct Flight {
  explicit Flight(Question asked) : question(std::move(asked)) {}
  const Question question;
  std::stop_source stop;
  const SteadyClock::time_point begun = SteadyClock::now();
  std::optional<Result<Facts>> result;
  std::vector<std::function<void()>> then;  // called once, without the mutex
  size_t waiting = 0;
  bool kept = false;       // somebody left it to go on for the cache
  std::string delay;       // why it takes so long
};

struct Failure {
  Error error;
  Time until;
};
struct Named {
  std::string digest;  // packed
  Time checked;
};
// What a registry lets one of us ask. Requests are taken off what is left when they are sent, not when their answers say so: sixteen at
// once would run into the wall otherwise.
struct Gate {
  SteadyClock::time_point not_before = {}, exhausted_until = {};
  std::optional<int64_t> left = {};  // by our own count: every request taken off when it is sent
  int64_t told = 0;        // the least that an answer said; lower where others use the limit, too
  int64_t in_flight = 0;   // requests that count
  std::set<uint64_t> waiting = {};  // look-ups that wait for the answers of those, by when they were asked for
  bool counted = false;    // it has told of a limit
};

// Docker Hub tells how much is left with every answer: the first is waited for before others are sent.
bool is_known_to_count(const std::string& host) { return host == "docker.io"; }

std::string random_salt() {
  std::random_device random;
  std::string salt;
  for (int i = 0; i < 8; ++i) salt += std::to_string(random());
  return salt;
}

// " in 6 hours"
std::string window_of(const RateLimit& limit) {
  int64_t seconds = limit.window_seconds;
  if (seconds <= 0) return {};
  auto [unit, name] = seconds % 3600 == 0 ? std::pair(3600, "hour") : seconds % 60 == 0 ? std::pair(60, "minute") : std::pair(1, "second");
  return " in " + std::to_string(seconds / unit) + " " + name + (seconds == unit ? "" : "s");
}

Error cancelled() { return Error{Code::Cancelled, "cancelled"}; }

class Engine final : public ImageLookup {
 public:
  explicit Engine(ImageLookupOptions options)
      : options_(std::move(options)), clock_(options_.clock ? *options_.clock : system_clock()),
        forward_stop_(options_.registry.stop, [this] { stop_.request_stop(); }), queue_(std::max<size_t>(1, options_.max_in_flight_per_host), kMaxLookupThreads) {}
  ~Engine() override { stop_.request_stop(); }
  Result<void> start();

  Result<Facts> look_up(const std::string& reference, const Keychain& keychain, Deadline deadline, std::stop_token stop) override;
  std::vector<Result<Facts>> look_up_all(const std::vector<std::string>& references, const Keychain& keychain, std::function<void(size_t)> done,
                                         std::stop_token stop) override;
  Facts peek(const std::string& reference, const Keychain& keychain) override;
  Result<void> remember_wrong(const Digest& manifest, const WrongPlatform& wrong) override;
  Result<std::vector<std::string>> tags(const std::string& reference, const Keychain& keychain, std::stop_token stop) override;
  Result<std::shared_ptr<RegistryClient>> client(const std::string& reference, const Keychain& keychain) override;
  std::optional<RateLimit> rate_limit(const std::string& host) override;
  LookupCounters counters() const override;

 private:
  struct Memory {
    LruMap<Named> names{1};        // by name and who
    LruMap<std::string> facts{1};  // packed, by packed digest
    LruMap<Failure> failures{kMaxFailures};
    std::unordered_map<Digest, std::vector<WrongPlatform>> wrong;
  };
  using FlightPtr = std::shared_ptr<Flight>;

  Result<void> index_known();
  Facts known(const std::string& text) const;
  Result<Question> plan(const std::string& reference, const Keychain& keychain);

  // What is remembered.
  static std::string slot(const Question& question, const Way& way) { return question.name + '\n' + way.who; }
  bool fresh(const Question& question, Time checked, std::chrono::seconds age) const;
  Facts facts_at(const std::string& digest, bool disk);
  Facts remembered(const Question& question, std::chrono::seconds age, bool disk);
  std::optional<Result<Facts>> quick(const Question& question, bool disk);
  void record(const Question& question, const Way& way, const Digest& digest, const std::string& packed);
  void record_failure(const Question& question, const Error& error);
  Result<Facts> or_older(const Question& question, Error error);

  // Who waits for what.
  // `later`: those of a list, to be submitted together; null: submitted at once.
  Result<FlightPtr> join(const Question& question, std::vector<FlightPtr>* later);
  void submit(const FlightPtr& flight);
  void leave(const FlightPtr& flight, bool cancel);
  void finish(const FlightPtr& flight, Result<Facts> result);
  Result<Facts> wait(const FlightPtr& flight, Deadline deadline, const std::stop_token& stop);

  // Asking.
  void run(const FlightPtr& flight);
  Result<Facts> ask(const Question& question, const Way& way, const std::stop_token& stop);
  std::optional<Digest> earlier_digest(const Question& question, const Way& way);
  std::string lane(const Question& question, const Way& way) const { return question.reference.host() + '\n' + way.who; }
  Gate gate(const Question& question, const Way& way);
  Result<bool> enter(const Question& question, const Way& way, const std::stop_token& stop);
  void tell_plan(const std::string& host, const RateLimit& limit, int64_t left, int64_t wanted);
  void note_limit(const Question& question, const Way& way, RegistryClient& client, int64_t answered = 0);
  Error exhausted(const Question& question);

  ImageLookupOptions options_;
  Clock& clock_;
  std::unique_ptr<LookupStore> store_;  // null: memory only
  std::unique_ptr<LookupAccess> access_;
  std::unordered_map<std::string, Facts> known_;
  Sync<Memory> memory_;
  std::mutex gates_mutex_;
  std::condition_variable_any gates_changed_;
  std::unordered_map<std::string, Gate> gates_;
  std::unordered_set<std::string> planned_;  // hosts of which was said that their limit will not do; guarded by gates_mutex_
  std::mutex flights_mutex_;
  std::condition_variable_any flights_changed_;
  std::unordered_map<std::string, FlightPtr> flights_;
  uint64_t flights_begun_ = 0;
  mutable std::atomic<uint64_t> asked_{0}, from_known_{0}, from_memory_{0}, from_disk_{0}, joined_{0}, errors_{0};
  std::stop_source stop_;
  std::stop_callback<std::function<void()>> forward_stop_;
  HostQueue queue_;  // last: its jobs use the rest
};

Result<void> Engine::start() {
  {
    auto memory = memory_.lock();
    memory->names.limit(options_.max_entries);
    memory->facts.limit(options_.max_entries);
  }
  std::string salt = random_salt();
  if (!options_.cache_dir.empty()) {
    auto store = LookupStore::open(options_.cache_dir, options_.registry.warn);
    if (store.ok()) {
      store_ = std::move(*store);
      salt = store_->salt();
      auto memory = memory_.lock();
      for (LookupStore::Verdict& verdict : store_->verdicts()) memory->wrong[verdict.manifest].push_back(std::move(verdict.wrong));
    } else if (options_.registry.warn) {
      options_.registry.warn(store.error().message);
    }
  }
  RegistryOptions registry = options_.registry;
  registry.stop = stop_.get_token();
  registry.http.max_connections_per_host = std::max(registry.http.max_connections_per_host, options_.max_in_flight_per_host);
  access_ = TRY(LookupAccess::create(std::move(registry), std::move(salt)));
  return index_known();
}

// By the very text, by what it names, and by the digest that it is said to have.
Result<void> Engine::index_known() {
  for (const auto& [text, truth] : options_.known.images) {
    auto facts = std::make_shared<const ImageFacts>(ImageFacts{truth, truth.platforms.size() != 1});
    known_.insert_or_assign(text, facts);
  }
  for (const auto& [text, truth] : options_.known.images) {
    Reference reference = TRY(Reference::parse(text).context("what is known of images"));
    Facts facts = known_.at(text);
    known_.emplace(reference.digest() ? reference.name() + "@" + reference.digest()->str() : reference.str(), facts);
    if (truth.digest) known_.emplace(reference.name() + "@" + truth.digest->str(), facts);
  }
  options_.known = {};
  return {};
}

Facts Engine::known(const std::string& text) const {
  auto found = known_.find(text);
  return found == known_.end() ? nullptr : found->second;
}

Result<Question> Engine::plan(const std::string& text, const Keychain& keychain) {
  Reference reference = TRY(Reference::parse(text));
  auto ways = TRY(access_->ways(reference, keychain));
  std::string name = reference.digest() ? reference.name() + "@" + reference.digest()->str() : reference.str();
  std::string key = name;
  for (const Way& way : ways) key += '\n' + way.who;
  return Question{std::move(reference), std::move(name), std::move(ways), std::move(key)};
}

// What a digest names does not change; what a tag names does.
bool Engine::fresh(const Question& question, Time checked, std::chrono::seconds age) const {
  if (question.reference.digest() || options_.offline) return true;
  int64_t seconds = clock_.now().seconds() - checked.seconds();
  return seconds >= 0 && seconds < age.count();  // from the future: somebody has set the clock
}

Facts Engine::facts_at(const std::string& digest, bool disk) {
  std::optional<std::string> packed;
  {
    auto memory = memory_.lock();
    if (const std::string* have = memory->facts.find(digest)) packed = *have;
  }
  auto named = unpack_digest(digest);
  if (!packed && disk && store_ && named) {
    packed = store_->facts(*named);
    if (packed) memory_.lock()->facts.put(digest, *packed);
  }
  auto facts = packed ? unpack_facts(*packed) : std::nullopt;
  if (!facts || facts->truth.digest != named) return nullptr;
  auto memory = memory_.lock();
  for (const ImageFacts::Image& image : facts->images) {
    if (memory->wrong.empty()) break;
    auto found = memory->wrong.find(image.manifest);
    if (found == memory->wrong.end()) continue;
    for (const WrongPlatform& wrong : found->second) {
      if (wrong.platform == image.platform) facts->truth.wrong.push_back(wrong);
    }
  }
  return std::make_shared<const ImageFacts>(std::move(*facts));
}

// The first of the ways that was let see it, if that is no longer ago than `age`.
Facts Engine::remembered(const Question& question, std::chrono::seconds age, bool disk) {
  for (const Way& way : question.ways) {
    std::optional<Named> named;
    {
      auto memory = memory_.lock();
      if (const Named* have = memory->names.find(slot(question, way))) named = *have;
    }
    if (!named && disk && store_) {
      if (auto stored = store_->name(question.name, way.who)) {
        named = Named{pack_digest(stored->digest), stored->checked};
        memory_.lock()->names.put(slot(question, way), *named);
      }
    }
    if (!named || !fresh(question, named->checked, age)) continue;
    if (Facts facts = facts_at(named->digest, disk)) return facts;
  }
  return nullptr;
}

std::optional<Result<Facts>> Engine::quick(const Question& question, bool disk) {
  if (Facts facts = known(question.name)) {
    ++from_known_;
    return Result<Facts>(std::move(facts));
  }
  if (Facts facts = remembered(question, options_.tag_age, false)) {
    ++from_memory_;
    return Result<Facts>(std::move(facts));
  }
  std::optional<Error> failure;
  {
    auto memory = memory_.lock();
    if (const Failure* have = memory->failures.find(question.key); have && have->until > clock_.now()) failure = have->error;
  }
  if (failure) {
    ++from_memory_;
    return or_older(question, std::move(*failure));
  }
  if (!disk || !store_) return std::nullopt;
  if (Facts facts = remembered(question, options_.tag_age, true)) {
    ++from_disk_;
    return Result<Facts>(std::move(facts));
  }
  return std::nullopt;
}

void Engine::record(const Question& question, const Way& way, const Digest& digest, const std::string& packed) {
  Time now = clock_.now();
  {
    auto memory = memory_.lock();
    std::string key = pack_digest(digest);
    memory->facts.put(key, packed);
    memory->names.put(slot(question, way), Named{std::move(key), now});
    memory->failures.erase(question.key);
  }
  if (store_) store_->put(question.name, way.who, {digest, now}, packed);
}

void Engine::record_failure(const Question& question, const Error& error) {
  if (error.code == Code::Cancelled) return;
  std::chrono::milliseconds age = options_.failure_age;
  if (error.code == Code::Unavailable) age /= kUnavailableShare;
  Time until{clock_.now().nanoseconds + std::chrono::nanoseconds(age).count()};
  memory_.lock()->failures.put(question.key, Failure{error, until});
}

Result<Facts> Engine::or_older(const Question& question, Error error) {
  if (error.code != Code::Unavailable) return error;
  if (Facts facts = remembered(question, options_.stale_age, true)) return facts;
  return error;
}

void Engine::submit(const FlightPtr& flight) {
  queue_.submit(flight->question.reference.host(), [this, flight] { run(flight); });
}

Result<Engine::FlightPtr> Engine::join(const Question& question, std::vector<FlightPtr>* later) {
  std::lock_guard lock(flights_mutex_);
  auto found = flights_.find(question.key);
  if (found != flights_.end()) {
    ++joined_;
    ++found->second->waiting;
    return found->second;
  }
  const std::string& host = question.reference.host();
  if (!later && queue_.waiting(host) >= kMaxWaitingPerHost) {
    return Error{Code::Unavailable, question.reference.familiar() + ": " + std::to_string(kMaxWaitingPerHost) + " other images of " + host + " wait to be looked up"};
  }
  Question numbered = question;
  numbered.order = ++flights_begun_;
  auto flight = std::make_shared<Flight>(std::move(numbered));
  flight->waiting = 1;
  flights_.emplace(question.key, flight);
  if (later) {
    later->push_back(flight);
  } else {
    submit(flight);
  }
  return flight;
}

void Engine::leave(const FlightPtr& flight, bool cancel) {
  std::lock_guard lock(flights_mutex_);
  --flight->waiting;
  if (!cancel) flight->kept = true;
  if (flight->waiting > 0 || flight->kept || flight->result) return;
  // Nobody wants it any more. Out of the map first, so that nobody joins what is about to end.
  auto found = flights_.find(flight->question.key);
  if (found != flights_.end() && found->second == flight) flights_.erase(found);
  flight->stop.request_stop();
}

void Engine::finish(const FlightPtr& flight, Result<Facts> result) {
  if (!result.ok()) ++errors_;
  std::vector<std::function<void()>> then;
  {
    std::lock_guard lock(flights_mutex_);
    flight->result = std::move(result);
    then = std::move(flight->then);
    auto found = flights_.find(flight->question.key);
    if (found != flights_.end() && found->second == flight) flights_.erase(found);
  }
  flights_changed_.notify_all();
  for (const auto& each : then) each();
}

Result<Facts> Engine::wait(const FlightPtr& flight, Deadline deadline, const std::stop_token& stop) {
  std::optional<Result<Facts>> result;
  std::string delay;
  {
    std::unique_lock lock(flights_mutex_);
    auto ended = [&] { return flight->result.has_value(); };
    if (deadline) {
      flights_changed_.wait_until(lock, stop, *deadline, ended);
    } else {
      flights_changed_.wait(lock, stop, ended);
    }
    result = flight->result;
    delay = flight->delay;
  }
  leave(flight, !result && stop.stop_requested());
  if (result) return *result;
  if (stop.stop_requested()) return cancelled();
  std::string why = delay.empty() ? "no answer in time" : delay;
  return or_older(flight->question, Error{Code::Unavailable, "looking up " + flight->question.reference.familiar() + ": " + why, "the request goes on; ask again later"});
}

Result<Facts> Engine::look_up(const std::string& reference, const Keychain& keychain, Deadline deadline, std::stop_token stop) {
  ++asked_;
  if (Facts facts = known(reference)) {
    ++from_known_;
    return facts;
  }
  Question question = TRY(plan(reference, keychain));
  if (auto answer = quick(question, true)) return *answer;
  if (options_.offline) return Error{Code::Unavailable, "looking up " + question.reference.familiar() + ": offline, and nothing is known of it"};
  if (stop.stop_requested()) return cancelled();
  auto flight = TRY(join(question, nullptr));
  return wait(flight, deadline, stop);
}

// What a list of look-ups waits for. `mutex` is held while `done` is called, so that none is called after look_up_all has returned.
struct Batch {
  std::mutex mutex;
  std::condition_variable_any changed;
  size_t finished = 0;
  bool closed = false;
  std::function<void(size_t)> done;
  void one_more(size_t count) {
    {
      std::lock_guard lock(mutex);
      if (closed) return;
      for (size_t i = 0; i < count; ++i) {
        ++finished;
        if (done) done(finished);
      }
    }
    changed.notify_all();
  }
};

std::vector<Result<Facts>> Engine::look_up_all(const std::vector<std::string>& references, const Keychain& keychain, std::function<void(size_t)> done,
                                               std::stop_token stop) {
  auto batch = std::make_shared<Batch>();
  batch->done = std::move(done);
  std::vector<std::optional<Result<Facts>>> results(references.size());
  struct Pending {
    FlightPtr flight;
    std::vector<size_t> places;
  };
  std::vector<Pending> pending;
  // Together, so that the first answers that tell of a limit find all who wait for it.
  std::vector<FlightPtr> begun;
  auto submit_all = [&] {
    for (const FlightPtr& flight : begun) submit(flight);
    begun.clear();
  };
  std::unordered_map<std::string, size_t> places;  // by question
  for (size_t i = 0; i < references.size(); ++i) {
    ++asked_;
    auto settle = [&](Result<Facts> result) {
      results[i] = std::move(result);
      batch->one_more(1);
    };
    if (stop.stop_requested()) {
      settle(cancelled());
      continue;
    }
    if (Facts facts = known(references[i])) {
      ++from_known_;
      settle(std::move(facts));
      continue;
    }
    auto question = plan(references[i], keychain);
    if (!question.ok()) {
      settle(question.error());
      continue;
    }
    if (auto before = places.find(question->key); before != places.end()) {
      ++joined_;
      pending[before->second].places.push_back(i);
      continue;
    }
    if (auto answer = quick(*question, true)) {
      settle(std::move(*answer));
      continue;
    }
    if (options_.offline) {
      settle(Error{Code::Unavailable, "looking up " + question->reference.familiar() + ": offline, and nothing is known of it"});
      continue;
    }
    places.emplace(question->key, pending.size());
    pending.push_back({join(*question, &begun).value(), {i}});
    if (begun.size() >= kMaxBegun) submit_all();
  }
  submit_all();
  for (const Pending& each : pending) {
    size_t count = each.places.size();
    auto tell = [batch, count] { batch->one_more(count); };
    bool ended;
    {
      std::lock_guard lock(flights_mutex_);
      ended = each.flight->result.has_value();
      if (!ended) each.flight->then.push_back(tell);
    }
    if (ended) tell();
  }
  {
    std::unique_lock lock(batch->mutex);
    batch->changed.wait(lock, stop, [&] { return batch->finished == references.size(); });
    batch->closed = true;
  }
  for (const Pending& each : pending) {
    Result<Facts> result = wait(each.flight, SteadyClock::time_point(), stop);
    for (size_t place : each.places) results[place] = result;
  }
  std::vector<Result<Facts>> answers;
  answers.reserve(results.size());
  for (auto& result : results) answers.push_back(std::move(*result));
  return answers;
}

Facts Engine::peek(const std::string& reference, const Keychain& keychain) {
  if (Facts facts = known(reference)) return facts;
  auto question = plan(reference, keychain);
  if (!question.ok()) return nullptr;
  if (Facts facts = known(question->name)) return facts;
  return remembered(*question, options_.tag_age, false);
}

Result<void> Engine::remember_wrong(const Digest& manifest, const WrongPlatform& wrong) {
  {
    auto memory = memory_.lock();
    auto& list = memory->wrong[manifest];
    auto same = std::find_if(list.begin(), list.end(), [&](const WrongPlatform& have) { return have.platform == wrong.platform; });
    if (same == list.end()) {
      list.push_back(wrong);
    } else {
      *same = wrong;
    }
  }
  return store_ ? store_->put_verdict({manifest, wrong}) : Result<void>();
}

Result<std::vector<std::string>> Engine::tags(const std::string& text, const Keychain& keychain, std::stop_token stop) {
  Question question = TRY(plan(text, keychain));
  if (options_.offline) return Error{Code::Unavailable, "listing the tags of " + question.reference.name() + ": offline"};
  std::optional<Error> failure;
  for (const Way& way : question.ways) {
    auto client = TRY(access_->client(way, question.reference, LookupAccess::For::Content));
    auto tags = client->tags(question.reference, stop);
    if (tags.ok() || (tags.error().code != Code::Unauthorized && tags.error().code != Code::NotFound)) return tags;
    if (!failure || tags.error().code == Code::NotFound) failure = tags.error();
  }
  return *failure;
}

Result<std::shared_ptr<RegistryClient>> Engine::client(const std::string& text, const Keychain& keychain) {
  Question question = TRY(plan(text, keychain));
  auto seen = [&]() -> const Way* {
    if (question.ways.size() == 1) return &question.ways[0];
    auto memory = memory_.lock();
    for (const Way& way : question.ways) {
      if (memory->names.find(slot(question, way))) return &way;
    }
    return nullptr;
  };
  const Way* way = seen();
  if (!way) {
    TRY(look_up(text, keychain, {}, {}));
    way = seen();
  }
  return access_->client(way ? *way : question.ways.back(), question.reference, LookupAccess::For::Content);
}

LookupCounters Engine::counters() const {
  LookupCounters counters{asked_, from_known_, from_memory_, from_disk_, joined_, access_->requests(), errors_};
  counters.entries = const_cast<Engine*>(this)->memory_.lock()->names.size();
  return counters;
}

// Answers overtake each other: of those of one window the least counts, not the last that came.
std::optional<RateLimit> Engine::rate_limit(const std::string& host) {
  auto limit = access_->rate_limit(host);
  if (!limit || !limit->remaining) return limit;
  std::lock_guard lock(gates_mutex_);
  for (const auto& [name, gate] : gates_) {
    if (gate.counted && name.starts_with(host + '\n')) limit->remaining = std::min(*limit->remaining, gate.told);
  }
  return limit;
}

Gate Engine::gate(const Question& question, const Way& way) {
  std::lock_guard lock(gates_mutex_);
  auto found = gates_.find(lane(question, way));
  return found == gates_.end() ? Gate{} : found->second;
}

// `answered`: how many requests that count it was.
void Engine::note_limit(const Question& question, const Way& way, RegistryClient& client, int64_t answered) {
  auto limit = client.rate_limit(question.reference.host());
  int64_t left = 0, wanted = 0;
  {
    auto now = SteadyClock::now();
    std::lock_guard lock(gates_mutex_);
    Gate& gate = gates_[lane(question, way)];
    gate.in_flight -= answered;
    if (limit && limit->not_before) gate.not_before = *limit->not_before;
    if (limit && limit->remaining) {
      gate.counted = true;
      // Answers overtake each other: a little more than was known is old news, much more a new window.
      int64_t now_left = *limit->remaining;
      if (!gate.left || now_left > *gate.left + gate.in_flight + static_cast<int64_t>(options_.max_in_flight_per_host)) {
        gate.left = now_left - gate.in_flight;
        gate.told = now_left;
      }
      gate.told = std::min(gate.told, now_left);
      if (limit->remaining == 0 && gate.exhausted_until < now) gate.exhausted_until = now + kExhaustedPause;
      left = std::max<int64_t>(0, std::min(gate.told, *gate.left));
      // Under the mutex, so that nobody is counted twice who comes from there to here.
      wanted = static_cast<int64_t>(queue_.waiting(question.reference.host()) + gate.waiting.size());
    }
  }
  gates_changed_.notify_all();
  if (wanted > left) tell_plan(question.reference.host(), *limit, left, wanted);
}

// Said once per host, while there is something left.
void Engine::tell_plan(const std::string& host, const RateLimit& limit, int64_t left, int64_t wanted) {
  if (!options_.registry.warn) return;
  {
    std::lock_guard lock(gates_mutex_);
    if (!planned_.insert(host).second) return;
  }
  options_.registry.warn(host + ": it lets " + std::to_string(left) + " more requests through" + (limit.limit ? ", of " + std::to_string(*limit.limit) + window_of(limit) : "") + ", and " +
                         std::to_string(wanted) + " images wait to be looked up: " + std::to_string(wanted - left) +
                         " will not be. What was learnt is kept, so run it again later; archway login " + host + " may raise the limit");
}

// May a request be sent that counts? False where nothing is left. Waits while it depends on answers that are under way.
Result<bool> Engine::enter(const Question& question, const Way& way, const std::stop_token& stop) {
  const std::string name = lane(question, way);
  const bool known = is_known_to_count(question.reference.host());
  std::unique_lock lock(gates_mutex_);
  if (gates_.size() >= kMaxGates && !gates_.contains(name)) std::erase_if(gates_, [](const auto& each) { return each.second.in_flight == 0 && each.second.waiting.empty(); });
  // What answers say may or may not include what is under way.
  auto may_ask = [](const Gate& gate) { return (gate.told < *gate.left ? gate.told - gate.in_flight : *gate.left) > 0; };
  bool used_up = false;
  auto decided = [&] {
    Gate& gate = gates_[name];
    auto now = SteadyClock::now();
    used_up = gate.exhausted_until > now || gate.not_before > now;
    if (used_up) return true;
    bool first = *gate.waiting.begin() == question.order;
    if (gate.left && may_ask(gate)) return first;
    if (gate.in_flight > 0) return !gate.left && !(known || gate.counted);
    // Nothing is left, and nobody is under way who could tell otherwise: when the pause is over, one request asks how it is now.
    if (gate.left && gate.exhausted_until == SteadyClock::time_point()) {
      gate.exhausted_until = now + kExhaustedPause;
      used_up = true;
    } else if (gate.left) {
      gate.left.reset();
      gate.exhausted_until = {};
    }
    return true;
  };
  gates_[name].waiting.insert(question.order);
  bool is_decided = gates_changed_.wait(lock, stop, decided);
  gates_[name].waiting.erase(question.order);
  gates_changed_.notify_all();  // whoever is first now
  if (!is_decided) return cancelled();
  if (used_up) return false;
  Gate& gate = gates_[name];
  ++gate.in_flight;
  if (gate.left) --*gate.left;
  return true;
}

Error Engine::exhausted(const Question& question) {
  const std::string& host = question.reference.host();
  auto limit = rate_limit(host);
  std::string allowed;
  if (limit && limit->limit) allowed = " (" + std::to_string(*limit->limit) + window_of(*limit) + ")";
  return Error{Code::Unavailable, "looking up " + question.reference.familiar() + ": the rate limit of " + host + " is used up" + allowed,
               "archway login " + host + " may raise it; what was looked up is kept, so run it again later"};
}

// A digest that the name had, and of which the facts are known: then a HEAD tells whether it still has, and costs nothing of a limit.
std::optional<Digest> Engine::earlier_digest(const Question& question, const Way& way) {
  std::optional<std::string> digest;
  {
    auto memory = memory_.lock();
    if (const Named* have = memory->names.find(slot(question, way))) digest = have->digest;
  }
  std::optional<Digest> found;
  if (digest) {
    found = unpack_digest(*digest);
  } else if (question.reference.digest()) {
    found = question.reference.digest();
  } else if (store_) {
    if (auto stored = store_->any_digest(question.name)) found = std::move(*stored);
  }
  if (!found || !facts_at(pack_digest(*found), true)) return std::nullopt;
  return found;
}

Result<Facts> Engine::ask(const Question& question, const Way& way, const std::stop_token& stop) {
  auto client = TRY(access_->client(way, question.reference, LookupAccess::For::LookUp));
  if (auto earlier = earlier_digest(question, way)) {
    auto now = client->head(question.reference, stop);
    note_limit(question, way, *client);
    Descriptor descriptor = TRY(std::move(now));
    std::string digest = pack_digest(descriptor.digest);
    if (Facts facts = facts_at(digest, true)) {
      record(question, way, descriptor.digest, pack_facts(*facts));
      return facts;
    }
  }
  if (!TRY(enter(question, way, stop))) return exhausted(question);
  auto fetched = fetch_facts(*client, question.reference, stop);
  note_limit(question, way, *client, 1);
  ImageFacts facts = TRY(std::move(fetched));
  Digest digest = *facts.truth.digest;
  record(question, way, digest, pack_facts(facts));
  if (Facts joined = facts_at(pack_digest(digest), false)) return joined;
  return Facts(std::make_shared<const ImageFacts>(std::move(facts)));
}

void Engine::run(const FlightPtr& flight) {
  const Question& question = flight->question;
  // Both may end it: who waits, and who owns all of this.
  std::stop_callback ends(stop_.get_token(), [&] { flight->stop.request_stop(); });
  std::stop_token stop = flight->stop.get_token();
  if (stop.stop_requested()) return finish(flight, cancelled());
  // Between the look into memory and the join another request may have ended.
  if (Facts facts = remembered(question, options_.tag_age, false)) return finish(flight, std::move(facts));
  std::optional<Error> failure;
  for (const Way& way : question.ways) {
    auto again = gate(question, way).not_before;
    auto answer = again > SteadyClock::now() ? Result<Facts>(Error{Code::Unavailable, question.reference.host() + " has asked us to wait"}) : ask(question, way, stop);
    if (answer.ok()) return finish(flight, std::move(answer));
    Error error = answer.error();
    again = gate(question, way).not_before;
    if (error.code == Code::Unavailable && again > SteadyClock::now()) {
      if (again < flight->begun + kMaxLimitWait) {
        std::lock_guard lock(flights_mutex_);
        flight->delay = question.reference.host() + " limits our requests, and has asked us to wait";
        queue_.submit(question.reference.host(), [this, flight] { run(flight); }, again);
        return;
      }
      failure = exhausted(question);
      break;
    }
    bool next = error.code == Code::Unauthorized || error.code == Code::NotFound;
    // "There is none" from who may look tells more than "you may not look".
    if (!next || !failure || error.code == Code::NotFound) failure = std::move(error);
    if (!next) break;
  }
  record_failure(question, *failure);
  finish(flight, or_older(question, std::move(*failure)));
}

}  // namespace

Result<std::shared_ptr<ImageLookup>> ImageLookup::open(ImageLookupOptions options) {
  auto engine = std::make_shared<Engine>(std::move(options));
  TRY(engine->start());
  return std::shared_ptr<ImageLookup>(std::move(engine));
}

}  // namespace archway
