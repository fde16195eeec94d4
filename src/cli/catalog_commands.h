#pragma once

#include "catalog/catalog.h"
#include "cli/command.h"
#include "format/json.h"

namespace archway::cli {

Command catalog_list_command();
Command catalog_show_command();
Command catalog_search_command();
Command catalog_check_command();

// --catalog FILE, as often as wanted: what archway ships with, and the files on top. Other verbs take it too.
Flag catalog_flag();
Result<catalog::Catalog> load_catalog(const Arguments& arguments);
// A product by its id, name, row name or image. NotFound with what was perhaps meant.
Result<const catalog::Product*> named_product(const catalog::Catalog& catalog, const std::string& name);
Json product_json(const catalog::Catalog& catalog, const catalog::Product& product);

}  // namespace archway::cli
