// An SAE as operators have them: curl with a client certificate.
#pragma once

#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>

#include "sae_demo.hpp"
#include "test_network.hpp"
#include "wire/json.hpp"

namespace qanat::test {

struct SaeAnswer {
  int status = 0;  // 0: none came
  std::string body;
  [[nodiscard]] wire::Json json() const { return wire::Json::parse(std::string_view(body)).value_or(wire::Json()); }
};

/// Has a running network's QKMs give keys to three SAEs: stops them, writes their configurations, and starts them after `prepare`, which may write more.
inline void let_saes_in(TestNetwork& network, const std::function<void(const app::SaeDemo&)>& prepare) {
  const auto qkms = {"qkm-a", "qkm-b"};
  for (const char* qkm : qkms) network.running().stop_element(qkm, app::RunningNetwork::Ending::orderly);
  const auto demo = app::prepare_saes(network.network());
  ASSERT_TRUE(demo) << demo.error().message;
  prepare(*demo);
  for (const char* qkm : qkms) {
    const auto started = network.running().start_element(qkm);
    ASSERT_TRUE(started) << started.error().message;
  }
}

class SaeClient {
 public:
  explicit SaeClient(app::SaeDemo demo) : demo_(std::move(demo)) {}

  /// curl with the SAE's certificate; `arguments` before the address.
  SaeAnswer curl(const std::string& sae, const std::string& qkm, const std::string& path, const std::string& arguments = "") const {
    const crypto::PemFiles& files = demo_.saes.at(sae);
    const std::string command = "curl -sS --max-time 20 --cacert " + demo_.root.certificate.string() + " --cert " + files.certificate.string() + " --key " +
                                files.key.string() + " -w '\\n%{http_code}' " + arguments + " 'https://localhost:" + std::to_string(demo_.ports.at(qkm)) + path + "' 2>&1";
    std::string out;
    FILE* const pipe = ::popen(command.c_str(), "r");
    std::array<char, 4096> chunk{};
    while (pipe != nullptr) {
      const std::size_t size = std::fread(chunk.data(), 1, chunk.size(), pipe);
      if (size == 0) break;
      out.append(chunk.data(), size);
    }
    if (pipe != nullptr) ::pclose(pipe);
    const std::size_t line = out.rfind('\n');
    return {.status = std::atoi(out.c_str() + (line == std::string::npos ? 0 : line + 1)), .body = out.substr(0, line)};
  }
  SaeAnswer post(const std::string& sae, const std::string& qkm, const std::string& path, const std::string& body) const {
    return curl(sae, qkm, path, "-H 'Content-Type: application/json' -d '" + body + "'");
  }
  [[nodiscard]] const app::SaeDemo& demo() const noexcept { return demo_; }

 private:
  app::SaeDemo demo_;
};

}  // namespace qanat::test
