#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace archway {

// A text that is written once and copied often: copies share it, and cost a pointer. Reads as a std::string.
class SharedText {
 public:
  SharedText() = default;
  SharedText(std::string text) : text_(text.empty() ? nullptr : std::make_shared<const std::string>(std::move(text))) {}
  SharedText(std::string_view text) : SharedText(std::string(text)) {}
  SharedText(const char* text) : SharedText(std::string(text)) {}

  const std::string& str() const { return text_ ? *text_ : nothing(); }
  operator const std::string&() const { return str(); }
  operator std::string_view() const { return str(); }

  bool empty() const { return !text_; }
  size_t size() const { return str().size(); }
  void clear() { text_.reset(); }
  bool starts_with(std::string_view begin) const { return str().starts_with(begin); }
  bool ends_with(std::string_view end) const { return str().ends_with(end); }
  size_t find(std::string_view what, size_t from = 0) const { return str().find(what, from); }
  size_t rfind(char what) const { return str().rfind(what); }
  std::string substr(size_t begin, size_t count = std::string::npos) const { return str().substr(begin, count); }
  // Makes a text of its own: copies that were taken before keep the old one.
  SharedText& operator+=(std::string_view more) { return *this = SharedText(str() + std::string(more)); }

  friend bool operator==(const SharedText& a, const SharedText& b) { return a.text_ == b.text_ || a.str() == b.str(); }
  friend auto operator<=>(const SharedText& a, const SharedText& b) { return a.str().compare(b.str()) <=> 0; }
  template <class T>
    requires(std::convertible_to<T, std::string_view> && !std::same_as<T, SharedText>)
  friend bool operator==(const SharedText& a, const T& b) {
    return std::string_view(a) == std::string_view(b);
  }
  friend std::string operator+(const SharedText& a, std::string_view b) { return std::string(a.str()).append(b); }
  template <class T>
    requires(std::convertible_to<T, std::string_view> && !std::same_as<T, SharedText>)
  friend std::string operator+(T&& a, const SharedText& b) {
    return std::string(std::forward<T>(a)) += b.str();
  }

 private:
  static const std::string& nothing() {
    static const std::string text;
    return text;
  }
  std::shared_ptr<const std::string> text_;
};

}  // namespace archway
