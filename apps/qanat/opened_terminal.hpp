// One terminal of a configuration, opened in this process.
#pragma once

#include <filesystem>
#include <memory>

#include "node/node.hpp"
#include "terminal/settings.hpp"

namespace qanat::app {

struct OpenedTerminal {
  std::unique_ptr<node::Node> node;
  terminal::TerminalSettings settings;
};
Result<OpenedTerminal> open_terminal(const std::filesystem::path& config);

}  // namespace qanat::app
