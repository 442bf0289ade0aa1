// What IAM's web services take from a connection and give back to it, without the connection.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "wire/json.hpp"

namespace qanat::iam {

/// Who is at the other end.
struct WebCaller {
  Bytes thumbprint;  // SHA-256 of the certificate that it shows
  bool quantum_safe = false;
  std::string address;
  std::string request_id;
};

struct WebAnswer {
  unsigned status = 200;
  wire::Json body;  // null: none
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> fields = {};
};

}  // namespace qanat::iam
