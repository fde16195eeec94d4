#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

// How archway reports what the world can do to it: a missing file, a refusing registry, a
// broken Dockerfile. Such a failure is a value, visible in the signature. A bug of ours is a
// CHECK (base/check.h) and stops the program; what is wrong in a user's data is a Finding.
namespace archway {

// Only as fine as callers branch on.
enum class Code {
  Invalid,       // the input breaks a rule; trying again will not help
  NotFound,      // the named thing does not exist
  Exists,        // it exists already
  Unauthorized,  // no, or wrong, credentials; or not allowed
  Unavailable,   // the other side did not answer, or asked us to come back later
  Unsupported,   // valid, but not something that archway or this machine can do
  Mismatch,      // bytes do not hash to, or are not as long as, what was promised
  Cancelled,     // somebody asked to stop
  Io,            // the operating system refused: disk full, permission, ...
  Internal,
};
std::string_view code_name(Code code);

// What went wrong: a lower-case sentence without a full stop that names what was attempted and
// on what, and, where there is one, the next step in `hint`.
struct Error {
  Code code = Code::Internal;
  std::string message;
  std::string hint = {};

  // The same error, seen from further out: "fetching manifest X: " + message.
  Error within(std::string_view outer) && {
    message.insert(0, std::string(outer) + ": ");
    return std::move(*this);
  }
  Error with_hint(std::string text) && {
    if (hint.empty()) hint = std::move(text);
    return std::move(*this);
  }
};

// An Error from errno: "<what>: No such file or directory". ENOENT becomes NotFound and so on.
Error errno_error(std::string_view what, int error_number);
Error errno_error(std::string_view what);  // reads errno

// A T, or why there is none. Must be looked at; TRY passes the error on.
template <class T>
class [[nodiscard]] Result {
 public:
  using Value = T;
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  template <class U>
    requires(std::is_convertible_v<U, T> && !std::is_same_v<std::decay_t<U>, T> &&
             !std::is_same_v<std::decay_t<U>, Error> && !std::is_same_v<std::decay_t<U>, Result>)
  Result(U&& value) : state_(std::in_place_index<0>, std::forward<U>(value)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & { return *std::get_if<0>(&state_); }
  const T& value() const& { return *std::get_if<0>(&state_); }
  T&& value() && { return std::move(*std::get_if<0>(&state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& { return *std::get_if<1>(&state_); }
  Error&& error() && { return std::move(*std::get_if<1>(&state_)); }

  T value_or(T fallback) && { return ok() ? std::move(value()) : std::move(fallback); }

  // Adds where we were to an error; leaves a value alone.
  Result context(std::string_view outer) && {
    if (ok()) return std::move(*this);
    return std::move(*this).error().within(outer);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using Value = void;
  Result() = default;
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}
  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  void value() const {}
  const Error& error() const& { return *std::get_if<1>(&state_); }
  Error&& error() && { return std::move(*std::get_if<1>(&state_)); }
  Result context(std::string_view outer) && {
    if (ok()) return {};
    return std::move(*this).error().within(outer);
  }

 private:
  std::variant<std::monostate, Error> state_;
};

}  // namespace archway

// auto x = TRY(f());   the value, or return f's error from here.
// A GNU statement expression: the early return runs every destructor. Not inside a function
// argument whose other arguments own things (evaluation order), and never in a default argument.
#define TRY(expression) ARCHWAY_TRY_NAMED(ARCHWAY_TRY_JOIN(try_result_, __COUNTER__), expression)
// Each use has a name of its own, so that a TRY may stand in a lambda inside another's argument.
#define ARCHWAY_TRY_JOIN(a, b) ARCHWAY_TRY_JOIN_(a, b)
#define ARCHWAY_TRY_JOIN_(a, b) a##b
#define ARCHWAY_TRY_NAMED(name, expression)        \
  ({                                               \
    auto name = (expression);                      \
    if (!name.ok()) return std::move(name).error(); \
    std::move(name).value();                       \
  })
