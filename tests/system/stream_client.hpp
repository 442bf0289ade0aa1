// Applications that speak ETSI GS QKD 004: etsi004_client.py, which shares no code with the program.
#pragma once

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "launch.hpp"
#include "sae_demo.hpp"
#include "wire/json.hpp"

namespace qanat::test {

/// One index at both ends.
struct StreamPair {
  std::string ksid = "new";
  std::array<std::string, 2> chunk{};  // hexadecimal; empty: not given
};

class StreamClient {
 public:
  /// Before the QKMs start: has them serve streams, each on a port of its own.
  StreamClient(const app::Network& network, app::SaeDemo demo) : demo_(std::move(demo)) {
    const auto ports = app::free_ports(2);
    if (!ports) return;
    for (std::size_t i = 0; i < 2; ++i) {
      ports_[i] = ports->at(i);
      const std::filesystem::path file = network.config_of(qkms[i]);
      std::ifstream in(file);
      std::stringstream all;
      all << in.rdbuf();
      std::string text = all.str();
      const std::size_t table = text.find("[sae]\n");
      const std::size_t served = text.find("\"etsi014\"", table);
      if (table == std::string::npos || served == std::string::npos) continue;
      text.insert(served, "\"etsi004\", ");
      text.insert(table + 6, "stream_port = " + std::to_string(ports_[i]) + "\n");
      // A stream takes keys faster than calls do.
      if (const std::size_t own = text.find("[qkm]\n"); own != std::string::npos) text.insert(own + 6, "pool_target = 64\n");
      std::ofstream(file) << text;
    }
  }

  struct Ended {
    int code = -1;
    std::string output;
  };
  /// A whole conversation and its refusals.
  [[nodiscard]] Ended talk() const { return run("talk", end("sae-c", std::nullopt)); }
  /// One chunk at both ends; "new" opens a stream first.
  [[nodiscard]] StreamPair chunk(const std::string& ksid, std::uint32_t index) const {
    const Ended ended = run("chunk", " '" + ksid + "' " + std::to_string(index));
    const auto read = wire::Json::parse(std::string_view(ended.output));
    StreamPair out{.ksid = ksid};
    if (!read) return out;
    out.ksid = read->text("ksid").value_or(ksid);
    const auto chunks = read->texts("chunk");
    if (chunks && chunks->size() == 2) out.chunk = {chunks->at(0), chunks->at(1)};
    return out;
  }

 private:
  static constexpr std::array<const char*, 2> qkms{"qkm-a", "qkm-b"};

  [[nodiscard]] std::string end(const std::string& sae, std::optional<std::size_t> qkm) const {
    const crypto::PemFiles& files = demo_.saes.at(sae);
    return " " + files.certificate.string() + " " + files.key.string() + (qkm ? " " + std::to_string(ports_[*qkm]) : "");
  }
  [[nodiscard]] Ended run(const std::string& what, const std::string& more) const {
    const std::string command = "python3 " QANAT_SOURCE_DIR "/tests/system/etsi004_client.py " + what + " " + demo_.root.certificate.string() +
                                end("sae-a", 0) + end("sae-b", 1) + more + " 2>&1";
    Ended out;
    FILE* const pipe = ::popen(command.c_str(), "r");
    if (pipe == nullptr) return out;
    std::array<char, 4096> part{};
    while (const std::size_t size = std::fread(part.data(), 1, part.size(), pipe)) out.output.append(part.data(), size);
    out.code = WEXITSTATUS(::pclose(pipe));
    return out;
  }

  app::SaeDemo demo_;
  std::array<std::uint16_t, 2> ports_{};
};

}  // namespace qanat::test
