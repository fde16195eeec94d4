#include <gtest/gtest.h>

#include "runtime/emulator.h"
#include "runtime/machine_architecture.h"
#include "runtime/root_mount.h"
#include "runtime/sandbox.h"
#include "runtime/user.h"
#include "runtime/user_namespace.h"

namespace archway {
namespace {

constexpr const char* kPasswd = "root:x:0:0::/root:/bin/sh\n# comment\napp:x:10:20::/home/app:/bin/sh\nbroken:x:ten\n123:x:5:6::/n:/bin/sh\n";
constexpr const char* kGroup = "root:x:0:\napp:x:20:\nextra:x:30:app,other\nmore:x:25:app\n";

TEST(User, EveryFormOfUser) {
  auto is = [&](std::string_view user, ContainerUser expected) {
    auto found = resolve_user(user, kPasswd, kGroup);
    ASSERT_TRUE(found.ok()) << user << ": " << found.error().message;
    EXPECT_EQ(*found, expected) << user;
  };
  is("", {0, 0, {}, "/root"});
  is("app", {10, 20, {25, 30}, "/home/app"});
  is("10", {10, 20, {25, 30}, "/home/app"});
  is("app:extra", {10, 30, {}, "/home/app"});
  is("1000", {1000, 0, {}, "/"});
  is("1000:1000", {1000, 1000, {}, "/"});
  is("app:7", {10, 7, {}, "/home/app"});
  is("123", {5, 6, {}, "/n"});
}

TEST(User, RefusesWhatIsNotThere) {
  for (const char* user : {"absent", "app:absent", "broken", "-1", "4294967295", "99999999999"}) {
    auto found = resolve_user(user, kPasswd, kGroup);
    ASSERT_FALSE(found.ok()) << user;
    EXPECT_EQ(found.error().code, Code::NotFound);
  }
}

TEST(UserNamespace, MapsAndRanges) {
  EXPECT_EQ(parse_id_map("         0          0 4294967295\n"), (std::vector<IdRange>{{0, 0, 4294967295}}));
  EXPECT_EQ(identity_map({{0, 0, 4294967295}}), "0 0 1\n1 1 4294967294\n");
  EXPECT_EQ(identity_map({{0, 1000, 1}}), "0 0 1\n");
  EXPECT_EQ(identity_map({{0, 1000, 1}, {1, 100000, 65536}}), "0 0 1\n1 1 65536\n");
  EXPECT_EQ(subordinate_ranges("a:1:2\nbob:100000:65536\n1001:9:1\nbob:x:y\nbob:4294967290:100\n", "bob", 1001),
            (std::vector<IdRange>{{0, 100000, 65536}, {0, 9, 1}}));
}

TEST(MachineArchitecture, RegistrationIsWhatDebianRegisters) {
  std::string line = registration_line(*find_machine_architecture("arm64"), "/usr/bin/qemu-aarch64-static");
  EXPECT_EQ(line,
            ":archway-aarch64:M::\\x7f\\x45\\x4c\\x46\\x02\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\xb7\\x00:"
            "\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff:/usr/bin/qemu-aarch64-static:FCP");
  EXPECT_EQ(elf_magic(*find_machine_architecture("s390x")).magic.substr(16), std::string("\0\2\0\x16", 4));
}

TEST(SandboxSpec, ComesBackAsItWent) {
  SandboxSpec spec;
  spec.run.root = {{"/a", "/b"}, "/u", "/w"};
  spec.run.arguments = {"sh", "-c", "echo \"\xc3\xa9\""};
  spec.run.mounts = {{"bind", "/x", "/y", {"ro"}}};
  spec.run.network = NetworkMode::None;
  spec.runtime = {RuntimeKind::Runc, "/usr/sbin/runc"};
  spec.emulator = PrivateEmulator{"arm64", "/q"};
  spec.private_dir = "/p";
  TreeMount tree{.layers = {{"/l"}, "/u2", "/w2"}, .folder = "/f", .source = "s", .target = "/t", .read_only = false, .source_is_folder = false};
  spec.run.tree_mounts = {tree};
  spec.tree_skeletons = {"/s"};
  spec.run.memory_files = {{"/secret", std::string("\0\xff any bytes", 12), 0440, 5, 6}};
  spec.run.tmpfs_mounts = {{"/m", 0700, uint64_t{1} << 40, true}};
  spec.run.held = {77, 88};
  auto back = decode_sandbox_spec(encode_sandbox_spec(spec));
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_EQ(back->run.memory_files[0].content, spec.run.memory_files[0].content);
  EXPECT_EQ(back->run.held, (std::vector<int>{kSandboxFirstHeldFd, kSandboxFirstHeldFd + 1}));
  EXPECT_EQ(encode_sandbox_spec(*back), encode_sandbox_spec(spec));
  EXPECT_FALSE(decode_sandbox_spec("{}").ok());
  EXPECT_FALSE(decode_sandbox_spec("[").ok());
}

TEST(RootMount, MountPointsInsideOfAMountAreItsOwn) {
  TreeMount mount{.layers = {{"/l"}, "", ""}, .source = "src/real", .target = "/a"};
  const std::vector<MountPoint> all = {{"/a"}, {"/a/b"}, {"/ab"}, {"/a/c/file", false}};
  EXPECT_EQ(inner_mount_points(mount, all), (std::vector<MountPoint>{{"/src/real/b"}, {"/src/real/c/file", false}}));
  mount.layers = {};
  mount.folder = "/cache";
  EXPECT_TRUE(inner_mount_points(mount, all).empty());  // nothing is added to a folder that stays
}

TEST(SandboxReport, ErrorsKeepTheirCode) {
  auto back = decode_sandbox_report(encode_sandbox_report({Error{Code::NotFound, "m", "h"}, 0}));
  ASSERT_TRUE(back.ok() && back->error);
  EXPECT_EQ(back->error->code, Code::NotFound);
  EXPECT_EQ(back->error->hint, "h");
  EXPECT_EQ(decode_sandbox_report(encode_sandbox_report({{}, 137}))->exit_code, 137);
  EXPECT_FALSE(decode_sandbox_report("").ok());
}

TEST(RootMount, RefusesMoreLayersThanOverlayfsTakes) {
  RootFilesystem root;
  root.lower_dirs.assign(kMaxOverlayLayers, "/x");
  auto refused = mount_root(root, "/s", "/nowhere", "/nowhere");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Code::Unsupported);
}

}  // namespace
}  // namespace archway
