#include "admission/certificates.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>

namespace archway::admission {
namespace {

using std::chrono::seconds;

inline constexpr size_t kMaxCommonName = 64;  // X.520's ub-common-name

template <class T, void (*Free)(T*)>
struct Freer {
  void operator()(T* object) const { Free(object); }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY, EVP_PKEY_free>>;
using Cert = std::unique_ptr<X509, Freer<X509, X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION, X509_EXTENSION_free>>;
struct BioFreer {
  void operator()(BIO* bio) const { BIO_free_all(bio); }
};
using Bio = std::unique_ptr<BIO, BioFreer>;

Error openssl_error(const std::string& what) {
  char text[256] = "";
  if (unsigned long code = ERR_get_error()) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return Error{Code::Internal, what + (text[0] ? std::string(": ") + text : "")};
}

Bio reader_of(std::string_view text) { return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(std::min<size_t>(text.size(), kMaxBundleBytes)))); }

std::string text_of(BIO* bio) {
  char* data = nullptr;
  long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<size_t>(size));
}

std::string pem_of(X509* cert) {
  Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), cert);
  return text_of(bio.get());
}

Result<std::string> pem_of(EVP_PKEY* key) {
  Bio bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) return openssl_error("writing a private key");
  return text_of(bio.get());
}

// Null where the text has none (any more).
Cert next_cert(BIO* bio) {
  Cert cert(PEM_read_bio_X509(bio, nullptr, nullptr, nullptr));
  ERR_clear_error();
  return cert;
}

Time time_of(const ASN1_TIME* time) {
  int days = 0, rest = 0;
  std::unique_ptr<ASN1_TIME, Freer<ASN1_TIME, ASN1_TIME_free>> epoch(ASN1_TIME_set(nullptr, 0));
  if (ASN1_TIME_diff(&days, &rest, epoch.get(), time) != 1) return Time{};
  return Time::from_seconds(int64_t{days} * 86'400 + rest);
}

bool is_address(const std::string& name) {
  unsigned char buffer[16];
  return inet_pton(AF_INET, name.c_str(), buffer) == 1 || inet_pton(AF_INET6, name.c_str(), buffer) == 1;
}

// Names go into OpenSSL's configuration syntax, where commas and more mean something.
bool is_plain_name(const std::string& name) {
  return !name.empty() && name.size() <= 253 && std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '.' || c == ':' || c == '*'; });
}

std::string alternative_names(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ",") + std::string(is_address(name) ? "IP:" : "DNS:") + name;
  return text;
}

// What both certificates have: version 3, a random serial number, a time to live.
Result<Cert> blank_certificate(EVP_PKEY* key, const std::string& common_name, Time now, seconds life) {
  Cert cert(X509_new());
  unsigned char serial[16];
  if (!cert || RAND_bytes(serial, sizeof serial) != 1) return openssl_error("making a certificate");
  serial[0] &= 0x7f;
  std::unique_ptr<BIGNUM, Freer<BIGNUM, BN_free>> number(BN_bin2bn(serial, sizeof serial, nullptr));
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(cert.get()));
  X509_set_version(cert.get(), X509_VERSION_3);
  ASN1_TIME_set(X509_getm_notBefore(cert.get()), now.seconds() - kClockSkew.count());
  ASN1_TIME_set(X509_getm_notAfter(cert.get()), now.seconds() + life.count());
  X509_NAME* subject = X509_get_subject_name(cert.get());
  auto text = reinterpret_cast<const unsigned char*>(common_name.data());
  X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>("archway"), -1, -1, 0);
  X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, text, static_cast<int>(common_name.size()), -1, 0);
  if (X509_set_pubkey(cert.get(), key) != 1) return openssl_error("making a certificate");
  return cert;
}

Result<void> extend(X509* cert, X509* issuer, std::initializer_list<std::pair<int, std::string>> extensions) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, cert, nullptr, nullptr, 0);
  for (const auto& [nid, value] : extensions) {
    Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
    if (!extension || X509_add_ext(cert, extension.get(), -1) != 1) return openssl_error("certificate extension " + value);
  }
  return {};
}

Result<Key> new_key() {
  Key key(EVP_EC_gen("P-256"));
  if (!key) return openssl_error("making a key");
  return key;
}

struct Authority {
  Cert cert;
  Key key;
};
Result<Authority> make_authority(Time now, seconds life) {
  Key key = TRY(new_key());
  // Each has a name of its own: of two authorities in a bundle with one name, OpenSSL would try but one.
  unsigned char random[4];
  RAND_bytes(random, sizeof random);
  char name[48];
  snprintf(name, sizeof name, "archway admission %02x%02x%02x%02x", random[0], random[1], random[2], random[3]);
  Cert cert = TRY(blank_certificate(key.get(), name, now, life));
  X509_set_issuer_name(cert.get(), X509_get_subject_name(cert.get()));
  TRY(extend(cert.get(), cert.get(), {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"}, {NID_key_usage, "critical,keyCertSign"}, {NID_subject_key_identifier, "hash"}}));
  if (X509_sign(cert.get(), key.get(), EVP_sha256()) == 0) return openssl_error("signing a certificate");
  Authority authority;
  authority.cert = std::move(cert);
  authority.key = std::move(key);
  return authority;
}

std::string address_text(const ASN1_OCTET_STRING* bytes) {
  char text[INET6_ADDRSTRLEN] = "";
  int family = bytes->length == 4 ? AF_INET : AF_INET6;
  if (bytes->length != 4 && bytes->length != 16) return {};
  inet_ntop(family, bytes->data, text, sizeof text);
  return text;
}

std::vector<std::string> names_of(X509* cert) {
  std::vector<std::string> names;
  auto* list = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(cert, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; list && i < sk_GENERAL_NAME_num(list); i++) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(list, i);
    if (name->type == GEN_DNS) names.emplace_back(reinterpret_cast<const char*>(name->d.dNSName->data), name->d.dNSName->length);
    if (name->type == GEN_IPADD) names.push_back(address_text(name->d.iPAddress));
  }
  GENERAL_NAMES_free(list);
  return names;
}

bool signed_by(X509* cert, X509* ca) {
  EVP_PKEY* key = X509_get0_pubkey(ca);
  bool good = key && X509_verify(cert, key) == 1;
  ERR_clear_error();
  return good;
}

// Each certificate of a text, in PEM as OpenSSL writes it.
std::vector<std::pair<std::string, Time>> certificates_in(std::string_view text) {
  std::vector<std::pair<std::string, Time>> found;
  Bio bio = reader_of(text);
  while (Cert cert = next_cert(bio.get())) {
    found.emplace_back(pem_of(cert.get()), time_of(X509_get0_notAfter(cert.get())));
    if (found.size() >= kMaxBundleCertificates) break;
  }
  return found;
}

}  // namespace

Result<ServingCertificate> make_serving_certificate(const std::vector<std::string>& names, Time now, seconds life) {
  if (names.empty()) return Error{Code::Invalid, "a serving certificate needs a name"};
  for (const std::string& name : names) {
    if (!is_plain_name(name)) return Error{Code::Invalid, "\"" + name + "\" is no name for a certificate"};
  }
  Authority ca = TRY(make_authority(now, life));
  Key key = TRY(new_key());
  std::string common_name = names.front().size() <= kMaxCommonName ? names.front() : "archway admission";
  Cert cert = TRY(blank_certificate(key.get(), common_name, now, life));
  X509_set_issuer_name(cert.get(), X509_get_subject_name(ca.cert.get()));
  TRY(extend(cert.get(), ca.cert.get(),
             {{NID_basic_constraints, "critical,CA:FALSE"},
              {NID_key_usage, "critical,digitalSignature"},
              {NID_ext_key_usage, "serverAuth"},
              {NID_subject_key_identifier, "hash"},
              {NID_authority_key_identifier, "keyid"},
              {NID_subject_alt_name, alternative_names(names)}}));
  if (X509_sign(cert.get(), ca.key.get(), EVP_sha256()) == 0) return openssl_error("signing a certificate");
  ServingCertificate made;
  made.key_pem = TRY(pem_of(key.get()));
  made.cert_pem = pem_of(cert.get());
  made.ca_pem = pem_of(ca.cert.get());
  return made;
}

Result<CertificateFacts> read_certificate(std::string_view pem) {
  Bio bio = reader_of(pem);
  Cert cert = next_cert(bio.get());
  if (!cert) return Error{Code::Invalid, "no certificate in PEM format"};
  CertificateFacts facts;
  facts.not_before = time_of(X509_get0_notBefore(cert.get()));
  facts.not_after = time_of(X509_get0_notAfter(cert.get()));
  facts.names = names_of(cert.get());
  return facts;
}

std::string fault_of(const ServingCertificate& certificate, const std::vector<std::string>& names, Time now) {
  Bio cert_text = reader_of(certificate.cert_pem), key_text = reader_of(certificate.key_pem), ca_text = reader_of(certificate.ca_pem);
  Cert cert = next_cert(cert_text.get());
  if (!cert) return "there is no certificate";
  Key key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, nullptr, nullptr));
  if (!key) {
    ERR_clear_error();
    return "there is no private key";
  }
  if (X509_check_private_key(cert.get(), key.get()) != 1) {
    ERR_clear_error();
    return "the private key belongs to another certificate";
  }
  bool trusted = false;
  while (Cert ca = next_cert(ca_text.get())) trusted |= signed_by(cert.get(), ca.get());
  if (!trusted) return "the authority beside it has not signed it";
  if (time_of(X509_get0_notAfter(cert.get())) <= now) return "it has expired";
  if (time_of(X509_get0_notBefore(cert.get())) > now) return "it is not valid yet";
  std::vector<std::string> has = names_of(cert.get());
  for (const std::string& name : names) {
    if (std::find(has.begin(), has.end(), name) == has.end()) return "it is not for " + name;
  }
  return {};
}

bool wants_renewal(const CertificateFacts& facts, Time now) {
  int64_t life = facts.not_after.seconds() - facts.not_before.seconds();
  return now.seconds() >= facts.not_after.seconds() - life / kRenewFraction;
}

std::string merge_bundles(std::string_view first, std::string_view second, Time now) {
  std::string merged;
  std::vector<std::string> taken;
  for (std::string_view bundle : {first, second}) {
    for (auto& [pem, not_after] : certificates_in(bundle)) {
      bool expired = bundle.data() == second.data() && not_after <= now;
      if (expired || taken.size() >= kMaxBundleCertificates || std::find(taken.begin(), taken.end(), pem) != taken.end()) continue;
      merged += pem;
      taken.push_back(std::move(pem));
    }
  }
  return merged;
}

bool bundle_contains(std::string_view whole, std::string_view part) {
  auto have = certificates_in(whole);
  auto wanted = certificates_in(part);
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& one) {
    return std::any_of(have.begin(), have.end(), [&](const auto& other) { return other.first == one.first; });
  });
}

}  // namespace archway::admission
