#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

// Texts with holes, for writing pipelines (data/ci). The texts are ours, so a mistake in one is a bug and stops the program; what is put
// into the holes is not, so each hole says how it is quoted:
//     <%name%>          as it is
//     <%name|yaml%>     a double-quoted YAML scalar
//     <%name|sh%>       one word of a shell
//     <%name|groovy%>   a single-quoted Groovy string
//     <%name|groovy3%>  inside a '''...''' of Groovy; sh3: a word of a shell in there
//     <% if flag %> ... <% else %> ... <% end %>     also "not flag" and "flag and not other"; nests
// A line that holds nothing else than an if, else or end leaves nothing behind. A value that stands alone on its line has its own lines
// indented as that one is.
namespace archway::ci {

struct TemplateValues {
  std::map<std::string, std::string, std::less<>> texts;
  std::map<std::string, bool, std::less<>> flags;
};

std::string fill_template(std::string_view text, const TemplateValues& values);

std::string yaml_quoted(std::string_view text);
std::string shell_word(std::string_view text);    // bare where nothing needs a quote
std::string groovy_quoted(std::string_view text);
std::string groovy_inside(std::string_view text);

}  // namespace archway::ci
