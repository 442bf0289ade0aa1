#include "services/kms/csa/answer.hpp"

#include <string>

#include "net/http.hpp"
#include "wire/secret_text.hpp"

namespace qanat::kms::csa {
namespace {

/// The texts and secrets of an answer, one after the other: measured first, then written.
struct Parts {
  struct Part {
    std::string open;
    const Secret* secret = nullptr;  // after it
  };
  std::vector<Part> parts;

  void add(std::string open, const Secret* secret = nullptr) { parts.push_back({.open = std::move(open), .secret = secret}); }
  void add(const Answer& answer) {
    std::string text = answer.open.dump();
    text.pop_back();  // the brace, until the secrets stand
    for (const auto& [name, value] : answer.secret) {
      add(text + (text.size() > 1 ? ",\"" : "\"") + std::string(name) + "\":\"", &value);
      text = "\"";
    }
    add(text + "}");
  }
  [[nodiscard]] Secret write() const {
    std::size_t size = 0;
    for (const Part& part : parts) size += part.open.size() + (part.secret != nullptr ? wire::base64_size(part.secret->size()) : 0);
    wire::SecretText out(size);
    for (const Part& part : parts) {
      out.add(part.open);
      if (part.secret != nullptr) out.add_base64(part.secret->reveal());
    }
    return std::move(out).finish();
  }
};

}  // namespace

Secret render(const Answer& answer) {
  Parts parts;
  parts.add(answer);
  return parts.write();
}

Secret render(const std::vector<Result<Answer>>& results) {
  Parts parts;
  std::string_view before = "{\"results\":[";
  for (const Result<Answer>& result : results) {
    if (result) {
      parts.add(std::string(before) + "{\"status\":200,\"answer\":");
      parts.add(*result);
      parts.add("}");
    } else {
      const wire::Json error = wire::Json::object({{"code", name(result.error().code)}, {"message", result.error().message}});
      parts.add(std::string(before) + "{\"status\":" + std::to_string(net::http_status(result.error().code)) + ",\"error\":" + error.dump() + "}");
    }
    before = ",";
  }
  parts.add("]}");
  return parts.write();
}

}  // namespace qanat::kms::csa
