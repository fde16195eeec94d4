#include "scheduler/label_index.h"

#include <algorithm>

#include "scheduler/pod_affinity.h"

namespace archway::scheduler {

namespace {

const Labels kNoLabels;

std::string pair_text(const std::string& key, const std::string& value) { return key + '=' + value; }

// Lengths before words: no two different lists give one text.
void append(std::string& text, std::string_view word) {
  text += std::to_string(word.size());
  text += ':';
  text += word;
}

void append(std::string& text, const kube::Selector& selector) {
  text += selector.is_nothing() ? '0' : '1';
  for (const kube::Requirement& each : selector.requirements()) {
    append(text, each.key);
    text += static_cast<char>('a' + static_cast<int>(each.op));
    for (const std::string& value : each.values) append(text, value);
    text += ';';
  }
}

std::string text_of(const std::vector<kube::PodAffinityTerm>& terms, bool by_namespace_labels, bool without_leaving) {
  std::string text = {by_namespace_labels ? 'n' : '-', without_leaving ? 'l' : '-'};
  for (const kube::PodAffinityTerm& term : terms) {
    text += '[';
    for (const std::string& name : term.namespaces) append(text, name);
    text += '|';
    append(text, term.namespace_selector);
    append(text, term.selector);
    // A term's topology tells counters apart where the pods that have it are counted.
    if (by_namespace_labels) append(text, term.topology_key);
  }
  return text;
}

// The requirement through which a matcher is found: few values of one label.
const kube::Requirement* most_telling(const PodMatcher& matcher) {
  const kube::Requirement* best = nullptr;
  for (const kube::PodAffinityTerm& term : matcher.terms) {
    for (const kube::Requirement& each : term.selector.requirements()) {
      if (each.op == kube::SelectorOperator::In && (!best || each.values.size() < best->values.size())) best = &each;
    }
  }
  return best;
}

}  // namespace

bool PodMatcher::matches(const LabelSet& set) const {
  const Labels& labels = by_namespace_labels ? *set.namespace_labels : kNoLabels;
  return std::all_of(terms.begin(), terms.end(), [&](const kube::PodAffinityTerm& term) { return term_matches(term, *set.example, labels); });
}

LabelSet& LabelIndex::set_of(const Pod& pod, const Cluster& cluster) {
  std::string text;
  append(text, pod.meta.name_space);
  for (const auto& [key, value] : pod.meta.labels) {
    append(text, key);
    append(text, value);
  }
  auto [known, is_new] = set_by_text_.try_emplace(std::move(text), nullptr);
  if (!is_new) return *known->second;
  sets_.push_back(std::make_unique<LabelSet>());
  LabelSet& set = *sets_.back();
  known->second = &set;
  set.example = &pod;
  set.namespace_labels = &cluster.namespace_labels(pod.meta.name_space);
  auto meet = [&](PodMatcher* matcher) {
    if (!matcher->matches(set)) return;
    matcher->sets.push_back(&set);
    set.matchers.push_back(matcher);
  };
  for (const auto& [key, value] : pod.meta.labels) {
    std::string pair = pair_text(key, value);
    sets_by_pair_[pair].push_back(&set);
    auto there = matchers_by_pair_.find(pair);
    if (there != matchers_by_pair_.end()) std::for_each(there->second.begin(), there->second.end(), meet);
  }
  std::for_each(matchers_of_any_.begin(), matchers_of_any_.end(), meet);
  return set;
}

PodMatcher& LabelIndex::matcher(std::vector<kube::PodAffinityTerm> terms, bool by_namespace_labels, bool without_leaving) {
  auto [known, is_new] = matcher_by_text_.try_emplace(text_of(terms, by_namespace_labels, without_leaving), nullptr);
  if (!is_new) return *known->second;
  matchers_.push_back(std::make_unique<PodMatcher>());
  PodMatcher& matcher = *matchers_.back();
  known->second = &matcher;
  matcher.terms = std::move(terms);
  matcher.by_namespace_labels = by_namespace_labels;
  matcher.without_leaving = without_leaving;
  auto meet = [&](LabelSet* set) {
    if (!matcher.matches(*set)) return;
    matcher.sets.push_back(set);
    set->matchers.push_back(&matcher);
  };
  const kube::Requirement* requirement = most_telling(matcher);
  if (!requirement) {
    matchers_of_any_.push_back(&matcher);
    for (const auto& set : sets_) meet(set.get());
    return matcher;
  }
  std::vector<std::string> values = requirement->values;
  values.erase(std::unique(values.begin(), values.end()), values.end());
  for (const std::string& value : values) {
    std::string pair = pair_text(requirement->key, value);
    matchers_by_pair_[pair].push_back(&matcher);
    auto there = sets_by_pair_.find(pair);
    if (there != sets_by_pair_.end()) std::for_each(there->second.begin(), there->second.end(), meet);
  }
  return matcher;
}

}  // namespace archway::scheduler
