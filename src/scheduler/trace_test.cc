#include "scheduler/trace.h"

#include <gtest/gtest.h>

#include "format/yaml.h"
#include "scheduler/autoscaler_input.h"
#include "scheduler/trace_run.h"

namespace archway::scheduler {
namespace {

constexpr std::string_view kOpenb =
    "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n"
    "openb-pod-0001,1000,2048,0,0,,LS,Running,100,4000,100.0\n"
    "openb-pod-0000,2000,1024,1,220,V100M16|V100M32,BE,Succeeded,50,90,60\n"
    "openb-pod-0002,1000,2048,0,0,nan,LS,Pending,100,,\n";

TEST(Trace, OpenbIsRead) {
  auto trace = read_openb_trace(kOpenb, nullptr);
  ASSERT_TRUE(trace.ok()) << trace.error().message;
  ASSERT_EQ(trace->arrivals.size(), 3u);
  EXPECT_EQ(trace->arrivals[0].pod.meta.name, "openb-pod-0000");
  EXPECT_EQ(trace->arrivals[0].at, 0);
  EXPECT_EQ(trace->arrivals[0].duration, 30);
  EXPECT_EQ(trace->arrivals[0].pod.requests.real.scalar("nvidia.com/gpu"), 1);
  EXPECT_TRUE(trace->arrivals[0].pod.spec->node_affinity.required);
  EXPECT_EQ(trace->arrivals[1].at, 50);
  EXPECT_EQ(trace->arrivals[1].duration, 3900);
  EXPECT_EQ(trace->arrivals[1].pod.requests.real.milli_cpu, 1000);
  EXPECT_EQ(trace->arrivals[2].duration, std::nullopt);
  EXPECT_EQ(trace->arrivals[1].pod.spec, trace->arrivals[2].pod.spec);  // one shape
  EXPECT_EQ(trace->notes.size(), 1u);                                    // a shared GPU
}

TEST(Trace, BadRowsAreNamed) {
  EXPECT_EQ(read_openb_trace("name,cpu_milli,memory_mib,creation_time\np,many,1,1\n", nullptr).error().message, "line 2: cpu_milli: \"many\" is no amount");
  EXPECT_EQ(read_openb_trace("name,cpu_milli,memory_mib,creation_time\np,1,1,\n", nullptr).error().message, "line 2: creation_time is missing, or over a hundred years");
  EXPECT_FALSE(read_openb_trace("name,cpu_milli,memory_mib,creation_time\n", nullptr).ok());
  EXPECT_FALSE(read_openb_trace("name,cpu_milli\n", nullptr).ok());
}

TEST(Trace, Times) {
  EXPECT_EQ(parse_trace_time(Json(90)), 90);
  EXPECT_EQ(parse_trace_time(Json("1h30m")), 5400);
  EXPECT_EQ(parse_trace_time(Json("2d")), 172800);
  EXPECT_EQ(parse_trace_time(Json(kMaxTraceSeconds)), kMaxTraceSeconds);
  for (const char* bad : {"", "h", "1x", "-5", "1h30", "99999999999999999999s", "40000d"}) EXPECT_EQ(parse_trace_time(Json(bad)), std::nullopt) << bad;
  EXPECT_EQ(parse_trace_time(Json(kMaxTraceSeconds + 1)), std::nullopt);
  EXPECT_EQ(parse_trace_time(Json(1.5)), std::nullopt);
}

Result<Trace> own(std::string_view arrivals) {
  return read_own_trace(*parse_yaml("kind: Trace\ntemplates: {web: {spec: {containers: [{name: c, image: i, resources: {requests: {cpu: '1', memory: 1Gi}}}]}}}\narrivals: " + std::string(arrivals)));
}

TEST(Trace, OurOwnFormIsRead) {
  auto trace = own("[{at: 1h, template: web, pods: 2, for: 30m}, {at: 0, template: web}]");
  ASSERT_TRUE(trace.ok()) << trace.error().message;
  ASSERT_EQ(trace->arrivals.size(), 3u);
  EXPECT_EQ(trace->arrivals[0].pod.meta.key(), "trace/web-000003");
  EXPECT_EQ(trace->arrivals[2].at, 3600);
  EXPECT_EQ(trace->arrivals[2].duration, 1800);
  EXPECT_EQ(own("[{at: 0, template: db}]").error().message, "arrivals[0]: no template is named \"db\"");
  EXPECT_FALSE(own("[{at: soon, template: web}]").ok());
  EXPECT_FALSE(own("[{at: 0, template: web, pods: 200001}]").ok());
  EXPECT_FALSE(own("[]").ok());
}

// One node of 4 cores at 0.36 $ an hour holds four pods. Eight come at 5 s and run for an hour.
TEST(Trace, AnHourByHand) {
  AutoscalerInput input;
  auto groups = parse_yaml_documents("kind: NodeGroups\nnodeGroups:\n- {name: g, max: 5, cpu: 4, memory: 16Gi, price: '0.36'}\n");
  for (const YamlDocument& document : *groups) input.add(document.value, nullptr, "t");
  input.settle(PriceTable());
  auto run = [&] {
    World world(Inventory(input.inventory), Profile());
    static const PriceTable prices;
    Autoscaler autoscaler({}, input.groups, prices, std::nullopt, "");
    TraceOptions options;
    return run_trace(world, autoscaler, *own("[{at: 5, template: web, pods: 8, for: 1h}]"), options, {});
  };
  TraceResult result = run();
  EXPECT_EQ(result.placed, 8u);
  EXPECT_EQ(result.groups[0].peak, 2);
  EXPECT_EQ(result.groups[0].started, 2);
  EXPECT_EQ(result.groups[0].removed, 2);
  // Seen at 10, there at 100: 95 s of waiting. Gone at 3700, looked at then, unneeded for 600 s, removed at 4300.
  EXPECT_EQ(result.wait_max_s, 95);
  EXPECT_EQ(result.wait_mean_s, 95);
  EXPECT_EQ(result.end_s, 4300);
  EXPECT_EQ(result.groups[0].node_seconds, 2 * (4300 - 10));
  EXPECT_EQ(usd(result.nano_usd), "0.86");  // 8580 s at 0.0001 $ a second
  EXPECT_EQ(to_json(trace_json(result)), to_json(trace_json(run())));
}

TEST(Trace, WhatNeverFitsIsNamed) {
  AutoscalerInput input;
  auto groups = parse_yaml_documents("kind: NodeGroups\nnodeGroups:\n- {name: g, max: 5, cpu: 500m, memory: 16Gi}\n");
  for (const YamlDocument& document : *groups) input.add(document.value, nullptr, "t");
  input.settle(PriceTable());
  World world(std::move(input.inventory), Profile());
  PriceTable prices;
  Autoscaler autoscaler({}, input.groups, prices, std::nullopt, "");
  TraceResult result = run_trace(world, autoscaler, *own("[{at: 5, template: web, pods: 3}]"), {}, {});
  EXPECT_EQ(result.never_count, 3u);
  EXPECT_EQ(result.groups[0].started, 0);
  EXPECT_EQ(result.unpriced.size(), 1u);
}

}  // namespace
}  // namespace archway::scheduler
