#include "steps_view.hpp"

#include <algorithm>
#include <fstream>

namespace qanat::app {
namespace {

std::optional<StepLine> parse_line(const std::string& text, const std::string& element, const std::vector<std::string>& sessions) {
  const auto json = wire::Json::parse(text);
  if (!json) return std::nullopt;
  const auto session = json->text("session");
  const auto step = json->integer("step", 1, 12);
  const auto what = json->text("what");
  const auto ms = json->number("ms");
  const auto end_us = json->integer("end_us");
  if (!session || !step || !what || !ms || !end_us || std::ranges::find(sessions, *session) == sessions.end()) return std::nullopt;
  return StepLine{.step = static_cast<int>(*step), .element = element, .what = *what, .ms = *ms, .end_us = *end_us};
}

}  // namespace

std::vector<StepLine> StepTail::poll(const std::vector<std::string>& sessions) {
  std::vector<StepLine> out;
  std::vector<std::string> names;
  for (const ElementPlan& element : network_.elements()) names.push_back(element.name());
  for (const TerminalPlan& terminal : network_.terminals()) names.push_back(terminal.uid);
  for (const std::string& name : names) {
    std::ifstream in(network_.state_of(name) / "steps.jsonl", std::ios::binary);
    if (!in) continue;
    std::streamoff& position = read_up_to_[name];
    in.seekg(position);
    std::string line;
    while (std::getline(in, line) && !in.eof()) {  // a line without its end is still being written
      position += static_cast<std::streamoff>(line.size()) + 1;
      if (auto parsed = parse_line(line, name, sessions)) out.push_back(*std::move(parsed));
    }
  }
  std::ranges::sort(out, {}, &StepLine::end_us);
  return out;
}

std::vector<StepLine> enrolment_steps(const Network& network, const std::vector<std::string>& uids) { return StepTail(network).poll(uids); }

wire::Json summarise(const std::vector<StepLine>& lines) {
  wire::Json out = wire::Json::array();
  for (const StepName& step : step_names) {
    double longest = 0;
    bool seen = false;
    for (const StepLine& line : lines) {
      if (line.step != step.n) continue;
      seen = true;
      longest = std::max(longest, line.ms);
    }
    wire::Json one = wire::Json::object({{"n", step.n}, {"name", step.name}});
    one.set("ms", seen ? wire::Json(longest) : wire::Json());
    out.push(one);
  }
  return out;
}

}  // namespace qanat::app
