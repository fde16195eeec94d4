#pragma once

// CHECK(condition): for bugs of ours only, never for input. Always on; prints where and aborts.
namespace archway {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}
#define CHECK(condition) \
  ((condition) ? (void)0 : ::archway::check_failed(#condition, __FILE__, __LINE__))
