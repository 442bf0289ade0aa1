// The program as people and scripts call it: a line of a shell, and what comes of it.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "temporary_directory.hpp"
#include "wire/json.hpp"

namespace qanat::test {

struct Outcome {
  int code = -1;
  std::string out;
  std::string error;
  [[nodiscard]] wire::Json json() const {
    const auto parsed = wire::Json::parse(std::string_view(out));
    EXPECT_TRUE(parsed) << out << error;
    return parsed.value_or(wire::Json());
  }
};

/// Runs `line` in a shell; standard error goes through a file in `folder`.
inline Outcome run_line(const std::string& line, const TemporaryDirectory& folder) {
  Outcome outcome;
  const std::filesystem::path errors = folder / "stderr";
  FILE* pipe = ::popen(("{ " + line + "\n} 2>" + errors.string()).c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  if (pipe == nullptr) return outcome;
  std::array<char, 4096> chunk{};
  while (const std::size_t size = std::fread(chunk.data(), 1, chunk.size(), pipe)) outcome.out.append(chunk.data(), size);
  const int status = ::pclose(pipe);
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  std::ifstream file(errors, std::ios::binary);
  outcome.error.assign(std::istreambuf_iterator<char>(file), {});
  return outcome;
}

/// The program with these arguments.
inline Outcome run_program(const std::string& arguments, const TemporaryDirectory& folder) {
  return run_line(std::string(QANAT_PROGRAM) + " " + arguments, folder);
}

}  // namespace qanat::test
