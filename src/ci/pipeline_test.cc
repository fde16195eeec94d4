#include "ci/pipeline.h"

#include <gtest/gtest.h>

#include "ci/check.h"
#include "ci/template.h"
#include "format/yaml.h"

namespace archway::ci {
namespace {

TEST(Template, FillsHolesAndLeavesNothingOfItsConditions) {
  TemplateValues values{{{"x", "1"}, {"lines", "a\nb"}, {"bad", "it's \\ \"q\""}}, {{"yes", true}, {"no", false}}};
  struct Case { const char *text, *filled; };
  for (const Case& c : {Case{"a<%x%>b", "a1b"}, Case{"  <%lines%>\nc", "  a\n  b\nc"}, Case{"x: <%lines%>", "x: a\nb"}, Case{"a\n<% if yes %>\nb\n<% end %>\nc\n", "a\nb\nc\n"},
                        Case{"a\n  <% if no %>\nb\n<% else %>\nd\n<% end %>\nc\n", "a\nd\nc\n"}, Case{"<% if yes and not no %>1<% else %>2<% end %>", "1"},
                        Case{"<% if no %><% if yes %>1<% end %>2<% end %>3", "3"}, Case{"<% if yes %><% if no %>1<% else %>4<% end %>2<% end %>3", "423"},
                        Case{"<%bad|yaml%>", "\"it's \\\\ \\\"q\\\"\""}, Case{"<%bad|sh%>", "'it'\\''s \\ \"q\"'"}, Case{"<%bad|groovy%>", "'it\\'s \\\\ \"q\"'"},
                        Case{"<%x|sh%> <%x|sh3%>", "1 1"}}) {
    EXPECT_EQ(fill_template(c.text, values), c.filled) << c.text;
  }
}

std::vector<PipelineRequest> all_requests() {
  std::vector<PipelineRequest> all;
  for (System system : all_systems()) {
    for (Builder builder : {Builder::Archway, Builder::Buildx}) {
      for (Machines machines : {Machines::Native, Machines::Emulated}) {
        for (const char* from : {"", "registry.example.com/tools/archway:1", "https://example.com/archway-{arch}"}) {
          for (const char* smoke : {"", "sh -c 'app --version'"}) {
            for (const char* image : {"", "registry.example.com/team/app"}) {
              if (system == System::Jenkins && !*image) continue;
              PipelineRequest request{.system = system, .builder = builder, .machines = machines};
              request.archway_from = from, request.smoke_test = smoke, request.image = image;
              all.push_back(request);
            }
          }
        }
      }
    }
  }
  return all;
}

std::string name_of(const PipelineRequest& request) {
  return std::string(system_name(request.system)) + (request.builder == Builder::Archway ? " archway" : " buildx") + (request.machines == Machines::Native ? " native " : " emulated ") + request.archway_from +
         " " + request.smoke_test + " " + request.image;
}

TEST(Pipeline, IsYamlWhereverItIsToBe) {
  for (const PipelineRequest& request : all_requests()) {
    auto text = write_pipeline(request);
    ASSERT_TRUE(text.ok()) << name_of(request) << ": " << text.error().message;
    EXPECT_EQ(text->find("<%"), text->npos) << name_of(request);
    EXPECT_EQ(text->find(" \n"), text->npos) << name_of(request);
    EXPECT_NE(text->find("archway verify --platform linux/amd64,linux/arm64"), text->npos) << name_of(request);
    if (request.system == System::Jenkins) continue;
    auto parsed = parse_yaml_documents(*text);
    ASSERT_TRUE(parsed.ok()) << name_of(request) << ": " << parsed.error().message << "\n" << *text;
    EXPECT_EQ(parsed->size(), request.system == System::Tekton ? 5u : 1u);
  }
}

// What archway writes, archway finds nothing wrong with.
TEST(Pipeline, PassesItsOwnCheck) {
  for (const PipelineRequest& request : all_requests()) {
    std::string text = *write_pipeline(request);
    EXPECT_EQ(*recognize_system(usual_file(request.system), text), request.system);
    auto findings = check_pipeline(request.system, text);
    ASSERT_TRUE(findings.ok()) << name_of(request) << ": " << findings.error().message;
    for (const Finding& finding : *findings) ADD_FAILURE() << name_of(request) << ":" << finding.line << ": " << finding.rule << " " << finding.message;
  }
}

TEST(Pipeline, QuotesWhatItIsGiven) {
  PipelineRequest request{.system = System::GitLab};
  request.context = "my app's \"folder\"", request.dockerfile = "docker/My File";
  for (System system : all_systems()) {
    request.system = system, request.image = "registry.example.com/team/app";
    auto text = write_pipeline(request);
    ASSERT_TRUE(text.ok());
    if (system == System::Jenkins) {
      EXPECT_NE(text->find("\\'my app\\'\\\\\\'\\'s \"folder\"\\'"), text->npos) << *text;
      continue;
    }
    EXPECT_TRUE(parse_yaml_documents(*text).ok()) << *text;
  }
}

TEST(Pipeline, RefusesWhatASystemWouldTakeForItsOwn) {
  auto refuses = [](System system, auto change) {
    PipelineRequest request{.system = system};
    request.image = "registry.example.com/team/app";
    change(request);
    return !write_pipeline(request).ok();
  };
  EXPECT_TRUE(refuses(System::GitHub, [](auto& r) { r.smoke_test = "echo ${{ secrets.X }}"; }));
  EXPECT_TRUE(refuses(System::CircleCi, [](auto& r) { r.context = "<< pipeline.x >>"; }));
  EXPECT_TRUE(refuses(System::Tekton, [](auto& r) { r.smoke_test = "echo $(params.x)"; }));
  EXPECT_FALSE(refuses(System::GitLab, [](auto& r) { r.smoke_test = "echo $(id)"; }));
  EXPECT_TRUE(refuses(System::GitLab, [](auto& r) { r.smoke_test = "a\nb"; }));
  EXPECT_TRUE(refuses(System::GitLab, [](auto& r) { r.tag = "a b"; }));
  EXPECT_TRUE(refuses(System::GitLab, [](auto& r) { r.branch = "main\" || true"; }));
  EXPECT_TRUE(refuses(System::GitLab, [](auto& r) { r.image = "-x"; }));
  EXPECT_TRUE(refuses(System::GitLab, [](auto& r) { r.archway_from = "https://x/$(id)"; }));
  EXPECT_TRUE(refuses(System::GitLab, [](auto& r) { r.context = ""; }));
  EXPECT_TRUE(refuses(System::Jenkins, [](auto& r) { r.image = ""; }));
  EXPECT_TRUE(refuses(System::GitLab, [](auto& r) { r.context = std::string(4097, 'x'); }));
  EXPECT_FALSE(refuses(System::GitLab, [](auto& r) { r.context = std::string(4096, 'x'); }));
}

}  // namespace
}  // namespace archway::ci
