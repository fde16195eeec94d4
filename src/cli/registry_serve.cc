#include "cli/command.h"
#include "cli/listen.h"
#include "format/json.h"
#include "registry_server/server.h"

namespace archway::cli {

namespace {

Result<int> serve(const Arguments& arguments, const Context& context) {
  auto root = arguments.one("root");
  if (!root || root->empty()) return usage_error("archway registry serve needs --root DIR, the folder to keep images in");
  ListenAddress address = TRY(parse_listen_address(arguments.one_or("listen", "127.0.0.1:5000")));
  RegistryServerOptions options;
  options.root = *root;
  options.host = address.host;
  options.port = address.port;
  options.tls_cert_file = arguments.one_or("tls-cert", "");
  options.tls_key_file = arguments.one_or("tls-key", "");
  if (options.tls_cert_file.empty() != options.tls_key_file.empty()) return usage_error("--tls-cert and --tls-key go together");
  options.htpasswd_file = arguments.one_or("htpasswd", "");
  options.allow_anonymous = arguments.has("allow-anonymous");
  std::string log = arguments.one_or("access-log", "");
  if (log == "-") {
    options.access_log = [&context](std::string_view line) { context.out(std::string(line) + "\n"); };
  } else if (!log.empty()) {
    options.access_log = TRY(file_access_log(log));
  }
  raise_descriptor_limit();
  auto server = TRY(RegistryServer::start(std::move(options)));
  std::string url = server->url();
  if (arguments.has("json")) {
    context.out(to_json(Json::object({{"listening", url}, {"port", server->port()}, {"root", *root}})) + "\n");
  } else {
    context.out("listening on " + url + "\n");
  }
  wait_for_stop(context.stop);
  return kOk;
}

}  // namespace

Command registry_serve_command() {
  Command command;
  command.name = "registry serve";
  command.summary = "Serve images from a folder";
  command.usage = "archway registry serve --root DIR [--listen HOST:PORT] [flags]";
  command.description =
      "Serves a registry (OCI distribution-spec 1.1) from a folder, until it gets SIGINT or SIGTERM. The first line on\n"
      "standard output is the address, with the port that was chosen where --listen ends in :0:\n\n"
      "  listening on http://127.0.0.1:5000\n\n"
      "Each repository below DIR is an OCI image layout, which other tools can read: `skopeo copy oci:DIR/app:1.0 ...`.\n"
      "What was pushed is on disk when the push is answered. Beyond loopback it wants --htpasswd, or to be told that\n"
      "everybody may read and write: --allow-anonymous.\n\n"
      "Examples:\n"
      "  archway registry serve --root /srv/images --listen 127.0.0.1:5000\n"
      "  archway registry serve --root /srv/images --listen :443 --tls-cert cert.pem --tls-key key.pem --htpasswd users";
  command.flags = {
      {"root", 0, Flag::Kind::One, "DIR", "the folder to keep images in; made where it is missing"},
      {"listen", 0, Flag::Kind::One, "HOST:PORT", "where to listen (127.0.0.1:5000); port 0 takes a free one"},
      {"tls-cert", 0, Flag::Kind::One, "FILE", "certificate chain, PEM: serve HTTPS"},
      {"tls-key", 0, Flag::Kind::One, "FILE", "its private key, PEM"},
      {"htpasswd", 0, Flag::Kind::One, "FILE", "who may use it: bcrypt entries, as htpasswd -B makes them"},
      {"allow-anonymous", 0, Flag::Kind::Bool, "", "listen beyond loopback without --htpasswd"},
      {"access-log", 0, Flag::Kind::One, "FILE", "a line per request: time, client, method, path, status, bytes, milliseconds; - for standard output"},
      {"json", 0, Flag::Kind::Bool, "", "say the address as a JSON object"},
  };
  command.run = serve;
  return command;
}

}  // namespace archway::cli
