#include "services/kms/kim/successions.hpp"

#include <algorithm>

namespace qanat::kms {
namespace {

Result<Bytes> fingerprint_in(const std::string& query, std::string_view name, const crypto::Suite& suite) {
  const std::string beginning = std::string(name) + "=";
  const auto fingerprint = query.starts_with(beginning) ? from_hex(std::string_view(query).substr(beginning.size())) : std::nullopt;
  if (!fingerprint || fingerprint->size() != suite.digest) {
    return fail(ErrorCode::invalid_argument, "the query must be " + beginning + " and " + std::to_string(2 * suite.digest) + " hexadecimal digits");
  }
  return *fingerprint;
}

}  // namespace

Result<net::Response> successions(const node::Node& node, const net::Request& request) {
  ASSIGN_OR_RETURN(const Bytes since, fingerprint_in(request.query, "since", node.suite()));
  const node::Credentials credentials = node.credentials();
  std::vector<wire::Succession> links;
  if (since != credentials.messages->fps.pq) {
    const auto first = std::ranges::find(*credentials.successions, since, [](const wire::Succession& link) { return link.former.pq; });
    if (first == credentials.successions->end()) return fail(ErrorCode::not_found, "nothing leads from those certificates to the ones in force: enrol anew");
    links.assign(first, credentials.successions->end());
  }
  ASSIGN_OR_RETURN(Bytes body, wire::encode_successions(node.suite(), links));
  return net::Response{.status = 200, .content_type = std::string(points::type_octets), .body = std::move(body)};
}

Result<void> check_kept(const net::Request& request, const node::MessageSigner& own) {
  if (request.query.empty()) return {};
  ASSIGN_OR_RETURN(const Bytes kept, fingerprint_in(request.query, "kms", own.signer.suite()));
  if (kept == own.fps.pq) return {};
  return fail(ErrorCode::unavailable, "this KMS has other certificates by now: ask for those that followed yours");
}

}  // namespace qanat::kms
