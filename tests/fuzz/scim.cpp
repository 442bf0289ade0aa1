// target: qanat_iam
// Filters, paths, users and PATCH bodies of SCIM: whatever comes, no crash; a user that is taken is within its bounds, and a filter answers the same twice.
#include <cstdlib>

#include "services/iam/web/scim_user.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  const std::string_view text = as_text({data, size});
  iam::IdentityRecord record;
  record.uid = Uid("wang");
  record.of = iam::IdentityClass::person;
  record.domain = "a";
  record.user_name = "wang@example.com";
  record.mail = "w@a.example";
  if (const auto filter = iam::ScimFilter::parse(text)) {
    if (filter->matches(record) != filter->matches(record)) std::abort();
  }
  if (const auto path = iam::parse_scim_path(text); path && path->which) (void)path->which->matches(record);
  const auto json = wire::Json::parse(text);
  if (!json) return 0;
  for (const auto& user : {iam::read_scim_user(*json, {}), iam::patched(record, *json)}) {
    if (user && !iam::check_scim_user(*user)) std::abort();
  }
  return 0;
}
