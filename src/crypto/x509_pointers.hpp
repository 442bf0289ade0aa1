// Where the status of a certificate can be learned, as extensions of certificates and revocation lists. Private to crypto.
#pragma once

#include <string>

#include "crypto/x509_openssl.hpp"

namespace qanat::crypto {

using DistributionPoints = Owned<CRL_DIST_POINTS, CRL_DIST_POINTS_free>;

/// authorityInfoAccess and cRLDistributionPoints for the URLs that are there.
Result<void> add_status_pointers(X509* cert, const StatusPointers& pointers);

/// One point with this URL as its full name.
Result<DistributionPoints> distribution_points(const std::string& url);
/// The URL as the full name of a distribution point.
Result<Owned<DIST_POINT_NAME, DIST_POINT_NAME_free>> distribution_point_name(const std::string& url);
/// The name's URL; invalid_argument if it is no single one.
Result<std::string> url_of(const DIST_POINT_NAME* name);

}  // namespace qanat::crypto
