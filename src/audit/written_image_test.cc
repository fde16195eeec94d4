#include "audit/written_image.h"

#include <gtest/gtest.h>

namespace archway::audit {
namespace {

TEST(WrittenImage, TellsReferencesFromTemplatesAndNonsense) {
  for (const char* text : {"nginx", "localhost:5000/app:1.0@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "docker://alpine:3", " quay.io/a/b "}) EXPECT_TRUE(read_image(text).reference) << text;
  for (const char* text : {"${IMAGE}", "$(params.image)", "{{ .Values.image }}", "<registry>/<name>:<tag>", "REGISTRY/NAME:TAG", "app:__TAG__", "ko://example.org/cmd", "a/b:%s"}) EXPECT_TRUE(read_image(text).templated) << text;
  for (const char* text : {"", "MyApp:1", "a b", "a/:1", "-x"}) {
    WrittenImage written = read_image(text);
    EXPECT_TRUE(!written.reference && !written.templated && !written.why.empty()) << text;
  }
}

struct Case {
  const char* text;
  bool hinted;
  const char* want;  // null: none
};

TEST(LooseImage, WantsAHostOrANamespaceAndATag) {
  const Case cases[] = {
      {"quay.io/a/b:1", false, "quay.io/a/b:1"}, {"longhornio/engine:v1", false, "longhornio/engine:v1"}, {"localhost:5000/x:1", false, "localhost:5000/x:1"},
      {"mine/engine:v1", false, nullptr}, {"mine/engine:v1", true, "mine/engine:v1"}, {"redis:6379", false, nullptr}, {"redis:6379", true, nullptr}, {"redis:7.2", true, "redis:7.2"},
      {"https://quay.io/a/b:1", false, nullptr}, {"/usr/bin:/bin", false, nullptr}, {"quay.io/a/b", false, nullptr}, {"quay.io/a/b", true, "quay.io/a/b"}, {"logo.png", true, nullptr},
      {"img/logo.png", true, nullptr}, {"true", true, nullptr}, {"", true, nullptr},
  };
  for (const Case& each : cases) {
    auto found = loose_image(each.text, each.hinted);
    EXPECT_EQ(found ? found->image : "(none)", each.want ? each.want : "(none)") << each.text << " " << each.hinted;
  }
}

TEST(LooseImage, ArgumentsSayWhatTheyAre) {
  EXPECT_EQ(argument_image("--sidecar-image=mine/x:1", "")->image, "mine/x:1");
  EXPECT_EQ(argument_image("--sidecar-image=mine/x:1", "")->offset, 16u);
  EXPECT_EQ(argument_image("mine/x:1", "--engine-image")->confidence, Confidence::Likely);
  EXPECT_FALSE(argument_image("mine/x:1", "--other"));
  EXPECT_FALSE(argument_image("--listen=0.0.0.0:80", ""));
  EXPECT_EQ(argument_image("--x=ghcr.io/a/b:1", "")->confidence, Confidence::Possible);
}

TEST(LooseImage, InText) {
  auto found = images_in_text("a: 1\n# image: quay.io/no/comment:1\nimage: \"mine/app:2\"\nx=quay.io/a/b:1,quay.io/c/d:2 https://quay.io/e/f:3\nimage: ${HOST}/g:1\n");
  std::vector<std::string> images;
  for (const LooseImage& each : found) images.push_back(each.image);
  EXPECT_EQ(images, (std::vector<std::string>{"mine/app:2", "quay.io/a/b:1", "quay.io/c/d:2"}));
}

TEST(LooseImage, NamesThatSpeakOfImages) {
  for (const char* name : {"image", "sidecarImage", "PROXY_IMAGE", "--proxy-image", "imageName", "RELATED_IMAGE_X", "dockerImage", "queue-sidecar-image"}) EXPECT_TRUE(names_image(name)) << name;
  for (const char* name : {"imagePullPolicy", "images", "imagePullSecrets", "imagine", "x"}) EXPECT_FALSE(names_image(name)) << name;
}

// What the pre-check calls empty must be empty to every reader.
TEST(MayHoldImages, IsNeverWrongAboutNothing) {
  EXPECT_FALSE(may_hold_images("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80}]}\n"));
  EXPECT_FALSE(may_hold_images("url: https://example.org/a/b\npath: /a/b/c\n"));
  for (const char* text : {"image: x", "X_IMAGE: y", "sidecarImage: y", "- --x=quay.io/a/b:1", "value: quay.io/a@sha256:00", "repository: a", "hub: b"}) EXPECT_TRUE(may_hold_images(text)) << text;
}

}  // namespace
}  // namespace archway::audit
