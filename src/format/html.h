#pragma once

#include <string>
#include <string_view>

namespace archway {

// Text as it stands in HTML, between tags or inside a quoted attribute. Control characters but newlines become spaces: a page may not
// hold them.
inline std::string html_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += (static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f ? ' ' : c;
    }
  }
  return out;
}

}  // namespace archway
