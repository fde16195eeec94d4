#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "admission/certificate_keeper.h"
#include "admission/crash_watch.h"
#include "admission/events.h"
#include "admission/gate_controller.h"
#include "admission/lease.h"
#include "admission/node_places.h"
#include "registry/lookup.h"

// What the webhook does in the cluster besides answering: its certificate, the gates it left, the crashes that slipped through.
namespace archway::admission {

struct ClusterCertificate {
  std::string secret, webhook;      // names of the Secret and of the MutatingWebhookConfiguration
  std::vector<std::string> names;   // it is called by
  std::string cert_file, key_file;  // written for the server, in a folder that is private to this process
  std::function<void()> changed = {};  // they have been written anew
};

struct ClusterSideOptions {
  std::shared_ptr<kube::Client> client = {};
  std::string name_space, lease, identity;
  std::optional<ClusterCertificate> certificate = {};  // none: somebody else makes it
  bool lift_gates = true, watch_crashes = true, read_logs = false, record_events = true;
  std::chrono::milliseconds gate_patience = std::chrono::minutes(5);
  bool watch_nodes = true;  // in every replica: reviews ask
  Policy policy = {};
  std::shared_ptr<ImageLookup> lookup = {};
  std::function<Keychain(const std::string& name_space, const Json& pod_spec, std::chrono::steady_clock::time_point deadline)> keychain = {};
};

// Starts its threads at once, ends them when destroyed (and gives the Lease away). What fails is logged and tried again: a webhook
// that answers is better than one that exits.
class ClusterSide {
 public:
  static std::unique_ptr<ClusterSide> start(ClusterSideOptions options);
  virtual ~ClusterSide() = default;
  // Blocks until the certificate's files are there, or stopped: Cancelled.
  virtual Result<void> wait_for_certificate(std::stop_token stop) = 0;
  virtual bool leads() const = 0;
  virtual std::string metrics_text() const = 0;  // Prometheus, of all of this
  virtual EventRecorder* events() = 0;           // null where none are recorded
  virtual std::optional<Place> place_of_node(const std::string& node) const = 0;
};

ImageAnswer answer_of(const Result<ImageLookup::Facts>& facts);
// What look-ups say of a pod's images, each waited for until the deadline.
ImageAnswers ask_lookup(ImageLookup& lookup, const std::vector<std::string>& images, const Keychain& keychain, std::chrono::steady_clock::time_point deadline, std::stop_token stop);

}  // namespace archway::admission
