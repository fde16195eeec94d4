// Containers for real: needs root or user namespaces, an OCI runtime, and Debian's busybox-static.
#include "runtime/runtime.h"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "base/fd.h"
#include "base/process.h"
#include "base/text.h"

namespace archway {
namespace {

std::string test_folder() {
  static const std::string folder = [] {
    std::string path = "/tmp/archway-runtime-test-XXXXXX";
    if (!::mkdtemp(path.data())) std::abort();
    return path;
  }();
  return folder;
}

// A root made of busybox, or "" without it.
std::string busybox_root(const std::string& name, const std::string& busybox) {
  if (::access(busybox.c_str(), X_OK) != 0) return "";
  std::string root = test_folder() + "/" + name;
  if (path_exists(root)) return root;
  for (const char* folder : {"/bin", "/etc", "/tmp"}) (void)make_directories(root + folder).ok();
  auto bytes = read_file(busybox, 16 << 20);
  (void)write_file_atomic(root + "/bin/busybox", *bytes, 0755).ok();
  for (const char* applet : {"sh", "cat", "ls", "id", "uname", "touch", "rm", "mkdir", "mknod", "true", "sleep", "env", "hostname", "stat", "dd", "ip", "pwd", "tty"}) {
    (void)::symlink("busybox", (root + "/bin/" + applet).c_str());
  }
  (void)write_file_atomic(root + "/etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:10:20::/home/app:/bin/sh\n").ok();
  (void)write_file_atomic(root + "/etc/group", "root:x:0:\napp:x:20:\nextra:x:30:app\n").ok();
  return root;
}

class RuntimeTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = busybox_root("native", "/bin/busybox");
    if (root_.empty()) GTEST_SKIP() << "skipped: busybox-static is not installed";
    RuntimeOptions options;
    options.state_dir = test_folder() + "/state";
    options.runtime = runtime_name();
    auto runtime = Runtime::create(options);
    if (!runtime.ok() && !find_program("crun") && !find_program("runc")) GTEST_SKIP() << "skipped: no OCI runtime";
    ASSERT_TRUE(runtime.ok()) << runtime.error().message;
    runtime_ = std::move(*runtime);
    auto scratch = TempDir::create(test_folder());
    ASSERT_TRUE(scratch.ok());
    scratch_.emplace(std::move(*scratch));
    ASSERT_TRUE(make_directories(upper()).ok());
    ASSERT_TRUE(make_directories(*scratch_ / "work").ok());
  }
  virtual std::string runtime_name() const { return ""; }
  std::string upper() const { return *scratch_ / "upper"; }

  RunSpec shell(const std::string& script) const {
    RunSpec spec;
    spec.root = {{root_}, upper(), *scratch_ / "work"};
    spec.arguments = {"/bin/sh", "-c", script};
    spec.environment = {"PATH=/bin"};
    return spec;
  }
  Result<RunResult> run(const RunSpec& spec, std::stop_token stop = {}) {
    out_.clear();
    err_.clear();
    return runtime_->run(spec, {[&](std::string_view text) { out_ += text; }, [&](std::string_view text) { err_ += text; }}, stop);
  }
  // Everything below the upper dir, "find" style.
  std::string changes() const {
    auto found = run_process({"find", upper(), "-mindepth", "1", "-printf", "%P\n"});
    return found.ok() ? found->out : "?";
  }

  std::string root_, out_, err_;
  std::unique_ptr<Runtime> runtime_;
  std::optional<TempDir> scratch_;
};

TEST_F(RuntimeTest, KeepsStreamsApartAndTheExitCode) {
  auto result = run(shell("echo out; echo err >&2; exit 7"));
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->exit_code, 7);
  EXPECT_EQ(out_, "out\n");
  EXPECT_EQ(err_, "err\n");
}

TEST_F(RuntimeTest, ASignalIs128AndItsNumber) {
  auto result = run(shell("sh -c 'kill -9 $$'; exit $?"));
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->exit_code, 137);
}

TEST_F(RuntimeTest, ChangesEndUpInTheUpperDirAndNothingElseDoes) {
  auto result = run(shell("echo hello > /tmp/file; test -e /etc/resolv.conf && test -e /etc/hosts && test -d /proc/1 && test -c /dev/null"));
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->exit_code, 0) << err_;
  EXPECT_EQ(changes(), "tmp\ntmp/file\n");
}

TEST_F(RuntimeTest, MountPointsThatALayerHidesLeaveNoTrace) {
  // An opaque /etc hides the skeleton's.
  std::string layer = *scratch_ / "opaque";
  ASSERT_TRUE(make_directories(layer + "/etc").ok());
  ASSERT_EQ(::setxattr((layer + "/etc").c_str(), "user.overlay.opaque", "y", 1, 0), 0);
  struct stat before = {};
  ::stat((layer + "/etc").c_str(), &before);
  RunSpec spec = shell("cat /etc/hosts");
  spec.root.lower_dirs.insert(spec.root.lower_dirs.begin(), layer);
  auto result = run(spec);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->exit_code, 0) << err_;
  EXPECT_NE(out_.find("localhost"), std::string::npos);
  EXPECT_EQ(changes(), "etc\n");  // copied up, and as it was: the diff drops it
  struct stat after = {};
  ::stat((upper() + "/etc").c_str(), &after);
  EXPECT_EQ(before.st_mtim.tv_sec, after.st_mtim.tv_sec);
  EXPECT_EQ(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
}

TEST_F(RuntimeTest, TreesAreMountedAndFoundInsideThemselves) {
  const std::string layer = *scratch_ / "layer", folder = *scratch_ / "folder";
  ASSERT_TRUE(make_directories(layer + "/real/deep").ok());
  ASSERT_TRUE(make_directories(folder).ok());
  ASSERT_TRUE(write_file_atomic(layer + "/real/deep/file", "in the layer\n").ok());
  ASSERT_EQ(::symlink("/real", (layer + "/link").c_str()), 0);
  ASSERT_EQ(::symlink("/etc/passwd", (folder + "/out").c_str()), 0);
  RunSpec spec = shell("cat /a/deep/file /b && ! touch /a/x && touch /c/made && ls /a && touch /a/cache/x && ls -A /");
  TreeMount tree{.layers = {{layer}, "", ""}, .source = "real", .target = "/a"};
  TreeMount file{.layers = {{layer}, "", ""}, .source = "link/deep/file", .target = "/b", .source_is_folder = false};
  TreeMount plain{.folder = folder, .target = "/c", .read_only = false};
  TreeMount inner{.folder = folder, .target = "/a/cache", .read_only = false};
  spec.tree_mounts = {tree, file, plain, inner};
  auto result = run(spec);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->exit_code, 0) << out_ << err_;
  EXPECT_EQ(out_.substr(0, 26), "in the layer\nin the layer\n");
  EXPECT_TRUE(path_exists(folder + "/made"));
  EXPECT_EQ(changes(), "");
  // A symlink that leads out leads nowhere.
  spec = shell("true");
  spec.tree_mounts = {TreeMount{.folder = folder, .source = "out", .target = "/a", .source_is_folder = false}};
  result = run(spec);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::NotFound);
}

TEST_F(RuntimeTest, MemoryHasItsModeAndSize) {
  RunSpec spec = shell("stat -c '%a' /m /tmp /r; dd if=/dev/zero of=/m/x bs=64k count=20 2>/dev/null; stat -c '%s' /m/x; ! touch /r/x");
  spec.tmpfs_mounts = {{.target = "/m", .size_bytes = 1 << 20}, {.target = "/tmp", .mode = 0711}, {.target = "/r", .read_only = true}};
  auto result = run(spec);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->exit_code, 0);
  EXPECT_EQ(out_, "1777\n711\n1777\n1048576\n");
  EXPECT_EQ(changes(), "");
}

TEST_F(RuntimeTest, FilesInMemoryAreOnNoDisk) {
  RunSpec spec = shell("stat -c '%a %u' /run/secrets/x; cat /run/secrets/x; ! echo y >> /run/secrets/x");
  spec.memory_files = {{"/run/secrets/x", "content\n", 0440, single_id_namespace() ? 0u : 7u, 0}};
  auto result = run(spec);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(out_, single_id_namespace() ? "440 0\ncontent\n" : "440 7\ncontent\n");
  EXPECT_EQ(changes(), "");
}

TEST_F(RuntimeTest, WhatIsHeldIsHeldUntilTheEndOnly) {
  auto locked = [&] {
    Fd other = std::move(*open_file(*scratch_ / "lock", O_RDWR));
    return ::flock(other.get(), LOCK_EX | LOCK_NB) != 0;
  };
  Fd lock = std::move(*open_file(*scratch_ / "lock", O_RDWR | O_CREAT));
  ASSERT_EQ(::flock(lock.get(), LOCK_EX), 0);
  // The program does not get it.
  const std::string folder = *scratch_ / "folder";
  ASSERT_TRUE(make_directories(folder).ok());
  RunSpec spec = shell("ls /proc/self/fd; echo now; until test -e /f/go; do sleep 0.01; done");
  spec.tree_mounts = {TreeMount{.folder = folder, .target = "/f"}};
  spec.held = {lock.get()};
  bool while_running = false;
  auto result = runtime_->run(spec, {[&](std::string_view text) {
                                       out_ += text;
                                       if (text.find("now") == std::string_view::npos) return;
                                       lock.reset();  // as if we were gone
                                       while_running = locked();
                                       (void)write_file_atomic(folder + "/go", "").ok();
                                     },
                                     [&](std::string_view text) { err_ += text; }},
                              {});
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_TRUE(while_running);
  EXPECT_FALSE(locked());
  EXPECT_EQ(out_, "0\n1\n2\n3\nnow\n");  // 3: ls reads the folder
}

TEST_F(RuntimeTest, RunsAsTheUserOfTheImage) {
  if (single_id_namespace()) GTEST_SKIP() << "skipped: one id only";
  RunSpec spec = shell("id -u; id -g; id -G; echo $HOME");
  spec.user = "app";
  auto result = run(spec);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(out_, "10\n20\n20 30\n/home/app\n");
}

TEST_F(RuntimeTest, AnUnknownUserIsAnError) {
  RunSpec spec = shell("true");
  spec.user = "nobody-here";
  auto result = run(spec);
  ASSERT_FALSE(result.ok());
  EXPECT_NE(result.error().code, Code::NotFound) << "that is for the program";
  EXPECT_NE(result.error().message.find("nobody-here"), std::string::npos) << result.error().message;
}

TEST_F(RuntimeTest, AMissingProgramIsAnErrorAndNotAnExitCode) {
  RunSpec spec = shell("true");
  spec.arguments = {"/bin/absent"};
  auto result = run(spec);
  ASSERT_FALSE(result.ok()) << result->exit_code;
  EXPECT_EQ(result.error().code, Code::NotFound) << result.error().message;
  spec.arguments = {"absent"};
  result = run(spec);
  ASSERT_FALSE(result.ok()) << result->exit_code;
  EXPECT_EQ(result.error().code, Code::NotFound) << result.error().message;
  spec.arguments = {"/etc/passwd"};
  result = run(spec);
  ASSERT_FALSE(result.ok()) << result->exit_code;
  EXPECT_EQ(result.error().code, Code::Invalid) << result.error().message;
}

TEST_F(RuntimeTest, HasDockersCapabilitiesSeccompAndNoDevices) {
  auto result = run(shell("while read k v; do case $k in CapBnd:|CapEff:|Seccomp:) echo $k $v;; esac; done < /proc/self/status;"
                          "mknod /tmp/disk b 254 0 2>/dev/null; dd if=/tmp/disk of=/dev/null count=1 2>/dev/null && echo opened;"
                          "mknod /dev/disk b 254 0 2>/dev/null; dd if=/dev/disk of=/dev/null count=1 2>/dev/null && echo opened;"
                          "echo x > /proc/sys/kernel/hostname 2>/dev/null && echo wrote; echo x > /sys/kernel/mm/ksm/run 2>/dev/null && echo wrote; echo done"));
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(out_, "CapEff: 00000000a80425fb\nCapBnd: 00000000a80425fb\nSeccomp: 2\ndone\n");
}

TEST_F(RuntimeTest, NetworkNoneHasLoopbackOnly) {
  RunSpec spec = shell("ls /sys/class/net 2>/dev/null; cat /proc/net/dev | while read a b; do case $a in *:*) echo $a;; esac; done; ip addr show lo");
  spec.network = NetworkMode::None;
  auto result = run(spec);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(out_.find("eth0:"), std::string::npos) << out_;
  EXPECT_NE(out_.find("127.0.0.1"), std::string::npos) << out_ << err_;
}

TEST_F(RuntimeTest, BindsMountsWithoutTouchingTheLayer) {
  std::string folder = *scratch_ / "cache";
  ASSERT_TRUE(make_directories(folder).ok());
  ASSERT_TRUE(write_file_atomic(*scratch_ / "secret", "s3cret").ok());
  RunSpec spec = shell("echo x > /var/cache/deep/file; cat /run/secrets/one");
  spec.mounts = {{"bind", folder, "/var/cache/deep", {"rbind"}}, {"bind", *scratch_ / "secret", "/run/secrets/one", {"bind", "ro"}}};
  auto result = run(spec);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->exit_code, 0) << err_;
  EXPECT_EQ(out_, "s3cret");
  EXPECT_TRUE(path_exists(folder + "/file"));
  EXPECT_EQ(changes(), "");
}

TEST_F(RuntimeTest, ManyLayersFit) {
  RunSpec spec = shell("cat /layer-*");
  for (int i = 0; i < 120; ++i) {
    std::string layer = *scratch_ / ("a-rather-long-name-for-a-layer-so-that-a-page-would-not-hold-them-" + std::to_string(i) + ",:x");
    ASSERT_TRUE(make_directories(layer).ok());
    ASSERT_TRUE(write_file_atomic(layer + "/layer-" + std::to_string(i), "1").ok());
    spec.root.lower_dirs.insert(spec.root.lower_dirs.begin(), layer);
  }
  auto result = run(spec);
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(out_, std::string(120, '1'));
}

// An arm64 busybox is in the layout that ../shared/vectors/make-busybox-layout.py writes; without one, the probe program does.
class EmulationTest : public RuntimeTest, public testing::WithParamInterface<const char*> {};

TEST_P(EmulationTest, TheProbeProgramOfEachArchitectureRunsOrSaysWhatToInstall) {
  auto how = runtime_->check_architecture(GetParam(), "");
  if (how.ok()) {
    EXPECT_TRUE(*how == "native" || how->ends_with("(private)") || how->ends_with("(host)")) << *how;
  } else {
    EXPECT_EQ(how.error().code, Code::Unsupported);
    EXPECT_FALSE(how.error().hint.empty()) << how.error().message;
  }
  if (find_program("qemu-aarch64-static") && !how.ok() && !single_id_namespace()) {
    EXPECT_NE(how.error().message.find("binfmt_misc"), std::string::npos) << how.error().message;
  }
}
INSTANTIATE_TEST_SUITE_P(All, EmulationTest, testing::Values("amd64", "386", "arm64", "arm", "riscv64", "ppc64le", "s390x", "loong64", "mips64le"));

TEST_F(RuntimeTest, EmulationNoneRefusesForeignArchitectures) {
  RuntimeOptions options;
  options.state_dir = test_folder() + "/state";
  options.emulation = Emulation::None;
  auto strict = Runtime::create(options);
  ASSERT_TRUE(strict.ok());
  auto how = (*strict)->check_architecture("s390x", "");
  ASSERT_FALSE(how.ok());
  EXPECT_EQ(how.error().code, Code::Unsupported);
}

TEST_F(RuntimeTest, ForeignProgramsRunUnderPrivateEmulation) {
  std::string busybox = test_folder() + "/busybox-arm64";
  const char* given = std::getenv("ARCHWAY_TEST_ARM64_BUSYBOX");
  std::string foreign = given ? busybox_root("foreign", given) : "";
  if (foreign.empty()) GTEST_SKIP() << "skipped: ARCHWAY_TEST_ARM64_BUSYBOX does not name an arm64 busybox";
  RunSpec spec = shell("uname -m; echo $0; touch /tmp/made; sh -c 'exit 5'");
  spec.root.lower_dirs = {foreign};
  spec.architecture = "arm64";
  auto result = run(spec);
  ASSERT_TRUE(result.ok()) << result.error().message << " " << result.error().hint;
  EXPECT_EQ(out_, "aarch64\n/bin/sh\n");
  EXPECT_EQ(result->exit_code, 5) << err_;
  EXPECT_EQ(changes(), "tmp\ntmp/made\n");
}

TEST_F(RuntimeTest, TheMachineReportNamesEveryPart) {
  RuntimeOptions options;
  options.state_dir = test_folder() + "/state";
  std::string names;
  for (const Capability& one : probe_machine(options)) {
    names += one.name + "\n";
    EXPECT_FALSE(one.detail.empty()) << one.name;
    EXPECT_TRUE(one.state != Capability::State::Missing || !one.advice.empty()) << one.name;
  }
  for (const char* name : {"kernel", "user namespaces", "OCI runtime", "overlayfs", "run linux/amd64", "run linux/arm64", "network", "disk"}) {
    EXPECT_NE(names.find(std::string(name) + "\n"), std::string::npos) << names;
  }
}

TEST_F(RuntimeTest, ConsecutiveAndConcurrentContainersDoNotMeet) {
  std::vector<std::thread> threads;
  std::vector<std::string> outs(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      auto mine = TempDir::create(test_folder());
      (void)make_directories(*mine / "u").ok();
      (void)make_directories(*mine / "w").ok();
      RunSpec spec = shell("hostname; ls /tmp; echo > /tmp/" + std::to_string(i));
      spec.hostname = "host" + std::to_string(i);
      spec.root.upper_dir = *mine / "u";
      spec.root.work_dir = *mine / "w";
      for (int round = 0; round < 2; ++round) {
        auto result = runtime_->run(spec, {[&](std::string_view text) { outs[static_cast<size_t>(i)] += text; }, {}}, {});
        if (!result.ok()) outs[static_cast<size_t>(i)] += result.error().message;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (int i = 0; i < 4; ++i) {
    std::string n = std::to_string(i);
    EXPECT_EQ(outs[static_cast<size_t>(i)], "host" + n + "\nhost" + n + "\n" + n + "\n");
  }
}

// The other runtime, where it is installed, does all of it as well.
class RuncTest : public RuntimeTest {
  void SetUp() override {
    if (!find_program("runc")) GTEST_SKIP() << "skipped: runc is not installed";
    RuntimeTest::SetUp();
  }
  std::string runtime_name() const override { return "runc"; }
};

TEST_F(RuncTest, RunsAndReportsAsCrunDoes) {
  auto result = run(shell("echo out; echo err >&2; exit 7"));
  ASSERT_TRUE(result.ok()) << result.error().message;
  EXPECT_EQ(result->exit_code, 7);
  EXPECT_EQ(out_ + err_, "out\nerr\n");
  EXPECT_EQ(changes(), "");
  if (find_program("qemu-aarch64-static")) {
    auto how = runtime_->check_architecture("arm64", "");
    EXPECT_TRUE(how.ok()) << how.error().message;
  }
  RunSpec spec = shell("true");
  spec.arguments = {"/bin/absent"};
  result = run(spec);
  ASSERT_FALSE(result.ok()) << result->exit_code;
  EXPECT_EQ(result.error().code, Code::NotFound) << result.error().message;
  spec.arguments = {"/etc/passwd"};
  result = run(spec);
  ASSERT_FALSE(result.ok()) << result->exit_code;
  EXPECT_EQ(result.error().code, Code::Invalid) << result.error().message;
}

TEST_F(RuntimeTest, StoppingKillsAllOfIt) {
  std::stop_source stop;
  RunSpec spec = shell("sleep 1000 & sleep 1001 & echo up; sleep 1002");
  auto result = runtime_->run(spec, {[&](std::string_view) { stop.request_stop(); }, {}}, stop.get_token());
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::Cancelled);
  auto left = run_process({"pgrep", "-f", "sleep 100[012]$"});
  EXPECT_EQ(left->out, "");
}

TEST_F(RuntimeTest, NothingStaysWhenWeAreKilled) {
  std::string mounts = *read_file("/proc/self/mountinfo", 16 << 20);
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  pid_t child = ::fork();
  if (child == 0) {
    ::close(ready[0]);
    (void)runtime_->run(shell("echo up; sleep 2001"), {[&](std::string_view) { (void)!::write(ready[1], "x", 1); }, {}}, {}).ok();
    ::_exit(0);
  }
  ::close(ready[1]);
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  // The kernel takes the rest down at once but not before it says so; give it a moment, not a fixed sleep.
  std::string left = "?";
  for (int i = 0; i < 1000 && !left.empty(); ++i) {
    left = run_process({"pgrep", "-f", "sleep 2001$"})->out;
  }
  EXPECT_EQ(left, "");
  EXPECT_EQ(*read_file("/proc/self/mountinfo", 16 << 20), mounts);
  EXPECT_EQ(run_process({"ls", "-A", test_folder() + "/state/private"})->out, "");
  ::close(ready[0]);
}

}  // namespace
}  // namespace archway

int main(int argc, char** argv) {
  if (auto code = archway::sandbox_main(argc, argv)) return *code;
  if (auto entered = archway::enter_user_namespace(argc, argv); !entered.ok()) {
    std::fprintf(stderr, "%s\n", entered.error().message.c_str());
    return 1;
  }
  testing::InitGoogleTest(&argc, argv);
  int code = RUN_ALL_TESTS();
  (void)archway::remove_tree(archway::test_folder()).ok();
  return code;
}
