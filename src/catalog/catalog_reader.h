#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "catalog/catalog.h"
#include "format/yaml_tree.h"

namespace archway::catalog {

// Reads one file into a catalog, strictly; the file's own entries first, so that what refers to them is found. Used once.
class CatalogReader {
 public:
  CatalogReader(Catalog& catalog, std::string_view file, bool users) : catalog_(catalog), file_(file), users_(users) {}
  // After an error the catalog holds a part of the file.
  Result<void> read(std::string_view text);

 private:
  Error at(const YamlNode& node, const std::string& message) const;
  Origin origin(const YamlNode& node) const { return {std::string(file_), node.line}; }

  // A mapping with no other keys than these, none of them twice.
  Result<void> known_keys(const YamlNode& map, std::initializer_list<std::string_view> keys) const;
  Result<std::string> text(const YamlNode& map, std::string_view key) const;                // "" where absent
  Result<std::string> required_text(const YamlNode& map, std::string_view key) const;
  Result<std::vector<std::string>> texts(const YamlNode& map, std::string_view key) const;  // one or a list
  Result<bool> flag(const YamlNode& map, std::string_view key, bool fallback) const;
  Result<std::optional<Version>> version(const YamlNode& map, std::string_view key) const;
  Result<std::string> date(const YamlNode& map, std::string_view key) const;                // "" where absent
  Result<std::string> url(const YamlNode& map, std::string_view key) const;                 // "" where absent
  Result<std::string> identifier(const YamlNode& map, std::string_view key) const;
  Result<NamePattern> pattern(const YamlNode& node) const;
  Result<void> each(const YamlNode& map, std::string_view key, size_t limit, const std::function<Result<void>(const YamlNode&)>& take) const;
  Result<Artifact> artifact(const YamlNode& map) const;
  // The sources that an entry names; the entry's date, or theirs.
  Result<std::vector<std::string>> sources(const YamlNode& map, std::string& newest) const;

  Result<void> read_source(const YamlNode& node);
  Result<void> read_product(const YamlNode& node, bool in_tables);
  Result<Product*> product_for(const YamlNode& node, bool in_tables);
  Result<void> read_claim(const YamlNode& node, Product& product) const;
  Result<void> read_row(const YamlNode& node, Product& product) const;
  Result<void> read_move(const YamlNode& node);

  Catalog& catalog_;
  std::string_view file_;
  bool users_;
  std::vector<std::string> ids_;  // products of this file
  std::vector<Move> moves_;
};

}  // namespace archway::catalog
