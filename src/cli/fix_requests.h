#pragma once

#include <string>
#include <vector>

#include "audit/collection.h"
#include "cli/command.h"

namespace archway::cli {

// What fix is asked for outright, without an audit: --set-image, --add-toleration, --arch with --require, --prefer or --select, and
// --drop-arch-selector.
std::vector<Flag> fix_request_flags();
bool has_fix_requests(const Arguments& arguments);
// A finding per place that the requests are about. A usage_error names the flag that makes no sense.
Result<std::vector<audit::Finding>> requested_fixes(const Arguments& arguments, const audit::Collection& collection);

// --only KIND/NAME, --rule NAME: what a fix is restricted to.
class FixFilter {
 public:
  static Result<FixFilter> parse(const Arguments& arguments);
  bool wants(const audit::Finding& finding, const audit::Place& place) const;

 private:
  struct Object { std::string kind, name; };
  std::vector<Object> objects_;
  std::vector<std::string> rules_;
};

}  // namespace archway::cli
