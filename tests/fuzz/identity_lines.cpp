// target: qanat_iam
// Lines of an import, roles, questions and rules as JSON: whatever comes, no crash; what is read is written and read again as the same.
#include <cstdlib>

#include "services/iam/idm/identity_record.hpp"
#include "services/iam/uba/rules.hpp"
#include "services/iam/upm/policy.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  const std::string_view text = as_text({data, size});
  if (const auto records = iam::read_lines(text)) {
    std::string lines;
    for (const iam::IdentityRecord& one : *records) lines += iam::to_line(one);
    const auto again = iam::read_lines(lines);
    if (!again || *again != *records) std::abort();
  }
  const auto json = wire::Json::parse(text);
  if (!json) return 0;
  if (const auto role = iam::read_role(*json)) {
    const auto again = iam::read_role(iam::to_json(*role));
    if (!again || *again != *role) std::abort();
  }
  (void)iam::read_question(*json);
  iam::RuleSettings rules;
  (void)rules.change(*json);
  return 0;
}
