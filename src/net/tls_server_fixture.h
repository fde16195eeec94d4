#pragma once

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/process.h"
#include "net/raw_server_fixture.h"

// For tests: certificates made by the openssl program, and TLS in front of a server that speaks none.
namespace archway::testing {

// An authority, a server's certificate for `name` and a client's certificate named "tester"; files in one folder.
struct TestCertificates {
  std::string ca, server_cert, server_key, client_cert, client_key;  // PEM

  // Empty where there is no openssl program.
  static std::optional<TestCertificates> make(const std::string& server_name) {
    auto folder = TempDir::create("/tmp", "archway-tls-");
    if (!folder.ok() || !find_program("openssl")) return std::nullopt;
    auto run = [&](std::vector<std::string> words) {
      ProcessOptions options;
      options.directory = folder->path();
      words.insert(words.begin(), "openssl");
      auto result = run_process(words, options);
      return result.ok() && result->exit_code == 0;
    };
    std::vector<std::string> key = {"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"};
    auto request = [&](std::vector<std::string> words) {
      words.insert(words.begin() + 1, key.begin(), key.end());
      return run(words);
    };
    bool made = request({"req", "-x509", "-days", "1", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem"}) &&
                request({"req", "-x509", "-days", "1", "-CA", "ca.pem", "-CAkey", "ca.key", "-subj", "/CN=server", "-addext", "subjectAltName=DNS:" + server_name,
                         "-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "server.key", "-out", "server.pem"}) &&
                request({"req", "-x509", "-days", "1", "-CA", "ca.pem", "-CAkey", "ca.key", "-subj", "/CN=tester", "-addext", "basicConstraints=critical,CA:FALSE",
                         "-keyout", "client.key", "-out", "client.pem"});
    if (!made) return std::nullopt;
    auto text = [&](const char* name) { return read_file(*folder / name, 1 << 20).value_or(""); };
    return TestCertificates{text("ca.pem"), text("server.pem"), text("server.key"), text("client.pem"), text("client.key")};
  }
};

// Ends TLS and passes the bytes on to `target`. Notes who came (CN of the client's certificate) and which name was asked for.
class TlsFront {
 public:
  enum class Clients { Anyone, WithCertificate };
  TlsFront(uint16_t target, const TestCertificates& certificates, Clients clients)
      : target_(target), context_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free), server_([this](int fd) { serve(fd); }) {
    X509* cert = read_cert(certificates.server_cert);
    X509* ca = read_cert(certificates.ca);
    BIO* bio = BIO_new_mem_buf(certificates.server_key.data(), static_cast<int>(certificates.server_key.size()));
    EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
    SSL_CTX_use_certificate(context_.get(), cert);
    SSL_CTX_use_PrivateKey(context_.get(), key);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context_.get()), ca);
    if (clients == Clients::WithCertificate) SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    SSL_CTX_set_session_id_context(context_.get(), reinterpret_cast<const unsigned char*>("test"), 4);
    X509_free(cert);
    X509_free(ca);
    EVP_PKEY_free(key);
    BIO_free(bio);
  }
  uint16_t port() const { return server_.port(); }
  std::string host() const { return server_.host(); }
  std::vector<std::string> clients() {
    std::lock_guard lock(mutex_);
    return clients_;
  }
  std::vector<std::string> names() {
    std::lock_guard lock(mutex_);
    return names_;
  }

 private:
  static X509* read_cert(const std::string& pem) {
    BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    X509* cert = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    BIO_free(bio);
    return cert;
  }
  void serve(int fd) {
    std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(context_.get()), SSL_free);
    SSL_set_fd(ssl.get(), fd);
    if (SSL_accept(ssl.get()) != 1) return ERR_clear_error();
    note(ssl.get());
    Fd upstream = connect_to_loopback(target_);
    std::vector<char> buffer(64 * 1024);
    while (upstream) {
      pollfd fds[2] = {{fd, POLLIN, 0}, {upstream.get(), POLLIN, 0}};
      if (SSL_pending(ssl.get()) == 0 && ::poll(fds, 2, -1) < 0) return;
      if (SSL_pending(ssl.get()) > 0 || fds[0].revents) {
        int n = SSL_read(ssl.get(), buffer.data(), static_cast<int>(buffer.size()));
        if (n <= 0 || !write_all(upstream.get(), as_bytes({buffer.data(), static_cast<size_t>(n)})).ok()) break;
      } else {
        ssize_t n = ::read(upstream.get(), buffer.data(), buffer.size());
        if (n <= 0 || SSL_write(ssl.get(), buffer.data(), static_cast<int>(n)) <= 0) break;
      }
    }
    SSL_shutdown(ssl.get());
    ERR_clear_error();
  }
  void note(SSL* ssl) {
    std::string who;
    if (X509* peer = SSL_get1_peer_certificate(ssl)) {
      char name[256] = {};
      X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, name, sizeof name);
      who = name;
      X509_free(peer);
    }
    const char* asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    std::lock_guard lock(mutex_);
    clients_.push_back(who);
    names_.push_back(asked ? asked : "");
  }
  uint16_t target_;
  std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context_;
  std::mutex mutex_;
  std::vector<std::string> clients_, names_;
  TcpServer server_;  // last: its threads use the others
};

}  // namespace archway::testing
