// What IAM's listener for software of others says while its workers take nothing more.
#include "services/iam/web/web_front.hpp"

#include "iam_under_test.hpp"

namespace qanat::iam {
namespace {

class WebFrontTest : public IamUnderTest {
 protected:
  WebFrontTest() {
    IamSettings settings;
    settings.web.url = "https://iam.example:8443";  // so that there are authorisation codes
    open_service(settings);
    workers_.stop(net::Waiting::drop);  // as where the queue is full: Workers::submit() is false
  }
  /// What a route answers before it returns.
  static std::optional<net::ForeignResponse> answered(const net::ForeignRoute& route) {
    auto out = std::make_shared<std::optional<net::ForeignResponse>>();
    net::ForeignRequest request{.peer = std::make_shared<const net::ForeignPeer>(),
                                .parameters = {},
                                .query = "",
                                .content_type = "",
                                .body = {},
                                .deadline = test::soon(),
                                .request_id = ""};
    route.answer(std::move(request), [out](net::ForeignResponse response) { *out = std::move(response); });
    return std::move(*out);
  }

  net::Workers workers_{1, 1};
};

TEST_F(WebFrontTest, WhereNoWorkerTakesItAnOAuthRequestIsRefusedAtOnce) {
  OAuth oauth = service_->oauth();
  const net::ForeignService service = oauth_service(oauth, workers_);
  std::vector<std::string> refused;
  for (const net::ForeignRoute& route : service.routes) {
    const auto response = answered(route);
    ASSERT_TRUE(response) << route.pattern;
    if (response->status == 200) continue;  // documents, which nobody waits for
    refused.push_back(route.pattern);
    EXPECT_EQ(response->status, 503U);
    const Json body = must(Json::parse(response->body.reveal()));
    EXPECT_EQ(must(body.text("error")), "temporarily_unavailable");
    EXPECT_EQ(must(body.text("error_description")), "as many requests wait as may");
  }
  EXPECT_EQ(refused, (std::vector<std::string>{"/oauth2/token", "/oauth2/introspect", "/oauth2/authorize"}));
}

TEST_F(WebFrontTest, WhereNoWorkerTakesItAScimRequestIsRefusedAtOnce) {
  Scim scim = service_->scim();
  const net::ForeignService service = scim_service(scim, workers_);
  for (const net::ForeignRoute& route : service.routes) {
    const auto response = answered(route);
    ASSERT_TRUE(response) << route.method << " " << route.pattern;
    EXPECT_EQ(response->status, 503U) << route.method << " " << route.pattern;
    EXPECT_EQ(response->content_type, "application/scim+json");
    EXPECT_EQ(must(must(Json::parse(response->body.reveal())).text("detail")), "as many requests wait as may");
  }
}

TEST_F(WebFrontTest, ARequestThatIsNotTheOneToBlameIsNotCalledInvalid) {
  OAuth oauth = service_->oauth();
  const auto error = [&](unsigned status) { return must(must(Json::parse(oauth_service(oauth, workers_).refuse(status, "why").body.reveal())).text("error")); };
  EXPECT_EQ(error(400), "invalid_request");
  EXPECT_EQ(error(503), "temporarily_unavailable") << "no answer was found in time";
}

}  // namespace
}  // namespace qanat::iam
