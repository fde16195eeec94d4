#include "kube/exec_credential.h"

#include "base/check.h"
#include "kube/watcher.h"

// What plugins print, and (the same bytes) what an API server sends in a watch.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto credential = archway::kube::parse_exec_credential(text, "client.authentication.k8s.io/v1");
  if (credential.ok()) {
    CHECK(!credential->token.empty() || !credential->client_cert_pem.empty());
    CHECK(credential->client_cert_pem.empty() == credential->client_key_pem.empty());
    CHECK(credential->token.find_first_of("\r\n") == std::string::npos);
  }
  auto line = archway::kube::parse_watch_line(text);
  if (line.ok()) CHECK(!line->event || line->event->object.is_object());
  return 0;
}
