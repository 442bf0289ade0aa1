// Settings of the ACME server.
#pragma once

#include "node/config.hpp"
#include "services/cas/acme/acme_records.hpp"

namespace qanat::cas {

struct AcmeSettings {
  std::string url = {};         // "https://host:port", as clients name the listener: what they sign must begin with it
  std::string terms = {};       // URL of the terms of service; empty: there are none to agree to
  std::string website = {};     // URL; empty: none
  std::string ca_issuers = {};  // URL below which the CA certificates are served over plain HTTP (csp/places.hpp); empty: nowhere
  AcmeBounds bounds{};
};

/// Table [cas.acme]: terms, website and bounds; the URLs of the listeners come from theirs.
AcmeSettings read_acme_settings(node::Config table);

}  // namespace qanat::cas
