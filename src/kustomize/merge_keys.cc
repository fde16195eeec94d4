#include "kustomize/merge_keys.h"

#include <algorithm>
#include <array>

namespace archway::kustomize {

namespace {

using std::string_view;

constexpr string_view kName[] = {"name"}, kType[] = {"type"}, kIp[] = {"ip"}, kUid[] = {"uid"}, kMountPath[] = {"mountPath"}, kDevicePath[] = {"devicePath"};
constexpr string_view kContainerPort[] = {"containerPort", "protocol"}, kPort[] = {"port", "protocol"}, kSpread[] = {"topologyKey", "whenUnsatisfiable"};

constexpr MergeField kMetaFields[] = {{"finalizers", nullptr, true}, {"ownerReferences", nullptr, true, kUid}};
constexpr MergeType kMeta{kMetaFields};

constexpr MergeField kContainerFields[] = {{"env", nullptr, true, kName}, {"ports", nullptr, true, kContainerPort}, {"volumeDevices", nullptr, true, kDevicePath}, {"volumeMounts", nullptr, true, kMountPath}};
constexpr MergeType kContainer{kContainerFields};
// Ports of ephemeral containers are not merged: the schema of the kubectl of today says nothing of them.
constexpr MergeField kEphemeralFields[] = {{"env", nullptr, true, kName}, {"volumeDevices", nullptr, true, kDevicePath}, {"volumeMounts", nullptr, true, kMountPath}};
constexpr MergeType kEphemeral{kEphemeralFields};

constexpr MergeField kClaimFields[] = {{"metadata", &kMeta}};
constexpr MergeType kClaim{kClaimFields};
constexpr MergeField kEphemeralSourceFields[] = {{"volumeClaimTemplate", &kClaim}};
constexpr MergeType kEphemeralSource{kEphemeralSourceFields};
constexpr MergeField kVolumeFields[] = {{"ephemeral", &kEphemeralSource}};
constexpr MergeType kVolume{kVolumeFields};

constexpr MergeField kPodSpecFields[] = {
    {"containers", &kContainer, true, kName},
    {"ephemeralContainers", &kEphemeral, true, kName},
    {"hostAliases", nullptr, true, kIp},
    {"imagePullSecrets", nullptr, true, kName},
    {"initContainers", &kContainer, true, kName},
    {"topologySpreadConstraints", nullptr, true, kSpread},
    {"volumes", &kVolume, true, kName},
};
constexpr MergeType kPodSpec{kPodSpecFields};
constexpr MergeField kConditionsFields[] = {{"conditions", nullptr, true, kType}};
constexpr MergeType kConditions{kConditionsFields};

constexpr MergeField kPodFields[] = {{"metadata", &kMeta}, {"spec", &kPodSpec}, {"status", &kConditions}};
constexpr MergeType kPod{kPodFields};
constexpr MergeField kTemplateFields[] = {{"metadata", &kMeta}, {"spec", &kPodSpec}};
constexpr MergeType kTemplate{kTemplateFields};

constexpr MergeField kPodTemplateFields[] = {{"metadata", &kMeta}, {"template", &kTemplate}};
constexpr MergeType kPodTemplate{kPodTemplateFields};

// Deployment, DaemonSet, ReplicaSet, ReplicationController, Job.
constexpr MergeField kWorkloadSpecFields[] = {{"template", &kTemplate}};
constexpr MergeType kWorkloadSpec{kWorkloadSpecFields};
constexpr MergeField kWorkloadFields[] = {{"metadata", &kMeta}, {"spec", &kWorkloadSpec}, {"status", &kConditions}};
constexpr MergeType kWorkload{kWorkloadFields};

constexpr MergeField kStatefulSetSpecFields[] = {{"template", &kTemplate}, {"volumeClaimTemplates", &kClaim}};
constexpr MergeType kStatefulSetSpec{kStatefulSetSpecFields};
constexpr MergeField kStatefulSetFields[] = {{"metadata", &kMeta}, {"spec", &kStatefulSetSpec}, {"status", &kConditions}};
constexpr MergeType kStatefulSet{kStatefulSetFields};

constexpr MergeField kJobTemplateFields[] = {{"metadata", &kMeta}, {"spec", &kWorkloadSpec}};
constexpr MergeType kJobTemplate{kJobTemplateFields};
constexpr MergeField kCronJobSpecFields[] = {{"jobTemplate", &kJobTemplate}};
constexpr MergeType kCronJobSpec{kCronJobSpecFields};
constexpr MergeField kCronJobFields[] = {{"metadata", &kMeta}, {"spec", &kCronJobSpec}};
constexpr MergeType kCronJob{kCronJobFields};

constexpr MergeField kServiceSpecFields[] = {{"ports", nullptr, true, kPort}};
constexpr MergeType kServiceSpec{kServiceSpecFields};
constexpr MergeField kServiceFields[] = {{"metadata", &kMeta}, {"spec", &kServiceSpec}};
constexpr MergeType kService{kServiceFields};
constexpr MergeField kServiceAccountFields[] = {{"metadata", &kMeta}, {"secrets", nullptr, true, kName}};
constexpr MergeType kServiceAccount{kServiceAccountFields};
constexpr MergeField kWebhooksFields[] = {{"metadata", &kMeta}, {"webhooks", nullptr, true, kName}};
constexpr MergeType kWebhooks{kWebhooksFields};

struct Kind {
  string_view api_version, kind;
  const MergeType* type;
};
constexpr Kind kKinds[] = {
    {"v1", "Pod", &kPod},
    {"v1", "PodTemplate", &kPodTemplate},
    {"v1", "ReplicationController", &kWorkload},
    {"v1", "Service", &kService},
    {"v1", "ServiceAccount", &kServiceAccount},
    {"apps/v1", "Deployment", &kWorkload},
    {"apps/v1", "DaemonSet", &kWorkload},
    {"apps/v1", "ReplicaSet", &kWorkload},
    {"apps/v1", "StatefulSet", &kStatefulSet},
    {"batch/v1", "Job", &kWorkload},
    {"batch/v1", "CronJob", &kCronJob},
    {"batch/v1beta1", "CronJob", &kCronJob},
    {"admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", &kWebhooks},
    {"admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", &kWebhooks},
    {"admissionregistration.k8s.io/v1beta1", "MutatingWebhookConfiguration", &kWebhooks},
    {"admissionregistration.k8s.io/v1beta1", "ValidatingWebhookConfiguration", &kWebhooks},
};

struct Scope {
  string_view api_version;
  std::array<string_view, 5> kinds;
};
constexpr Scope kClusterScoped[] = {
    {"v1", {"ComponentStatus", "Namespace", "Node", "NodeProxyOptions", "PersistentVolume"}},
    {"admissionregistration.k8s.io/v1", {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}},
    {"admissionregistration.k8s.io/v1beta1", {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}},
    {"apiextensions.k8s.io/v1", {"CustomResourceDefinition"}},
    {"apiextensions.k8s.io/v1beta1", {"CustomResourceDefinition"}},
    {"apiregistration.k8s.io/v1", {"APIService"}},
    {"apiregistration.k8s.io/v1beta1", {"APIService"}},
    {"certificates.k8s.io/v1", {"CertificateSigningRequest"}},
    {"certificates.k8s.io/v1beta1", {"CertificateSigningRequest"}},
    {"flowcontrol.apiserver.k8s.io/v1beta1", {"FlowSchema", "PriorityLevelConfiguration"}},
    {"networking.k8s.io/v1", {"IngressClass"}},
    {"networking.k8s.io/v1beta1", {"IngressClass"}},
    {"node.k8s.io/v1", {"RuntimeClass"}},
    {"node.k8s.io/v1beta1", {"RuntimeClass"}},
    {"policy/v1beta1", {"PodSecurityPolicy"}},
    {"rbac.authorization.k8s.io/v1", {"ClusterRole", "ClusterRoleBinding"}},
    {"rbac.authorization.k8s.io/v1beta1", {"ClusterRole", "ClusterRoleBinding"}},
    {"scheduling.k8s.io/v1", {"PriorityClass"}},
    {"scheduling.k8s.io/v1beta1", {"PriorityClass"}},
    {"storage.k8s.io/v1", {"CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"}},
    {"storage.k8s.io/v1beta1", {"CSIDriver", "CSINode", "StorageClass", "VolumeAttachment"}},
};

}  // namespace

const MergeField* MergeType::find(string_view name) const {
  auto at = std::find_if(fields.begin(), fields.end(), [&](const MergeField& field) { return field.name == name; });
  return at == fields.end() ? nullptr : &*at;
}

const MergeType* merge_type(string_view api_version, string_view kind) {
  auto at = std::find_if(std::begin(kKinds), std::end(kKinds), [&](const Kind& each) { return each.kind == kind && each.api_version == api_version; });
  return at == std::end(kKinds) ? nullptr : at->type;
}

bool is_cluster_scoped(string_view api_version, string_view kind) {
  return std::any_of(std::begin(kClusterScoped), std::end(kClusterScoped), [&](const Scope& scope) {
    return scope.api_version == api_version && !kind.empty() && std::find(scope.kinds.begin(), scope.kinds.end(), kind) != scope.kinds.end();
  });
}

}  // namespace archway::kustomize
