#include "format/tar.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "base/fd.h"
#include "base/hash.h"
#include "base/process.h"

namespace archway {
namespace {

struct Item {
  TarEntry entry;
  std::string data;
};

Result<std::vector<Item>> read_tar(std::string_view archive) {
  MemorySource source(archive);
  TarReader reader(source);
  std::vector<Item> items;
  for (;;) {
    std::optional<TarEntry> entry = TRY(reader.next());
    if (!entry) return items;
    std::string data = TRY(read_all(reader.data(), 1 << 20, "data"));
    items.push_back({*entry, data});
  }
}

std::string write_tar(const std::vector<Item>& items) {
  StringSink sink;
  TarWriter writer(sink);
  for (const Item& item : items) {
    TarEntry entry = item.entry;
    entry.size = item.data.size();
    MemorySource data(item.data);
    EXPECT_TRUE(writer.add(entry, data).ok());
  }
  EXPECT_TRUE(writer.finish().ok());
  EXPECT_EQ(writer.written(), sink.text.size());
  return sink.text;
}

// One header block; `seal` sets a right checksum over whatever was put there by hand.
std::string seal(std::string block) {
  block.replace(148, 8, 8, ' ');
  unsigned sum = 0;
  for (char c : block) sum += static_cast<unsigned char>(c);
  char digits[8];
  snprintf(digits, sizeof digits, "%06o", sum);
  block.replace(148, 7, std::string(digits, 7));
  return block;
}
std::string header(std::string_view name, char type, size_t size = 0) {
  std::string block(512, '\0');
  block.replace(0, name.size(), name);
  block.replace(100, 8, std::string("0000644\0", 8));
  block.replace(108, 8, std::string("0000000\0", 8));
  block.replace(116, 8, std::string("0000000\0", 8));
  char digits[13];
  snprintf(digits, sizeof digits, "%011o", static_cast<unsigned>(size));
  block.replace(124, 12, std::string(digits, 12));
  block.replace(136, 12, std::string("00000000000\0", 12));
  block[156] = type;
  block.replace(257, 8, std::string("ustar\00000", 8));
  return seal(block);
}
std::string padded(std::string text) {
  text.resize((text.size() + 511) / 512 * 512, '\0');
  return text;
}
std::string special(char type, const std::string& text) { return header("special", type, text.size()) + padded(text); }
const std::string kEnd(1024, '\0');

std::string error_of(std::string_view archive) {
  auto items = read_tar(archive);
  return items.ok() ? "" : items.error().message;
}

TEST(Tar, EmptyArchiveHasTheKnownDigest) {
  EXPECT_EQ(sha256_hex(write_tar({})), "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef");
}

TEST(Tar, ReadsWhatItWrites) {
  std::string deep(150, 'd');
  std::vector<Item> items = {
      {{.path = "etc/", .type = TarType::Directory, .mode = 0755, .mtime = Time::from_seconds(1700000000)}, ""},
      {{.path = "etc/passwd", .mode = 04755, .uid = 1000, .gid = 50, .mtime = Time::from_seconds(1)}, "root"},
      {{.path = "etc/alias", .type = TarType::Hardlink, .link = "etc/passwd"}, ""},
      {{.path = "etc/lien", .type = TarType::Symlink, .mode = 0777, .link = "../\xc3\xa9"}, ""},
      {{.path = "dev/null", .type = TarType::CharDevice, .mode = 0666, .dev_major = 1, .dev_minor = 3}, ""},
      {{.path = "dev/sda", .type = TarType::BlockDevice, .mode = 0660, .dev_major = 8, .dev_minor = 300000}, ""},
      {{.path = "run/pipe", .type = TarType::Fifo, .mode = 0600}, ""},
      {{.path = deep + "/" + deep, .uid = 1ull << 31, .gid = 1ull << 32, .mtime = Time::from_seconds(-5)}, std::string(513, 'x')},
      {{.path = "bin/ping", .mode = 0755, .xattrs = {{"security.capability", std::string("\0\n=\xff", 4)}, {"user.empty", ""}}}, "ELF"},
  };
  std::vector<Item> back = read_tar(write_tar(items)).value();
  ASSERT_EQ(back.size(), items.size());
  for (size_t i = 0; i < items.size(); i++) {
    const TarEntry &a = items[i].entry, &b = back[i].entry;
    SCOPED_TRACE(a.path);
    EXPECT_EQ(a.path, b.path);
    EXPECT_EQ(a.type, b.type);
    EXPECT_EQ(a.mode, b.mode);
    EXPECT_EQ(a.uid, b.uid);
    EXPECT_EQ(a.gid, b.gid);
    EXPECT_EQ(a.mtime, b.mtime);
    EXPECT_EQ(a.link, b.link);
    EXPECT_EQ(a.dev_major, b.dev_major);
    EXPECT_EQ(a.dev_minor, b.dev_minor);
    EXPECT_EQ(a.xattrs, b.xattrs);
    EXPECT_EQ(items[i].data, back[i].data);
  }
}

TEST(Tar, WritesTheHeaderAsGoDoes) {
  std::string tar = write_tar({{{.path = "a/b", .mode = 0644, .uid = 1, .gid = 2, .mtime = {.nanoseconds = 1'999'999'999}}, "hi"}});
  ASSERT_EQ(tar.size(), 512u * 4);
  EXPECT_EQ(tar.substr(100, 56), std::string("0000644\0" "0000001\0" "0000002\0" "00000000002\0" "00000000001\0" "007565\0 ", 56));
  EXPECT_EQ(tar.substr(156, 1), "0");
  EXPECT_EQ(tar.substr(257, 8), std::string("ustar\0" "00", 8));
  EXPECT_EQ(tar.substr(329, 16), std::string("0000000\0" "0000000\0", 16));
  EXPECT_EQ(tar.substr(512, 3), std::string("hi\0", 3));
}

TEST(Tar, UsesThePrefixBeforePax) {
  std::string folder(120, 'f'), name(100, 'n');
  std::string tar = write_tar({{{.path = folder + "/" + name}, ""}});
  EXPECT_EQ(tar[156], '0');
  EXPECT_EQ(tar.substr(0, 100), name);
  EXPECT_EQ(tar.substr(345, 121), folder + std::string(1, '\0'));
  EXPECT_EQ(write_tar({{{.path = folder + "/" + name + "n"}, ""}})[156], 'x');
}

TEST(Tar, PaxHeaderNamesAndRecordsAreGos) {
  std::string tar = write_tar({{{.path = "dir/caf\xc3\xa9", .gid = 1 << 21, .xattrs = {{"b", "2"}, {"a", "1"}}}, ""}});
  EXPECT_STREQ(tar.c_str(), "dir/PaxHeaders.0/caf");
  EXPECT_EQ(tar[156], 'x');
  EXPECT_EQ(tar.substr(329, 16), std::string(16, '\0'));
  EXPECT_STREQ(tar.c_str() + 512, "20 SCHILY.xattr.a=1\n20 SCHILY.xattr.b=2\n15 gid=2097152\n18 path=dir/caf\xc3\xa9\n");
  EXPECT_STREQ(tar.c_str() + 1024, "dir/caf");
  EXPECT_EQ(tar.substr(1024 + 116, 7), "0000000");
  EXPECT_STREQ(write_tar({{{.path = "./\xc3\xa9/", .type = TarType::Directory}, ""}}).c_str(), "/PaxHeaders.0");  // of "é/PaxHeaders.0"
}

TEST(Tar, CutNamesDoNotEndInASlash) {
  std::string path = std::string(99, 'a') + "/" + std::string(200, 'b');
  std::string tar = write_tar({{{.path = path}, ""}});
  EXPECT_EQ(tar.substr(1024, 100), std::string(99, 'a') + std::string(1, '\0'));
  EXPECT_EQ(read_tar(tar).value()[0].entry.path, path);
}

TEST(Tar, PaxLengthsCountTheirOwnDigits) {
  for (size_t n = 80; n < 110; n++) {
    TarEntry entry{.path = "f", .xattrs = {{"user.x", std::string(n, 'v')}}};
    EXPECT_EQ(read_tar(write_tar({{entry, ""}})).value()[0].entry.xattrs, entry.xattrs) << n;
  }
}

TEST(Tar, WriterRefusesWhatItCannotSay) {
  StringSink sink;
  TarWriter writer(sink);
  EXPECT_FALSE(writer.begin({.path = ""}).ok());
  EXPECT_FALSE(writer.begin({.path = "file/"}).ok());
  EXPECT_FALSE(writer.begin({.path = std::string("a\0b", 3)}).ok());
  EXPECT_FALSE(writer.begin({.path = "a", .xattrs = {{"k=v", ""}}}).ok());
  EXPECT_FALSE(writer.begin({.path = "a", .type = TarType::CharDevice, .dev_major = 1 << 21}).ok());
  EXPECT_EQ(writer.begin({.path = "a", .xattrs = {{"user.x", std::string(kMaxPaxHeaderBytes, 'x')}}}).error().code, Code::Unsupported);
  MemorySource longer("12345"), shorter("1");
  EXPECT_FALSE(writer.add({.path = "a", .size = 4}, longer).ok());
  TarWriter other(sink);
  EXPECT_FALSE(other.add({.path = "a", .size = 4}, shorter).ok());
  EXPECT_FALSE(other.finish().ok());
}

TEST(Tar, NextPassesOverUnreadData) {
  std::string tar = write_tar({{{.path = "a"}, std::string(1000, 'a')}, {{.path = "b"}, "bb"}});
  MemorySource source(tar);
  TarReader reader(source);
  ASSERT_EQ(reader.next().value()->size, 1000u);
  EXPECT_EQ(reader.data_offset(), 512u);
  std::byte some[10];
  EXPECT_EQ(reader.data().read(some).value(), 10u);
  EXPECT_EQ(reader.next().value()->path, "b");
  EXPECT_EQ(reader.data_offset(), 512u * 4);
  EXPECT_EQ(read_all(reader.data(), 10, "b").value(), "bb");
  EXPECT_FALSE(reader.next().value().has_value());
  EXPECT_FALSE(reader.next().value().has_value());
}

TEST(Tar, ReadsGnuLongNamesAndLinks) {
  std::string path(3000, 'p'), link(200, 'l');
  std::string tar = special('L', path + '\0') + special('K', link + '\0') + header("ppp", '2') + kEnd;
  TarEntry entry = read_tar(tar).value()[0].entry;
  EXPECT_EQ(entry.path, path);
  EXPECT_EQ(entry.link, link);
}

TEST(Tar, ReadsBase256Numbers) {
  std::string block = header("f", '0');
  block.replace(108, 8, std::string("\x80\0\0\0\xff\xff\xff\xff", 8));          // uid
  block.replace(136, 12, std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", 12));  // mtime -2
  TarEntry entry = read_tar(seal(block) + kEnd).value()[0].entry;
  EXPECT_EQ(entry.uid, 4294967295u);
  EXPECT_EQ(entry.mtime.seconds(), -2);
  block.replace(124, 12, std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe", 12));
  EXPECT_NE(error_of(seal(block)).find("size is not a number"), std::string::npos);
  block.replace(124, 12, std::string("\x80\x01\0\0\0\0\0\0\0\0\0\0", 12));
  EXPECT_NE(error_of(seal(block)).find("size is not a number"), std::string::npos);
}

TEST(Tar, GlobalPaxHoldsUntilALocalRecordOverridesIt) {
  std::string tar = special('g', "12 uid=1234\n11 gname=g\n") + header("a", '0') + special('x', "9 uid=77\n10 gname=\n") + header("b", '0') + header("c", '0') + kEnd;
  std::vector<Item> items = read_tar(tar).value();
  EXPECT_EQ(items[0].entry.uid, 1234u);
  EXPECT_EQ(items[0].entry.group_name, "g");
  EXPECT_EQ(items[1].entry.uid, 77u);
  EXPECT_EQ(items[1].entry.group_name, "");
  EXPECT_EQ(items[2].entry.uid, 1234u);
}

TEST(Tar, PaxTimesHaveDecimals) {
  std::string tar = special('x', "20 mtime=1500000000\n") + header("a", '0') + special('x', "13 mtime=1.5\n") + header("b", '0') +
                    special('x', "14 mtime=-1.5\n") + header("c", '0') + special('x', "29 mtime=9999999999999999999\n") + header("d", '0') + kEnd;
  MemorySource source(tar);
  TarReader reader(source);
  EXPECT_EQ(reader.next().value()->mtime, Time::from_seconds(1500000000));
  EXPECT_EQ(reader.next().value()->mtime.nanoseconds, 1'500'000'000);
  EXPECT_EQ(reader.next().value()->mtime.nanoseconds, -1'500'000'000);
  EXPECT_FALSE(reader.next().ok());
}

TEST(Tar, PaxSizeRules) {
  std::string tar = special('x', "9 size=3\n") + header("a", '0', 0) + padded("abc") + header("b", '0') + kEnd;
  std::vector<Item> items = read_tar(tar).value();
  EXPECT_EQ(items[0].data, "abc");
  EXPECT_EQ(items[1].entry.path, "b");
}

TEST(Tar, OldAndOddTypes) {
  std::string v7 = header("old/", '\0');
  v7.replace(257, 8, std::string(8, '\0'));
  std::string tar = seal(v7) + header("slash/", '0') + header("contiguous", '7', 1) + padded("c") + header("label", 'V', 600) + padded(std::string(600, 'v')) +
                    header("dump/", 'D', 4) + padded("Yab") + header("after", '\0') + kEnd;
  std::vector<Item> items = read_tar(tar).value();
  ASSERT_EQ(items.size(), 5u);
  EXPECT_EQ(items[0].entry.type, TarType::Directory);
  EXPECT_EQ(items[1].entry.type, TarType::Directory);
  EXPECT_EQ(items[2].entry.type, TarType::Regular);
  EXPECT_EQ(items[2].data, "c");
  EXPECT_EQ(items[3].entry.path, "dump/");
  EXPECT_EQ(items[3].entry.size, 0u);
  EXPECT_EQ(items[4].entry.path, "after");
}

TEST(Tar, LinksHaveNoDataWhateverTheirSizeSays) {
  std::vector<Item> items = read_tar(header("a", '1', 1000) + header("b", '5', 7) + kEnd).value();
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0].entry.size, 0u);
}

TEST(Tar, EndsOnABlockBoundaryOrAtZeros) {
  EXPECT_EQ(read_tar(header("a", '0')).value().size(), 1u);
  EXPECT_EQ(read_tar(header("a", '0') + std::string(512, '\0')).value().size(), 1u);
  EXPECT_EQ(read_tar(header("a", '0') + kEnd + "garbage").value().size(), 1u);
  EXPECT_EQ(read_tar("").value().size(), 0u);
}

TEST(Tar, RefusesWithTheOffset) {
  EXPECT_EQ(error_of(header("a", '0') + header("b", '0').substr(0, 100)), "tar: at byte 612: the archive ends inside a header");
  EXPECT_EQ(error_of(header("a", '0', 600) + std::string(520, 'x')), "tar: at byte 1032: the archive ends inside an entry's data");
  EXPECT_EQ(error_of(header("a", '0') + std::string(512, 'x')), "tar: at byte 512: not a tar header (its checksum is wrong)");
  EXPECT_NE(error_of(header("a", '0') + std::string(512, '\0') + header("b", '0')).find("at byte 1024: a header follows a lone"), std::string::npos);
  EXPECT_NE(error_of(header("a/", '0', 5)).find("the folder a/ has data"), std::string::npos);
  EXPECT_NE(error_of(special('x', "9 uid=77\n")).find("ends after an extended header"), std::string::npos);
  for (std::string pax : {"9 uid=7\n", "x uid=7\n", "99 uid=7\n", "8 uid=77", "5 =v\n", "0 \n", "7 uid7\n", "8 uid=x\n", "9 uid=-1\n", "10 mtime=x\n",
                          "99999999999999999999 a=b\n"}) {
    EXPECT_NE(error_of(special('x', pax) + header("a", '0') + kEnd).find("pax"), std::string::npos) << pax;
  }
  EXPECT_NE(error_of(special('x', std::string("12 path=a\0b\n", 12)) + header("a", '0')).find("NUL"), std::string::npos);
}

TEST(Tar, SparseFilesAreRefusedByName) {
  for (std::string tar : {header("holes", 'S'), special('x', "22 GNU.sparse.major=1\n") + header("holes", '0')}) {
    Error error = read_tar(tar).error();
    EXPECT_EQ(error.code, Code::Unsupported);
    EXPECT_NE(error.message.find("sparse file holes"), std::string::npos);
  }
  EXPECT_EQ(read_tar(header("tape", 'M')).error().code, Code::Unsupported);
}

TEST(Tar, LimitsHoldAtTheirEdges) {
  EXPECT_TRUE(read_tar(special('L', std::string(kMaxTarPathBytes, 'p')) + header("p", '0')).ok());
  EXPECT_NE(error_of(special('L', std::string(kMaxTarPathBytes + 1, 'p')) + header("p", '0')).find("limit of 4096"), std::string::npos);
  std::string most = "1048576 SCHILY.xattr.user.x=";
  most += std::string(kMaxPaxHeaderBytes - most.size() - 1, 'v') + "\n";
  EXPECT_TRUE(read_tar(special('x', most) + header("p", '0')).ok());
  EXPECT_NE(error_of(header("x", 'x', kMaxPaxHeaderBytes + 1)).find("over the limit"), std::string::npos);
  std::string second = most;
  second.replace(second.find("user.x"), 6, "user.y");
  EXPECT_NE(error_of(special('g', most) + special('g', second)).find("global pax headers are over"), std::string::npos);
}

TEST(Tar, LooksLikeTarNeedsAChecksumAndAType) {
  EXPECT_TRUE(looks_like_tar(as_bytes(header("a", '0'))));
  EXPECT_TRUE(looks_like_tar(as_bytes(header("a", 'L'))));
  EXPECT_FALSE(looks_like_tar(as_bytes(header("a", '?'))));
  EXPECT_FALSE(looks_like_tar(as_bytes(std::string(512, '\0'))));
  EXPECT_FALSE(looks_like_tar(as_bytes(header("a", '0').substr(0, 511))));
}

// Every dialect GNU tar and Python write must read the same; what is written must list the same in both.
class TarPeers : public testing::Test {
 protected:
  void SetUp() override {
    if (!find_program("tar")) GTEST_SKIP() << "skipped: no tar";
    dir_.emplace(TempDir::create("/tmp").value());
  }
  ProcessResult run(std::vector<std::string> arguments) { return run_process(arguments, {.directory = dir_->path()}).value(); }
  std::string file(const std::string& name) { return read_file(*dir_ / name, 64 << 20).value(); }
  std::optional<TempDir> dir_;
};

TEST_F(TarPeers, ReadsEveryDialectOfGnuTar) {
  std::string name = std::string(90, 'n') + "\xc3\xa9";
  run({"sh", "-c", "mkdir -p t/" + name + "/" + name + " && printf data > t/" + name + "/" + name + "/f && ln -s target t/link && ln t/" + name + "/" + name + "/f t/hard && touch -h -d @1234567890.5 t/link t/hard"});
  for (std::string format : {"gnu", "pax", "posix", "oldgnu"}) {
    SCOPED_TRACE(format);
    ASSERT_EQ(run({"tar", "--format=" + format, "--sort=name", "--owner=a:3000000", "--group=b:12", "-cf", "t.tar", "t"}).exit_code, 0);
    std::vector<Item> items = read_tar(file("t.tar")).value();
    ASSERT_EQ(items.size(), 6u);
    EXPECT_EQ(items[0].entry.path, "t/");
    EXPECT_EQ(items[0].entry.type, TarType::Directory);
    EXPECT_EQ(items[0].entry.uid, 3000000u);
    EXPECT_EQ(items[0].entry.gid, 12u);
    EXPECT_EQ(items[1].entry.path, "t/hard");
    EXPECT_EQ(items[1].data, "data");
    EXPECT_EQ(items[1].entry.mtime.seconds(), 1234567890);
    EXPECT_EQ(items[2].entry.link, "target");
    EXPECT_EQ(items[5].entry.path, "t/" + name + "/" + name + "/f");
    EXPECT_EQ(items[5].entry.type, TarType::Hardlink);
    EXPECT_EQ(items[5].entry.link, "t/hard");
  }
}

TEST_F(TarPeers, BothReadWhatItWrites) {
  std::string name(120, 'w');
  std::string tar = write_tar({{{.path = "d/", .type = TarType::Directory, .mode = 0755}, ""},
                               {{.path = "d/" + name, .mode = 0640, .uid = 1u << 22, .mtime = Time::from_seconds(1600000000)}, std::string(700, 'x')},
                               {{.path = "d/l", .type = TarType::Symlink, .mode = 0777, .link = name + name}, ""},
                               {{.path = "d/cap", .mode = 0755, .xattrs = {{"user.k", "v"}}}, "c"}});
  std::ofstream(*dir_ / "w.tar", std::ios::binary) << tar;
  ProcessResult gnu = run({"tar", "--numeric-owner", "--full-time", "--utc", "--warning=no-unknown-keyword", "-tvf", "w.tar"});
  EXPECT_EQ(gnu.exit_code, 0) << gnu.err;
  EXPECT_NE(gnu.out.find("-rw-r----- 4194304/0"), std::string::npos) << gnu.out;
  EXPECT_NE(gnu.out.find("2020-09-13 12:26:40 d/" + name + "\n"), std::string::npos) << gnu.out;
  EXPECT_NE(gnu.out.find("d/l -> " + name + name + "\n"), std::string::npos) << gnu.out;
  if (!find_program("python3")) GTEST_SKIP() << "skipped: no python3";
  ProcessResult python = run({"python3", "-c", "import tarfile\nfor m in tarfile.open('w.tar'): print(m.name,m.size,m.uid,oct(m.mode),m.mtime,m.linkname,m.pax_headers.get('SCHILY.xattr.user.k'))"});
  EXPECT_EQ(python.out, "d 0 0 0o755 0  None\nd/" + name + " 700 4194304 0o640 1600000000 " + " None\nd/l 0 0 0o777 0 " + name + name + " None\nd/cap 1 0 0o755 0  v\n") << python.err;
}

TEST_F(TarPeers, ReadsEveryDialectOfPython) {
  if (!find_program("python3")) GTEST_SKIP() << "skipped: no python3";
  for (std::string format : {"USTAR", "GNU", "PAX"}) {
    ProcessResult made = run({"python3", "-c",
                              "import tarfile,io\nt=tarfile.open('p.tar','w',format=tarfile." + format + "_FORMAT)\n"
                              "i=tarfile.TarInfo('x/'*60+'f'); i.size=3; i.mtime=5; i.uid=70000; i.uname='u'; t.addfile(i,io.BytesIO(b'abc'))\n"
                              "i=tarfile.TarInfo('dev'); i.type=tarfile.CHRTYPE; i.devmajor=5; i.devminor=1; t.addfile(i)\nt.close()"});
    ASSERT_EQ(made.exit_code, 0) << made.err;
    std::vector<Item> items = read_tar(file("p.tar")).value();
    ASSERT_EQ(items.size(), 2u);
    EXPECT_EQ(items[0].entry.path.size(), 121u);
    EXPECT_EQ(items[0].data, "abc");
    EXPECT_EQ(items[0].entry.uid, 70000u);
    EXPECT_EQ(items[0].entry.user_name, "u");
    EXPECT_EQ(items[0].entry.mtime.seconds(), 5);
    EXPECT_EQ(items[1].entry.dev_major, 5u);
  }
}

}  // namespace
}  // namespace archway
