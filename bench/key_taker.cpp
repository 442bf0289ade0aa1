#include "key_taker.hpp"

namespace qanat::bench {

Result<KeyTaker> KeyTaker::at(Ground& ground, const std::string& qkm) {
  ASSIGN_OR_RETURN(auto client, ground.client_of(qkm, "kms-a"));
  return Result<KeyTaker>(KeyTaker(ground, std::move(client)));
}

Result<std::vector<KeyTaker::Key>> KeyTaker::take(std::size_t count, Deadline deadline) {
  const points::EndpointRow& line = points::row(points::Endpoint::km3_take);
  const std::string body =
      wire::Json::object({{"peer_domain", "b"}, {"sid_wk", to_hex(ground_.rng().bytes(16))}, {"count", static_cast<std::int64_t>(count)}, {"kms", "kms-a"}})
          .dump();
  ASSIGN_OR_RETURN(const net::Response answer, client_->call({.method = std::string(line.method),
                                                              .path = std::string(line.path),
                                                              .query = "",
                                                              .content_type = std::string(line.request_type),
                                                              .body = as_bytes(body),
                                                              .request_id = to_hex(ground_.rng().bytes(8))},
                                                             deadline));
  if (answer.status != 200) return fail(ErrorCode::unavailable, "km-3: status " + std::to_string(answer.status));
  ASSIGN_OR_RETURN(const wire::Json json, wire::Json::parse(answer.body));
  ASSIGN_OR_RETURN(const std::vector<wire::Json> keys, json.array("keys"));
  std::vector<Key> out;
  for (const wire::Json& key : keys) {
    Key one;
    ASSIGN_OR_RETURN(one.id, key.text("key_id"));
    ASSIGN_OR_RETURN(one.path_id, key.text("path_id"));
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace qanat::bench
