// The ACME server as a protocol of the enrolment listener.
#pragma once

#include "node/config.hpp"
#include "services/cas/acme/acme.hpp"
#include "services/cas/ceis/front.hpp"

namespace qanat::cas {

/// Table [cas.acme]: terms, website and bounds; the URLs of the listeners come from theirs.
AcmeSettings read_acme_settings(node::Config table);

/// Its routes refer to `acme`: the listener stops first.
EnrolmentService acme_service(Acme& acme);

}  // namespace qanat::cas
