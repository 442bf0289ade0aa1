// The ACME server as a protocol of the enrolment listener.
#pragma once

#include "services/cas/acme/acme.hpp"
#include "services/cas/ceis/front.hpp"

namespace qanat::cas {

/// Its routes refer to `acme`: the listener stops first.
EnrolmentService acme_service(Acme& acme);

}  // namespace qanat::cas
